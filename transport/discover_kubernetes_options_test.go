package transport

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// account returns the directory of a service account.
func account(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "namespace"), []byte("chat\n"), 0o600))
	return dir
}

func TestKubernetesOptionsAreThoseOfThePod(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "6443")
	dir := account(t)
	got, err := (&KubernetesDiscoverer{Service: "mesh", Port: 70}).normalized(dir)
	require.NoError(t, err)
	require.Equal(t, KubernetesDiscoverer{
		Service: "mesh", Port: 70, Namespace: "chat", Interval: 5 * time.Minute,
		APIServer: "https://[fd00::1]:6443",
		TokenFile: filepath.Join(dir, "token"), CAFile: filepath.Join(dir, "ca.crt"),
	}, got)

	given := KubernetesDiscoverer{
		Service: "mesh", PortName: "mesh", Namespace: "other", Interval: time.Hour,
		APIServer: "https://api.example.org/clusters/1/", TokenFile: "t", CAFile: "c",
	}
	got, err = given.normalized(dir)
	require.NoError(t, err)
	require.Equal(t, given, got)
	require.Equal(t, "https://api.example.org/clusters/1/apis/discovery.k8s.io/v1/namespaces/other/endpointslices",
		newKubernetesAPI(got).slices)
}

func TestKubernetesSaysWhatIsWrongWithItsOptions(t *testing.T) {
	for name, c := range map[string]struct {
		env  string
		dir  string
		opts KubernetesDiscoverer
		want string
	}{
		"no pod":       {"", account(t), KubernetesDiscoverer{}, "is this a pod?"},
		"no namespace": {"10.0.0.1", t.TempDir(), KubernetesDiscoverer{}, "there is no Namespace"},
		"no URL":       {"10.0.0.1", account(t), KubernetesDiscoverer{APIServer: "https://a b"}, "is no URL"},
		"no scheme":    {"10.0.0.1", account(t), KubernetesDiscoverer{APIServer: "10.0.0.1:443"}, "no URL"},
		"a scheme":     {"10.0.0.1", account(t), KubernetesDiscoverer{APIServer: "ftp://10.0.0.1"}, "is not https://host:port"},
		"no host":      {"10.0.0.1", account(t), KubernetesDiscoverer{APIServer: "https://"}, "is not https://host:port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBERNETES_SERVICE_HOST", c.env)
			t.Setenv("KUBERNETES_SERVICE_PORT", "443")
			c.opts.Service, c.opts.Port = "mesh", 70
			_, err := c.opts.normalized(c.dir)
			require.ErrorContains(t, err, c.want)
		})
	}
}

package transport

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// serviceAccountDir is where a pod finds its token, the API's CA certificates and the name of its namespace.
const serviceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// normalized returns the options with their defaults, for which account is the directory, or what is wrong with them.
func (d *KubernetesDiscoverer) normalized(account string) (KubernetesDiscoverer, error) {
	k := *d
	k.Interval = intervalOr(k.Interval, defaultKubernetesInterval)
	switch {
	case k.Service == "":
		return k, errors.New("there is no Service")
	case k.Port != 0 && k.PortName != "":
		return k, errors.New("there are both Port and PortName")
	case k.PortName == "" && (k.Port < 1 || k.Port > 65535):
		return k, fmt.Errorf("the Port is %d, and there is no PortName", k.Port)
	case k.Client != nil && k.CAFile != "":
		return k, errors.New("there are both Client and CAFile, which belongs into the Client's own transport")
	}
	if k.APIServer == "" {
		host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
		if host == "" || port == "" {
			return k, errors.New("there is no APIServer, and KUBERNETES_SERVICE_HOST and _PORT do not tell: is this a pod?")
		}
		k.APIServer = "https://" + net.JoinHostPort(host, port)
	}
	server, err := url.Parse(k.APIServer)
	switch {
	case err != nil:
		return k, fmt.Errorf("the APIServer is no URL: %w", err)
	case server.Host == "" || server.Scheme != "https" && server.Scheme != "http":
		return k, fmt.Errorf("the APIServer %q is not https://host:port", k.APIServer)
	case server.Scheme == "http" && k.TokenFile != "":
		return k, errors.New("there is a TokenFile, but a token is not sent to an APIServer over http")
	case server.Scheme == "https" && k.Client == nil:
		k.TokenFile = cmp.Or(k.TokenFile, filepath.Join(account, "token"))
		k.CAFile = cmp.Or(k.CAFile, filepath.Join(account, "ca.crt"))
	}
	if k.Namespace == "" {
		name, err := os.ReadFile(filepath.Join(account, "namespace")) //nolint:gosec // Kubernetes says where it is
		if err != nil {
			return k, fmt.Errorf("there is no Namespace: %w", err)
		}
		k.Namespace = strings.TrimSpace(string(name))
	}
	return k, nil
}

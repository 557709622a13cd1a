package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// object is a thing of Kubernetes, as far as the program has to agree with it.
type object struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec  spec              `yaml:"spec"`
	Rules []rule            `yaml:"rules"`
	Role  map[string]string `yaml:"roleRef"`
	Users []reference       `yaml:"subjects"`

	raw map[string]any
}

type reference struct{ Kind, Name string }

type labels map[string]string

type spec struct {
	// Services.
	ClusterIP string `yaml:"clusterIP"`
	NotReady  bool   `yaml:"publishNotReadyAddresses"`
	Ports     []port `yaml:"ports"`
	Selector  choice `yaml:"selector"`

	// Deployments.
	Template struct {
		Metadata struct {
			Labels labels `yaml:"labels"`
		} `yaml:"metadata"`
		Spec podSpec `yaml:"spec"`
	} `yaml:"template"`

	// NetworkPolicies.
	PodSelector selector `yaml:"podSelector"`
	Ingress     []struct {
		From []struct {
			PodSelector selector `yaml:"podSelector"`
		} `yaml:"from"`
		Ports []port `yaml:"ports"`
	} `yaml:"ingress"`

	// Certificates.
	SecretName string   `yaml:"secretName"`
	DNSNames   []string `yaml:"dnsNames"`
	Usages     []string `yaml:"usages"`
}

type selector struct {
	MatchLabels labels `yaml:"matchLabels"`
}

// choice is the selector of a Service, or that of a Deployment or a PodDisruptionBudget.
type choice struct {
	App         string `yaml:"app"`
	MatchLabels labels `yaml:"matchLabels"`
}

type port struct {
	Name          string `yaml:"name"`
	Port          any    `yaml:"port"`
	TargetPort    string `yaml:"targetPort"`
	ContainerPort int    `yaml:"containerPort"`
}

type podSpec struct {
	Grace  int `yaml:"terminationGracePeriodSeconds"`
	Spread []struct {
		LabelSelector selector `yaml:"labelSelector"`
	} `yaml:"topologySpreadConstraints"`
	Containers []container `yaml:"containers"`
	Volumes    []struct {
		Name   string
		Secret struct {
			SecretName string `yaml:"secretName"`
		}
	}
}

type container struct {
	Args []string `yaml:"args"`
	Env  []struct {
		Name      string `yaml:"name"`
		ValueFrom struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
			SecretKeyRef struct {
				Name, Key string
				Optional  bool
			} `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	} `yaml:"env"`
	Ports     []port `yaml:"ports"`
	Readiness probe  `yaml:"readinessProbe"`
	Liveness  probe  `yaml:"livenessProbe"`
	Lifecycle struct {
		PreStop struct {
			Sleep struct{ Seconds int }
		} `yaml:"preStop"`
	} `yaml:"lifecycle"`
	Mounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
		SubPath   string `yaml:"subPath"`
	} `yaml:"volumeMounts"`
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

type rule struct {
	Groups    []string `yaml:"apiGroups"`
	Resources []string `yaml:"resources"`
	Verbs     []string `yaml:"verbs"`
}

// parse returns the objects of a file, in order.
func parse(t *testing.T, file string) []object {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("deploy", file))
	require.NoError(t, err)
	var all []object
	for in, again := yaml.NewDecoder(bytes.NewReader(content)), yaml.NewDecoder(bytes.NewReader(content)); ; {
		var o object
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			require.NoError(t, err, file)
		}
		require.NoError(t, again.Decode(&o.raw), file)
		require.NotEmpty(t, o.raw["apiVersion"], file)
		require.NotEmpty(t, o.Metadata.Name, file)
		all = append(all, o)
	}
}

func find(t *testing.T, file, kind, name string) object {
	t.Helper()
	all := parse(t, file)
	i := slices.IndexFunc(all, func(o object) bool { return o.Kind == kind && o.Metadata.Name == name })
	require.GreaterOrEqual(t, i, 0, "%s has no %s %s", file, kind, name)
	return all[i]
}

var deployments = []string{"deployment-secret.yaml", "deployment-certificates.yaml"}

// deployed returns a Deployment, its container, and what the program makes of its arguments and its environment.
func deployed(t *testing.T, file string) (object, container, config) {
	t.Helper()
	d := find(t, file, "Deployment", "flags")
	require.Len(t, d.Spec.Template.Spec.Containers, 1)
	c := d.Spec.Template.Spec.Containers[0]
	asked := map[string]bool{}
	getenv := func(name string) string {
		asked[name] = true
		for _, e := range c.Env {
			if e.Name == name {
				return "set"
			}
		}
		return ""
	}
	conf, err := parseConfig(c.Args, getenv, io.Discard)
	require.NoError(t, err)
	for _, e := range c.Env {
		require.True(t, asked[e.Name], "%s: the program does not read %s", file, e.Name)
	}
	return d, c, conf
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(addr, ":"))
	require.NoError(t, err)
	return n
}

func TestDeploymentsAgreeWithTheProgram(t *testing.T) {
	for _, file := range deployments {
		t.Run(file, func(t *testing.T) {
			d, c, conf := deployed(t, file)
			require.True(t, conf.serve)
			require.Equal(t, []port{{Name: "http", ContainerPort: portOf(t, conf.http)}, {Name: "mesh", ContainerPort: conf.meshPort}}, c.Ports)

			fields := map[string]string{}
			for _, e := range c.Env {
				fields[e.Name] = e.ValueFrom.FieldRef.FieldPath
			}
			require.Equal(t, "metadata.name", fields["POD_NAME"])
			require.Equal(t, "status.podIP", fields["POD_IP"])

			for path, p := range map[string]probe{"/readyz": c.Readiness, "/healthz": c.Liveness} {
				require.Equal(t, path, p.HTTPGet.Path)
				require.Equal(t, "http", p.HTTPGet.Port, "a probe of the port of the mesh would be a refused connection")
			}
			app := d.Spec.Template.Metadata.Labels
			require.Equal(t, app, d.Spec.Template.Spec.Spread[0].LabelSelector.MatchLabels)

			const storeAndMesh = 11 * time.Second // Store.Close and P2PTransport.Close, at most
			stop := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds)*time.Second + requestPatience + storeAndMesh
			require.Less(t, stop, time.Duration(d.Spec.Template.Spec.Grace)*time.Second)
		})
	}
}

func TestDeploymentsDifferInSecurityAlone(t *testing.T) {
	common := func(file string) map[string]any {
		d, _, _ := deployed(t, file)
		pod := d.raw["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
		delete(pod, "volumes")
		c := pod["containers"].([]any)[0].(map[string]any)
		delete(c, "volumeMounts")
		c["args"] = slices.DeleteFunc(c["args"].([]any), func(a any) bool { return strings.HasPrefix(a.(string), "-tls=") })
		c["env"] = slices.DeleteFunc(c["env"].([]any), func(e any) bool {
			return strings.HasPrefix(e.(map[string]any)["name"].(string), "MESH_SECRET")
		})
		return d.raw
	}
	require.Equal(t, common(deployments[0]), common(deployments[1]))
}

func TestSecretDeployment(t *testing.T) {
	_, c, conf := deployed(t, "deployment-secret.yaml")
	require.Empty(t, conf.tls)
	require.Len(t, conf.secrets, 2)
	for _, e := range c.Env {
		ref := e.ValueFrom.SecretKeyRef
		switch e.Name {
		case "MESH_SECRET":
			require.Equal(t, "flags-mesh/secret", ref.Name+"/"+ref.Key)
			require.False(t, ref.Optional, "a mesh without a secret does not start")
		case "MESH_SECRET_2":
			require.Equal(t, "flags-mesh/secret-2", ref.Name+"/"+ref.Key)
			require.True(t, ref.Optional)
		}
	}
}

func TestCertificateDeployment(t *testing.T) {
	d, c, conf := deployed(t, "deployment-certificates.yaml")
	require.Empty(t, conf.secrets)
	cert := find(t, "certificates.yaml", "Certificate", "flags-mesh")
	require.Equal(t, []string{conf.service}, cert.Spec.DNSNames, "what replicas look for")
	require.Subset(t, cert.Spec.Usages, []string{"server auth", "client auth"})
	require.Len(t, c.Mounts, 1)
	require.Equal(t, conf.tls, c.Mounts[0].MountPath)
	require.Empty(t, c.Mounts[0].SubPath, "what is mounted by subPath is never renewed")
	volume := d.Spec.Template.Spec.Volumes[0]
	require.Equal(t, c.Mounts[0].Name, volume.Name)
	require.Equal(t, cert.Spec.SecretName, volume.Secret.SecretName)
}

func TestServicesFindReplicas(t *testing.T) {
	d, c, conf := deployed(t, deployments[0])
	app := d.Spec.Template.Metadata.Labels
	require.Len(t, app, 1)
	require.Equal(t, app, d.Spec.Selector.MatchLabels)

	mesh := find(t, "services.yaml", "Service", conf.service)
	require.Equal(t, "None", mesh.Spec.ClusterIP)
	require.True(t, mesh.Spec.NotReady)
	require.Equal(t, app["app"], mesh.Spec.Selector.App)
	require.Equal(t, []port{{Name: "mesh", Port: conf.meshPort, TargetPort: "mesh"}}, mesh.Spec.Ports)

	web := find(t, "services.yaml", "Service", "flags")
	require.Equal(t, app["app"], web.Spec.Selector.App)
	require.Equal(t, c.Ports[0].Name, web.Spec.Ports[0].TargetPort)
	budget := find(t, "services.yaml", "PodDisruptionBudget", "flags")
	require.Equal(t, app, budget.Spec.Selector.MatchLabels)

	policy := find(t, "networkpolicy.yaml", "NetworkPolicy", "flags")
	require.Equal(t, app, policy.Spec.PodSelector.MatchLabels)
	from := map[any][]labels{} // who reaches a port; nil: anybody
	for _, in := range policy.Spec.Ingress {
		require.Len(t, in.Ports, 1)
		from[in.Ports[0].Port] = nil
		for _, f := range in.From {
			from[in.Ports[0].Port] = append(from[in.Ports[0].Port], f.PodSelector.MatchLabels)
		}
	}
	require.Equal(t, map[any][]labels{"mesh": {app}, "http": nil}, from)
}

func TestEndpointSlicesMayBeWatched(t *testing.T) {
	role := find(t, "endpointslices.yaml", "Role", "flags")
	require.Equal(t, []rule{{[]string{"discovery.k8s.io"}, []string{"endpointslices"}, []string{"list", "watch"}}}, role.Rules)
	account := find(t, "endpointslices.yaml", "ServiceAccount", "flags")
	binding := find(t, "endpointslices.yaml", "RoleBinding", "flags")
	require.Equal(t, role.Metadata.Name, binding.Role["name"])
	require.Equal(t, []reference{{"ServiceAccount", account.Metadata.Name}}, binding.Users)

	content, err := os.ReadFile("deploy/endpointslices-patch.yaml")
	require.NoError(t, err)
	var patch []struct {
		Op, Path string
		Value    any
	}
	require.NoError(t, yaml.Unmarshal(content, &patch))
	values := map[string]any{}
	for _, p := range patch {
		values[p.Path] = p.Value
	}
	require.Equal(t, account.Metadata.Name, values["/spec/template/spec/serviceAccountName"])
	require.Equal(t, true, values["/spec/template/spec/automountServiceAccountToken"])
	for _, file := range deployments {
		_, c, _ := deployed(t, file)
		args := append(slices.Clone(c.Args), values["/spec/template/spec/containers/0/args/-"].(string))
		conf, err := parseConfig(args, func(string) string { return "set" }, io.Discard)
		require.NoError(t, err)
		require.Equal(t, "kubernetes", conf.discover)
	}
}

func TestImageListensWhereTheProgramDoes(t *testing.T) {
	content, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	_, _, conf := deployed(t, deployments[0])
	require.Contains(t, string(content), fmt.Sprintf("\nEXPOSE %d %d\n", portOf(t, conf.http), conf.meshPort))
}

// Every file of deploy is read by a test, and is YAML.
func TestDeployHasNoOtherFiles(t *testing.T) {
	files, err := filepath.Glob("deploy/*")
	require.NoError(t, err)
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	require.ElementsMatch(t, append(slices.Clone(deployments),
		"services.yaml", "networkpolicy.yaml", "certificates.yaml", "endpointslices.yaml", "endpointslices-patch.yaml"), files)
}

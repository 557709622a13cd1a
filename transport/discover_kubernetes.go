package transport

import (
	"context"
	"net/http"
	"time"
)

const (
	defaultKubernetesInterval = 5 * time.Minute

	// kubernetesRetry and kubernetesMaxRetry are the pauses, before jitter, after the first failure and after many.
	kubernetesRetry    = time.Second
	kubernetesMaxRetry = 32 * time.Second
)

// KubernetesDiscoverer asks the Kubernetes API for the EndpointSlices of a Service, and watches them: a change is known
// at once. Next to [DNSDiscoverer] it asks for a right, and spares the DNS server a look-up every few seconds.
//
// Every endpoint is a peer, ready or not: a pod may need its peers to become ready. One that is terminating is a peer
// as long as it still serves, for what it writes until it ends; that of a node that was lost does not. Of an endpoint
// with several addresses the first counts. A pod with an IPv4 and an IPv6 address, of a Service with both, is listed
// twice.
//
// The pod's service account needs a Role in the Service's namespace:
//
//	rules:
//	- apiGroups: [discovery.k8s.io]
//	  resources: [endpointslices]
//	  verbs: [list, watch]
//
// Answers and events may have up to 8 MiB each. After an error the slices are listed anew, after 1 second at first, up
// to 32 if it goes on, give or take a fifth.
//
// What is left empty is set as pods find it: the API's address in KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT,
// the rest in /var/run/secrets/kubernetes.io/serviceaccount.
type KubernetesDiscoverer struct {
	// Service is the name of the Service. It need not be headless.
	Service string

	// Namespace is that of the Service, the pod's own by default.
	Namespace string

	// Port is the port that all peers listen on, PortName the name that the Service gives it, which may be a different
	// port for each pod. One of the two is needed.
	Port     int
	PortName string

	// Self is this pod, which is left out: its IP, or its host:port. The default is that nothing is left out.
	Self string

	// Interval is how long a watch goes on, give or take a fifth, before the slices are listed anew, in case that the
	// connection was lost without a sign or an event was. The default, also for zero and below, is 5 minutes.
	Interval time.Duration

	// OnError hears of requests that fail and answers that cannot be used. See [Discoverer]. That a watch came to its
	// end is no error.
	OnError func(error)

	// APIServer is the URL of the API. Over http: no token is sent, as suits a kubectl proxy.
	APIServer string

	// TokenFile has the token of the service account. It is read for each request, because it is replaced every hour
	// or so.
	TokenFile string

	// CAFile has the certificates that may have signed the API's. It is read for each request, too.
	CAFile string

	// Client is used instead of a client of our own, which trusts CAFile and heeds no proxy. It knows whom to trust, so
	// there must be no CAFile, and how to log in, unless there is a TokenFile. Its Timeout bounds a watch as well.
	// Redirects are not followed in any case.
	Client *http.Client
}

var _ Discoverer = (*KubernetesDiscoverer)(nil)

// Run looks for peers until ctx ends, see [Discoverer]. It returns the error of ctx, or at once what is wrong with the
// options, or that something was left empty and this is no pod of Kubernetes.
func (d *KubernetesDiscoverer) Run(ctx context.Context, sync func(peers []string)) error {
	run, err := newDiscovery("peers of "+d.Service+" by Kubernetes", d.Self, d.OnError, sync)
	if err != nil {
		return err
	}
	opts, err := d.normalized(serviceAccountDir)
	if err != nil {
		return run.wrap(err)
	}
	api := newKubernetesAPI(opts)
	defer api.close()
	w := endpointWatch{run: run, api: api, opts: opts}
	for try := 0; ctx.Err() == nil; try++ {
		began := time.Now()
		if err := w.follow(ctx); err != nil && ctx.Err() == nil {
			run.failed(err)
		}
		if time.Since(began) > kubernetesMaxRetry {
			try = 0
		}
		pause(ctx, spread(kubernetesRetry<<min(try, 5)))
	}
	return ctx.Err()
}

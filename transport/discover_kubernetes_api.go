package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

const (
	// maxKubernetesAnswer bounds an answer, and an event of a watch.
	maxKubernetesAnswer = 8 << 20

	// maxKubernetesRefusal bounds what is read of an answer that says why there is none.
	maxKubernetesRefusal = 64 << 10

	// kubernetesConnectTimeout bounds the steps until a connection is usable.
	kubernetesConnectTimeout = 10 * time.Second

	// kubernetesHeaderTimeout bounds the wait for the begin of an answer, which a watch has at once.
	kubernetesHeaderTimeout = 30 * time.Second
)

// kubernetesAPI asks for the EndpointSlices of one Service. It is not safe for concurrent use.
type kubernetesAPI struct {
	slices    string // URL of all EndpointSlices of the namespace
	selector  string // finds those of the Service
	tokenFile string // "": there is no token to send
	caFile    string // has whom client trusts; "": that does not change
	ca        []byte // what was in caFile when client was made
	client    *http.Client
	given     bool // others may use client's connections as well
}

// newKubernetesAPI expects normalized options. The caller closes it.
func newKubernetesAPI(opts KubernetesDiscoverer) *kubernetesAPI {
	a := &kubernetesAPI{
		selector:  "kubernetes.io/service-name=" + opts.Service,
		tokenFile: opts.TokenFile,
		caFile:    opts.CAFile,
		given:     opts.Client != nil,
	}
	server, _ := url.Parse(opts.APIServer) // it was parsed before
	a.slices = server.JoinPath("apis/discovery.k8s.io/v1/namespaces", url.PathEscape(opts.Namespace), "endpointslices").String()
	a.client = newKubernetesClient(nil)
	if a.given {
		given := *opts.Client
		given.CheckRedirect = refuseRedirect
		a.client = &given
	}
	return a
}

func newKubernetesClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		CheckRedirect: refuseRedirect,
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: kubernetesConnectTimeout}).DialContext,
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   kubernetesConnectTimeout,
			ResponseHeaderTimeout: kubernetesHeaderTimeout,
		},
	}
}

// refuseRedirect keeps the token from wherever an answer points.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// close leaves no connection behind.
func (a *kubernetesAPI) close() {
	if !a.given {
		a.client.CloseIdleConnections()
	}
}

// get asks for the slices. The caller closes the body of an answer, which is a good one.
func (a *kubernetesAPI) get(ctx context.Context, query url.Values) (*http.Response, error) {
	if err := a.trust(); err != nil {
		return nil, err
	}
	query.Set("labelSelector", a.selector)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.slices+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if a.tokenFile != "" {
		token, err := os.ReadFile(a.tokenFile)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	}
	answer, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		defer func() { _ = answer.Body.Close() }() // it is given up
		return nil, readRefusal(answer)
	}
	return answer, nil
}

// trust makes the client trust what is in the CA file now.
func (a *kubernetesAPI) trust() error {
	if a.caFile == "" {
		return nil
	}
	ca, err := os.ReadFile(a.caFile)
	if err != nil || bytes.Equal(ca, a.ca) {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return fmt.Errorf("%s has no certificates", a.caFile)
	}
	a.close()
	a.client, a.ca = newKubernetesClient(roots), ca
	return nil
}

// getList asks for one page of the slices.
func (a *kubernetesAPI) getList(ctx context.Context, query url.Values) (page endpointSliceList, err error) {
	answer, err := a.get(ctx, query)
	if err != nil {
		return page, err
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxKubernetesAnswer+1))
	switch {
	case err != nil:
		return page, err
	case len(body) > maxKubernetesAnswer:
		return page, fmt.Errorf("an answer is larger than %d bytes", maxKubernetesAnswer)
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return page, fmt.Errorf("an answer is no list of EndpointSlices: %w", err)
	}
	// The empty object would be an empty list.
	if page.Kind != "EndpointSliceList" || page.Metadata.ResourceVersion == "" {
		return page, errors.New("an answer is no list of EndpointSlices")
	}
	return page, nil
}

// kubernetesError is what the API says instead of an answer.
type kubernetesError struct {
	Code    int    `json:"code"` // that of HTTP
	Message string `json:"message"`
}

func (r *kubernetesError) Error() string {
	text := fmt.Sprintf("the API answers %d %s", r.Code, http.StatusText(r.Code))
	if r.Message != "" {
		text += ": " + r.Message
	}
	return text
}

func readRefusal(answer *http.Response) error {
	refusal := &kubernetesError{}
	body, _ := io.ReadAll(io.LimitReader(answer.Body, maxKubernetesRefusal)) // the code says enough
	if json.Unmarshal(body, refusal) != nil {
		refusal.Message = ""
	}
	refusal.Code = answer.StatusCode
	return refusal
}

// isGone tells whether err means that the API no longer knows the version that it was asked to go on from.
func isGone(err error) bool {
	var refusal *kubernetesError
	return errors.As(err, &refusal) && refusal.Code == http.StatusGone
}

package transport

import (
	"cmp"
	"fmt"
)

// endpointSliceList is a page of a discovery.k8s.io/v1 EndpointSliceList, as far as it matters here.
type endpointSliceList struct {
	Kind     string `json:"kind"`
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"`
		Continue        string `json:"continue"` // asks for the next page; "": this is the last
	} `json:"metadata"`
	Items []endpointSlice `json:"items"`
}

// endpointSlice is a part of a Service's endpoints.
type endpointSlice struct {
	Kind     string `json:"kind"` // not set in a list
	Metadata struct {
		Name            string `json:"name"`
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Endpoints []endpoint     `json:"endpoints"`
	Ports     []endpointPort `json:"ports"` // those of all endpoints
}

type endpoint struct {
	Addresses  []string `json:"addresses"` // the first stands for all
	Conditions struct {
		Serving     *bool `json:"serving"` // nil: true
		Terminating bool  `json:"terminating"`
	} `json:"conditions"`
}

type endpointPort struct {
	Name string `json:"name"`
	Port int    `json:"port"`
}

// peersOf returns the endpoints of slices that count, on port, or if that is 0, on the port of that name. A slice may list
// one that another lists as well. One without that port has none, as while the port gets its name; that no slice has
// the port is an error.
func peersOf(slices map[string]endpointSlice, port int, name string) ([]string, error) {
	var peers []string
	lacking := false
	for _, slice := range slices {
		on := cmp.Or(port, slice.port(name))
		for _, e := range slice.Endpoints {
			switch {
			case len(e.Addresses) == 0 || e.ended():
				continue
			case on == 0:
				lacking = true
				continue
			}
			p, err := joinPeer(e.Addresses[0], on)
			if err != nil {
				return nil, fmt.Errorf("EndpointSlice %s: %w", slice.Metadata.Name, err)
			}
			peers = append(peers, p)
		}
	}
	if lacking && len(peers) == 0 {
		return nil, fmt.Errorf("no endpoint has a port that is named %q", name)
	}
	return peers, nil
}

// port returns the port of that name, 0 if there is none.
func (s endpointSlice) port(name string) int {
	for _, p := range s.Ports {
		if p.Name == name {
			return p.Port
		}
	}
	return 0
}

// ended tells whether the pod behind an endpoint has nothing more to say.
func (e endpoint) ended() bool {
	return e.Conditions.Terminating && e.Conditions.Serving != nil && !*e.Conditions.Serving
}

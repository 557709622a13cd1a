package transport

import (
	"slices"
	"sync"
)

// p2pRoutes says to whom the frames of a topic go.
type p2pRoutes struct {
	mu     sync.RWMutex
	topics map[string][]p2pRoute // copied on write
}

type p2pRoute struct {
	peer *p2pPeer
	id   uint64 // by which the peer knows the topic
}

func (r *p2pRoutes) to(topic string) []p2pRoute {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.topics[topic]
}

// add has the frames of a topic go to a peer; an id stands for one topic at a time. It reports whether they did not
// before. Of several ids for one topic the highest, the newest, counts.
func (r *p2pRoutes) add(p *p2pPeer, id uint64, topic string) (added, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if earlier, known := p.topics[id]; known {
		return false, earlier == topic
	}
	if len(p.topics) >= p2pTopicsMost || p.topicBytes+len(topic) > p2pTopicBytes {
		return false, false
	}
	p.topics[id] = topic
	p.topicBytes += len(topic)
	routes := r.topics[topic]
	i := slices.IndexFunc(routes, func(x p2pRoute) bool { return x.peer == p })
	switch {
	case i < 0:
		r.topics[topic] = append(slices.Clip(routes), p2pRoute{p, id})
	case routes[i].id < id:
		routes = slices.Clone(routes)
		routes[i].id = id
		r.topics[topic] = routes
	}
	return i < 0, true
}

// remove ends what add began.
func (r *p2pRoutes) remove(p *p2pPeer, id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if topic, ok := p.topics[id]; ok {
		delete(p.topics, id)
		p.topicBytes -= len(topic)
		r.without(topic, p2pRoute{p, id})
	}
}

// drop removes all routes to a peer.
func (r *p2pRoutes) drop(p *p2pPeer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, topic := range p.topics {
		r.without(topic, p2pRoute{p, id})
	}
	clear(p.topics)
	p.topicBytes = 0
}

func (r *p2pRoutes) without(topic string, route p2pRoute) {
	i := slices.Index(r.topics[topic], route)
	switch {
	case i < 0:
	case len(r.topics[topic]) == 1:
		delete(r.topics, topic)
	default:
		r.topics[topic] = slices.Delete(slices.Clone(r.topics[topic]), i, i+1)
	}
}

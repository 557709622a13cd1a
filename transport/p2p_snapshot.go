package transport

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"time"
)

const (
	// p2pPieceBytes is how much of a snapshot is asked for at a time: the next piece when one has come, so that neither side
	// has a second copy in its queues.
	p2pPieceBytes = 256 << 10

	// p2pSnapshotMost is the largest snapshot in bytes.
	p2pSnapshotMost = 1<<31 - 1
)

// p2pSnapshots are the snapshots that were stored here, and the questions for those of others that wait for an answer.
type p2pSnapshots struct {
	mu      sync.Mutex
	byTopic map[string]*p2pSnapshot // what they point to never changes
	asked   map[uint64]p2pAsked
	lastAsk uint64
}

// p2pAsked is a question to a peer.
type p2pAsked struct {
	peer   *p2pPeer
	answer chan<- p2pPieceOf // has room for one
}

// p2pSnapshot is a snapshot, or what is known of one.
type p2pSnapshot struct {
	version uint64 // ns since 1970 by the clock of who stored it, higher than the one before; 0: there is none
	size    uint64
	sum     uint32 // CRC32C
	data    []byte
}

// p2pWish asks for a part of a snapshot, for none of it if most is 0.
type p2pWish struct {
	ask, offset, most uint64
	topic             string
}

// p2pPieceOf is a part of a snapshot, from offset on.
type p2pPieceOf struct {
	ask, offset uint64
	p2pSnapshot
}

func (w *p2pWish) frame() []byte {
	b := binary.AppendUvarint(nil, w.ask)
	b = binary.AppendUvarint(b, w.offset)
	b = binary.AppendUvarint(b, w.most)
	return appendP2PFrame(nil, p2pFetch, append(b, w.topic...))
}

func parseP2PWish(body []byte) (w p2pWish, err error) {
	f := p2pFields{b: body}
	w = p2pWish{ask: f.number(), offset: f.number(), most: f.number()}
	w.topic = string(f.rest())
	return w, f.err(p2pFetch)
}

func (p *p2pPieceOf) frame() []byte {
	b := binary.AppendUvarint(make([]byte, 0, p2pOverhead+len(p.data)), p.ask)
	b = binary.AppendUvarint(b, p.offset)
	b = binary.AppendUvarint(b, p.version)
	b = binary.AppendUvarint(b, p.size)
	b = binary.AppendUvarint(b, uint64(p.sum))
	return appendP2PFrame(nil, p2pPiece, append(b, p.data...))
}

func parseP2PPiece(body []byte) (p p2pPieceOf, err error) {
	f := p2pFields{b: body}
	p = p2pPieceOf{ask: f.number(), offset: f.number()}
	p.version, p.size = f.number(), f.number()
	p.sum = uint32(f.number())
	p.data = f.rest()
	return p, f.err(p2pPiece)
}

func (s *p2pSnapshots) init() {
	s.byTopic, s.asked = map[string]*p2pSnapshot{}, map[uint64]p2pAsked{}
}

func (s *p2pSnapshots) of(topic string) *p2pSnapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byTopic[topic]
}

// Snapshot keeps a copy of data, up to 2 GiB, as the snapshot of topic, for peers to fetch while the transport is open. Empty
// data removes it. It returns [ErrClosed], [ErrEmptyTopic], [ErrSnapshotTooLarge] or the error of a ctx that has ended.
func (t *P2PTransport) Snapshot(ctx context.Context, topic string, data []byte) error {
	if err := t.check(ctx, topic); err != nil {
		return err
	}
	if len(data) > p2pSnapshotMost {
		return fmt.Errorf("p2p: topic %q: %w: %d bytes", topic, ErrSnapshotTooLarge, len(data))
	}
	data = bytes.Clone(data)
	sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	s := &t.snapshots
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(data) == 0 {
		delete(s.byTopic, topic)
		return nil
	}
	next := &p2pSnapshot{version: uint64(time.Now().UnixNano()), size: uint64(len(data)), sum: sum, data: data}
	if before := s.byTopic[topic]; before != nil {
		next.version = max(next.version, before.version+1)
	}
	s.byTopic[topic] = next
	return nil
}

// FetchSnapshot returns the newest snapshot of topic, by the clocks of those who stored them, that was stored here or by a
// connected peer and arrives whole; nil if there is none. It first waits until the discoveries of [SyncPeers] have said who
// is there, and each peer that the transport dials is connected or could not be reached, but no longer than SnapshotTimeout: without
// peers, or with none that answer at their addresses, it returns at once. Peers that do not answer cost that time once more. It returns
// [ErrClosed], [ErrEmptyTopic], the error of a ctx that has ended, or why none of those that were offered could be fetched.
func (t *P2PTransport) FetchSnapshot(ctx context.Context, topic string) ([]byte, error) {
	if err := t.check(ctx, topic); err != nil {
		return nil, err
	}
	t.awaitPeers(ctx)
	const attempts = 5
	var err error
	for range attempts { // for a snapshot that is replaced while it is fetched
		var data []byte
		if data, err = t.fetch(ctx, topic); !errors.Is(err, errP2PChanged) {
			return data, err
		}
	}
	return nil, err
}

// fetch returns the newest snapshot of those offered that can be fetched.
func (t *P2PTransport) fetch(ctx context.Context, topic string) (data []byte, err error) {
	for _, found := range t.offers(ctx, topic) {
		if found.conn == nil {
			return bytes.Clone(found.data), nil
		}
		if data, err = t.download(ctx, found.conn, topic, found.p2pSnapshot); err == nil {
			return data, nil
		}
		if ctx.Err() != nil || errors.Is(err, errP2PChanged) {
			break
		}
		err = fmt.Errorf("snapshot of %q from %s: %w", topic, found.conn.name(), err)
		t.report(err)
	}
	if failed := t.check(ctx, topic); failed != nil {
		return nil, failed
	}
	return nil, err
}

// awaitPeers waits until it is known of each peer whether it is there.
func (t *P2PTransport) awaitPeers(ctx context.Context) {
	timeout := time.NewTimer(t.options.SnapshotTimeout)
	defer timeout.Stop()
	for tried := map[<-chan struct{}]bool{}; ; {
		t.mu.Lock()
		unsettled := slices.DeleteFunc(t.unsettled(), func(c <-chan struct{}) bool { return tried[c] })
		t.mu.Unlock()
		if len(unsettled) == 0 {
			return
		}
		for _, settled := range unsettled { // a discovery may have brought more
			select {
			case <-settled:
				tried[settled] = true
			case <-timeout.C:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// p2pOffer is a snapshot, and the connection to who has it, nil for our own.
type p2pOffer struct {
	p2pSnapshot
	conn *p2pConn
}

// offers asks all peers what they have, and returns it, the newest first.
func (t *P2PTransport) offers(ctx context.Context, topic string) []p2pOffer {
	var offers []p2pOffer
	if own := t.snapshots.of(topic); own != nil {
		offers = append(offers, p2pOffer{*own, nil})
	}
	t.mu.Lock()
	conns := make([]*p2pConn, 0, len(t.peers))
	for _, p := range t.peers {
		conns = append(conns, p.conn)
	}
	t.mu.Unlock()
	answers := make(chan p2pOffer)
	for _, c := range conns {
		go func() {
			piece, err := t.ask(ctx, c, p2pWish{topic: topic})
			if err != nil {
				piece = p2pPieceOf{}
			}
			answers <- p2pOffer{piece.p2pSnapshot, c}
		}()
	}
	for range conns {
		if offer := <-answers; offer.size > 0 {
			offers = append(offers, offer)
		}
	}
	slices.SortFunc(offers, func(a, b p2pOffer) int { return cmp.Compare(b.version, a.version) })
	return offers
}

var (
	errP2PNoAnswer  = errors.New("no answer in time")
	errP2PDamaged   = errors.New("it came damaged")
	errP2PChanged   = errors.New("it was replaced meanwhile")
	errP2PConnEnded = errors.New("the connection has ended")
)

// download fetches a snapshot piece by piece.
func (t *P2PTransport) download(ctx context.Context, c *p2pConn, topic string, s p2pSnapshot) ([]byte, error) {
	if s.size > p2pSnapshotMost {
		return nil, ErrSnapshotTooLarge
	}
	var data []byte // grows as it comes, whatever size is claimed
	for uint64(len(data)) < s.size {
		piece, err := t.ask(ctx, c, p2pWish{topic: topic, offset: uint64(len(data)), most: p2pPieceBytes})
		switch {
		case err != nil:
			return nil, err
		case piece.version != s.version:
			return nil, errP2PChanged
		case piece.offset != uint64(len(data)) || uint64(len(piece.data)) != min(p2pPieceBytes, s.size-uint64(len(data))):
			return nil, errP2PDamaged
		}
		data = append(data, piece.data...)
	}
	if crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) != s.sum {
		return nil, errP2PDamaged
	}
	return data, nil
}

// ask waits for the answer of a peer. It asks twice: the answer is lost if the peer's queue is full.
func (t *P2PTransport) ask(ctx context.Context, c *p2pConn, wish p2pWish) (p2pPieceOf, error) {
	answer := make(chan p2pPieceOf, 1)
	s := &t.snapshots
	s.mu.Lock()
	s.lastAsk++
	wish.ask = s.lastAsk
	s.asked[wish.ask] = p2pAsked{c.peer, answer}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.asked, wish.ask)
	}()
	const times = 2
	timeout := time.NewTicker(t.options.SnapshotTimeout/times + 1)
	defer timeout.Stop()
	for range times {
		c.sender.control(wish.frame())
		select {
		case piece := <-answer:
			return piece, nil
		case <-timeout.C:
		case <-c.failed:
			return p2pPieceOf{}, errP2PConnEnded
		case <-ctx.Done():
			return p2pPieceOf{}, ctx.Err()
		}
	}
	return p2pPieceOf{}, errP2PNoAnswer
}

// answer sends a peer what it wishes for, if there is room in its queue.
func (t *P2PTransport) answer(c *p2pConn, wish p2pWish) {
	piece := p2pPieceOf{ask: wish.ask, offset: wish.offset}
	if s := t.snapshots.of(wish.topic); s != nil {
		from := min(wish.offset, s.size)
		piece.p2pSnapshot = *s
		piece.data = s.data[from:min(from+min(wish.most, p2pPieceBytes), s.size)]
	}
	if c.sender.offer(p2pOut{bytes: piece.frame(), counted: true}) == lostFirst {
		t.report(fmt.Errorf("topic %q: what waits for a peer: %w", wish.topic, ErrQueueFull))
	}
}

// takePiece hands a piece to who waits for it.
func (t *P2PTransport) takePiece(from *p2pPeer, piece p2pPieceOf) {
	s := &t.snapshots
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked, ok := s.asked[piece.ask]; ok && asked.peer == from {
		delete(s.asked, piece.ask)
		asked.answer <- piece
	}
}

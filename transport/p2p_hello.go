package transport

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"time"
)

const (
	p2pMagic = "podshare"

	// The versions of this layout that are spoken. Peers use the newest that both speak.
	p2pVersionOldest, p2pVersionNewest = 1, 1

	p2pProofsMost = 4
	p2pProofBytes = sha256.Size
)

// p2pID is one transport's for as long as it lives.
type p2pID [16]byte

// p2pGreeting is the body of a hello.
type p2pGreeting struct {
	oldest, newest byte // versions spoken
	id             p2pID
	keepAlive      time.Duration
	maxFrame       uint64 // bytes of the largest frame that is taken
	node           string
	advertise      string // host:port; the host may be missing: it is what the other side sees
	proofs         [][p2pProofBytes]byte
}

func (g *p2pGreeting) bytes() []byte {
	b := []byte(p2pMagic)
	b = append(b, g.oldest, g.newest)
	b = append(b, g.id[:]...)
	b = binary.AppendUvarint(b, uint64(g.keepAlive.Milliseconds()))
	b = binary.AppendUvarint(b, g.maxFrame)
	b = appendP2PText(b, g.node)
	b = appendP2PText(b, g.advertise)
	b = binary.AppendUvarint(b, uint64(len(g.proofs)))
	for _, proof := range g.proofs {
		b = append(b, proof[:]...)
	}
	return b
}

// parseP2PGreeting reads a hello. What comes after the fields known is a newer version's.
func parseP2PGreeting(body []byte) (g p2pGreeting, err error) {
	f := p2pFields{b: body}
	if string(f.bytes(uint64(len(p2pMagic)))) != p2pMagic {
		return g, fmt.Errorf("%w: it does not say %q", errP2PMalformed, p2pMagic)
	}
	if versions := f.bytes(2); !f.bad {
		g.oldest, g.newest = versions[0], versions[1]
	}
	copy(g.id[:], f.bytes(uint64(len(g.id))))
	const keepAliveMost = uint64(24 * time.Hour / time.Millisecond)
	g.keepAlive = time.Duration(min(f.number(), keepAliveMost)) * time.Millisecond
	g.maxFrame = f.number()
	g.node, g.advertise = f.text(), f.text()
	proofs := f.number()
	if proofs > p2pProofsMost {
		return g, fmt.Errorf("%w: %d proofs", errP2PMalformed, proofs)
	}
	for range proofs {
		var proof [p2pProofBytes]byte
		copy(proof[:], f.bytes(p2pProofBytes))
		g.proofs = append(g.proofs, proof)
	}
	return g, f.err(p2pHello)
}

// Labels of the proofs: what one side proved, the other cannot repeat.
const (
	p2pExporterLabel = "EXPORTER-podshare-p2p"
	p2pDialerLabel   = "podshare p2p dialer"
	p2pListenerLabel = "podshare p2p listener"
)

// proofs returns what shows, in this very TLS session and for one of its sides, that one knows the secrets: a
// HMAC-SHA256 of the label and of key material that is exported from the session (RFC 5705, RFC 8446 section 7.5). Who is
// in the middle has another session with each side, and a proof of an earlier session says nothing in a later one.
func (s *p2pSecurity) proofs(nc net.Conn, label string) ([][p2pProofBytes]byte, error) {
	if s.secrets == nil {
		return nil, nil
	}
	state := nc.(*tls.Conn).ConnectionState()
	exported, err := state.ExportKeyingMaterial(p2pExporterLabel, nil, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	proofs := make([][p2pProofBytes]byte, len(s.secrets))
	for i, secret := range s.secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(label))
		mac.Write(exported)
		mac.Sum(proofs[i][:0])
	}
	return proofs, nil
}

// p2pHandshake exchanges hellos over a connection that is as secure as certificates make it. Who dialled speaks first, so
// that a listener tells strangers nothing; either side believes the other once it has proved one of the secrets.
func p2pHandshake(nc net.Conn, r *p2pReader, s *p2pSecurity, mine p2pGreeting, dialled bool) (theirs p2pGreeting, err error) {
	myLabel, theirLabel := p2pListenerLabel, p2pDialerLabel
	if dialled {
		myLabel, theirLabel = theirLabel, myLabel
	}
	if mine.proofs, err = s.proofs(nc, myLabel); err != nil {
		return theirs, err
	}
	hello := appendP2PFrame(nil, p2pHello, mine.bytes())
	if dialled {
		if _, err := nc.Write(hello); err != nil {
			return theirs, err
		}
	}
	if theirs, err = readP2PGreeting(r); err != nil {
		if dialled && s.client == nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
			err = fmt.Errorf("no hello, it may want TLS or a secret: %w", err)
		}
		return theirs, err
	}
	if err = s.believe(nc, &theirs, theirLabel); err == nil && (theirs.newest < p2pVersionOldest || theirs.oldest > p2pVersionNewest) {
		err = fmt.Errorf("it speaks versions %d to %d of the protocol, this one %d to %d", theirs.oldest, theirs.newest, p2pVersionOldest, p2pVersionNewest)
	}
	if err != nil {
		_, _ = nc.Write(appendP2PFrame(nil, p2pBye, []byte(p2pRefusal(err)))) // so that its log says why
		return theirs, err
	}
	if !dialled {
		_, err = nc.Write(hello)
	}
	return theirs, err
}

func p2pRefusal(err error) string {
	if errors.Is(err, ErrPeerUnauthenticated) {
		return "refused: no proof of a secret known here"
	}
	return "refused: " + err.Error()
}

func readP2PGreeting(r *p2pReader) (g p2pGreeting, err error) {
	kind, body, err := r.next()
	switch {
	case err != nil:
		return g, err
	case kind == p2pBye:
		return g, p2pSaidBye(body)
	case kind != p2pHello:
		return g, fmt.Errorf("%w: kind %d instead of a hello", errP2PMalformed, kind)
	}
	return parseP2PGreeting(body)
}

// believe checks the other side's proofs.
func (s *p2pSecurity) believe(nc net.Conn, theirs *p2pGreeting, label string) error {
	if s.secrets == nil {
		return nil
	}
	want, err := s.proofs(nc, label)
	if err != nil {
		return err
	}
	for _, proof := range theirs.proofs {
		if slices.ContainsFunc(want, func(w [p2pProofBytes]byte) bool { return hmac.Equal(w[:], proof[:]) }) {
			return nil
		}
	}
	return fmt.Errorf("%w: it proves no secret known here", ErrPeerUnauthenticated)
}

// p2pByeError is the other side's reason to end a connection.
type p2pByeError struct{ reason string }

func (e *p2pByeError) Error() string { return fmt.Sprintf("the peer says: %q", e.reason) }

func p2pSaidBye(body []byte) error {
	const most = 200 // bytes of a reason
	return &p2pByeError{reason: string(body[:min(len(body), most)])}
}

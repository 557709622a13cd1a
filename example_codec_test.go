package podshare_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"

	"github.com/podshare/podshare"
)

// How are values sent as msgpack instead of JSON?
func ExampleMsgpackCodec() {
	type limit struct {
		Requests int    `json:"requests"` // the json tag counts where there is no msgpack tag
		Per      string `json:"per"`
	}
	a, b, end := pods(podshare.WithCodec[limit](podshare.MsgpackCodec{}))
	defer end()
	events := b.Watch(context.Background())

	if err := a.Set(context.Background(), "upload", limit{25, "minute"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println((<-events).Value)
	// Output: {25 minute}
}

// messageCodec is for pointers to messages that write and read themselves, as generated code for protocol buffers
// does: P is *M and has the methods. Such a message must not be copied, hence a Store of pointers.
type messageCodec[M any, P interface {
	*M
	Marshal() ([]byte, error)
	Unmarshal(b []byte) error
}] struct{}

func (messageCodec[M, P]) Marshal(v any) ([]byte, error) {
	m, _ := v.(P)
	if m == nil {
		return nil, errors.New("no message")
	}
	return m.Marshal()
}

// Unmarshal gets a pointer to the value, which is a pointer itself. A message must not keep b.
func (messageCodec[M, P]) Unmarshal(b []byte, v any) error {
	m := P(new(M))
	*v.(*P) = m
	return m.Unmarshal(b)
}

// Name is what pods compare: change it when old bytes become unreadable.
func (messageCodec[M, P]) Name() string { return "binary" }

// point is such a message.
type point struct{ x, y uint32 }

func (p *point) Marshal() ([]byte, error) {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, p.x), p.y), nil
}

func (p *point) Unmarshal(b []byte) error {
	if len(b) != 8 {
		return errors.New("a point has 8 bytes")
	}
	p.x, p.y = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	return nil
}

// How does a type that encodes itself, such as a protocol buffer, become the value of a Store?
func ExampleWithCodec() {
	a, b, end := pods(podshare.WithCodec[*point](messageCodec[point, *point]{}))
	defer end()
	events := b.Watch(context.Background())

	if err := a.Set(context.Background(), "home", &point{3, 4}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(*(<-events).Value)
	// Output: {3 4}
}

package podshare_test

import (
	"testing"

	"github.com/podshare/podshare"
)

// codecs are those to compare; both write the same value with the same names.
var codecs = []struct {
	name string
	podshare.Codec
}{{"json", podshare.JSONCodec{}}, {"msgpack", podshare.MsgpackCodec{}}}

func BenchmarkMarshal(b *testing.B) {
	v := sampleRoute()
	for _, c := range codecs {
		b.Run("codec="+c.name, func(b *testing.B) {
			b.ReportAllocs()
			encoded, err := c.Marshal(v)
			for b.Loop() {
				encoded, err = c.Marshal(v)
			}
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(encoded)), "bytes")
		})
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	for _, c := range codecs {
		b.Run("codec="+c.name, func(b *testing.B) {
			encoded, err := c.Marshal(sampleRoute())
			b.ReportAllocs()
			for b.Loop() {
				var v route
				if err == nil {
					err = c.Unmarshal(encoded, &v)
				}
			}
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

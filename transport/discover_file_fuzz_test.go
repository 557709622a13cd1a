package transport

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What comes out of a file is in canonical form, and written back, it comes out again.
func FuzzPeersFile(f *testing.F) {
	for _, seed := range []string{"", "# none\n", "a:1\nb:2 # two\r\n", "[::FFFF:1.2.3.4]:007\n", "[fe80::1%eth0]:1", "a.:1", "10.0.0.1:", "_x-y.z9:65535"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		peers, err := parsePeers(content)
		if err != nil {
			require.Empty(t, peers)
			return
		}
		require.LessOrEqual(t, len(peers), 1+bytes.Count(content, []byte("\n")))
		again, err := parsePeers([]byte("#\n" + strings.Join(peers, "\n")))
		require.NoError(t, err)
		require.Equal(t, peers, again)
		for _, p := range peers {
			self, err := parseSelf(p)
			require.NoError(t, err)
			require.True(t, self.is(p))
		}
	})
}

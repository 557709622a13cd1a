package transport_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

// What was good goes on being used, and the error is told once.
func TestCertificateFilesThatCannotBeUsed(t *testing.T) {
	ca, newer := newAuthority(t, "ca"), newAuthority(t, "newer")
	far := func(c *x509.Certificate) { c.NotBefore = time.Unix(0, 0) }
	first, second := ca.issue(far, serial(1)), ca.issue(far, serial(2))
	chain := append(bytes.Clone(second.cert), newer.pem...)
	for name, c := range map[string]struct {
		file    string
		content []byte
		want    string
	}{
		"only the certificate is new":  {"tls.crt", second.cert, "private key does not match public key"},
		"only the key is new":          {"tls.key", second.key, "private key does not match public key"},
		"half a certificate":           {"tls.crt", second.cert[:len(second.cert)/2], "0 of 1 PEM blocks"},
		"a chain that is not whole":    {"tls.crt", chain[:len(chain)-40], "1 of 2 PEM blocks"},
		"half a key":                   {"tls.key", second.key[:100], "0 of 1 PEM blocks"},
		"an empty key":                 {"tls.key", nil, "0 of 0 PEM blocks"},
		"no certificates":              {"ca.crt", []byte("# none"), "0 of 0 PEM blocks"},
		"half the authorities":         {"ca.crt", bundle(newer, ca)[:len(newer.pem)+200], "1 of 2 PEM blocks"},
		"a key among the authorities":  {"ca.crt", append(bundle(newer), first.key...), "there is a PRIVATE KEY among them"},
		"an authority that is garbage": {"ca.crt", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newCertificateDir(t, first, ca)
			synctest.Test(t, func(t *testing.T) {
				a, errs := dir.open()
				dir.write(c.file, c.content)
				for range 5 {
					time.Sleep(10 * time.Second)
					wantShown(t, a, a, first, first)
				}
				require.ErrorContains(t, errs.all(), c.want)
				require.ErrorContains(t, errs.all(), filepath.Join(dir.path, c.file))
				require.Equal(t, 1, errs.count())

				dir.own(second)
				dir.trust(ca)
				time.Sleep(10 * time.Second)
				wantShown(t, a, a, second, second)
				require.Equal(t, 1, errs.count())

				require.NoError(t, os.Remove(filepath.Join(dir.path, c.file)))
				time.Sleep(10 * time.Second)
				wantShown(t, a, a, second, second)
				require.ErrorIs(t, errs.all(), os.ErrNotExist)
				require.Equal(t, 2, errs.count())
			})
		})
	}
}

// Authorities that cannot be used do not keep an old certificate until it expires, nor the other way round.
func TestCertificateFilesAreReplacedEachForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, newer := newAuthority(t, "ca"), newAuthority(t, "newer")
		first, second, third := ca.issue(serial(1)), ca.issue(serial(2)), newer.issue(serial(3))
		dir := newCertificateDir(t, first, ca)
		a, errs := dir.open()
		dir.write("ca.crt", nil)
		dir.own(second)
		time.Sleep(10 * time.Second)
		wantShown(t, a, a, second, second)
		require.ErrorContains(t, errs.take(), "authorities in")

		dir.write("tls.key", nil)
		dir.trust(ca, newer)
		time.Sleep(10 * time.Second)
		b, _ := newCertificateDir(t, third, ca, newer).open()
		wantShown(t, a, b, second, third)
		require.ErrorContains(t, errs.take(), "tls.key")
	})
}

func TestNewCertificateFilesSaysWhatIsWrong(t *testing.T) {
	ca := newAuthority(t, "ca")
	for name, c := range map[string]struct {
		change func(certificateDir, *transport.CertificateFilesOptions)
		want   string
	}{
		"no CertFile": {func(_ certificateDir, o *transport.CertificateFilesOptions) { o.CertFile = "" }, "are needed"},
		"no KeyFile":  {func(_ certificateDir, o *transport.CertificateFilesOptions) { o.KeyFile = "" }, "are needed"},
		"no CAFile":   {func(_ certificateDir, o *transport.CertificateFilesOptions) { o.CAFile = "" }, "are needed"},
		"no file":     {func(_ certificateDir, o *transport.CertificateFilesOptions) { o.CAFile += ".no" }, "no such file"},
		"another key": {func(d certificateDir, _ *transport.CertificateFilesOptions) { d.write("tls.key", ca.issue().key) }, "does not match"},
		"all at once": {func(d certificateDir, _ *transport.CertificateFilesOptions) {
			d.write("tls.key", nil)
			d.write("ca.crt", nil)
		}, "ca.crt: 0 of 0"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newCertificateDir(t, ca.issue(), ca)
			opts := dir.options()
			opts.OnError = func(err error) { t.Error("returned and reported:", err) }
			c.change(dir, &opts)
			files, err := transport.NewCertificateFiles(opts)
			require.ErrorContains(t, err, c.want)
			require.Nil(t, files)
		})
	}
}

// One handshake reads the files; whatever holds it up holds up no other. So OnError may connect, too.
func TestCertificateFilesHoldUpOneHandshakeAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "ca")
		own := ca.issue()
		dir := newCertificateDir(t, own, ca)
		opts := dir.options()
		goOn := make(chan struct{})
		var a *tls.Config
		opts.OnError = func(error) {
			_, err, _ := handshake(a, a)
			assert.NoError(t, err)
			<-goOn
			panic("handler")
		}
		a = openCertificates(t, opts)
		dir.write("ca.crt", nil)
		time.Sleep(10 * time.Second)
		held := make(chan error, 1)
		go func() {
			_, err, _ := handshake(a, a)
			held <- err
		}()
		synctest.Wait()
		for range 3 {
			wantShown(t, a, a, own, own)
			time.Sleep(time.Hour)
		}
		require.Empty(t, held)
		close(goOn)
		require.NoError(t, <-held)
	})
}

// The files change all the time, and every handshake reads them: some read a certificate and the key of another. None
// fails.
func TestCertificateFilesChangeUnderTraffic(t *testing.T) {
	ca := newAuthority(t, "ca")
	dir := newCertificateDir(t, ca.issue(), ca)
	opts := dir.options()
	opts.Interval = 1
	a := openCertificates(t, opts)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 50 {
				_, clientErr, serverErr := handshake(a, a)
				assert.NoError(t, clientErr)
				assert.NoError(t, serverErr)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	changes := []issued{ca.issue(), ca.issue()}
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
			dir.own(changes[i%2])
		}
	}
}

package transport_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

// certificateDir has the three files of a pod.
type certificateDir struct {
	t    *testing.T
	path string
}

func newCertificateDir(t *testing.T, own issued, authorities ...*authority) certificateDir {
	t.Helper()
	d := certificateDir{t, t.TempDir()}
	d.own(own)
	d.trust(authorities...)
	return d
}

func (d certificateDir) write(name string, content []byte) {
	d.t.Helper()
	replaceFile(d.t, filepath.Join(d.path, name), string(content))
}

func (d certificateDir) own(i issued) {
	d.t.Helper()
	d.write("tls.crt", i.cert)
	d.write("tls.key", i.key)
}

func (d certificateDir) trust(authorities ...*authority) {
	d.t.Helper()
	d.write("ca.crt", bundle(authorities...))
}

func bundle(authorities ...*authority) []byte {
	var all []byte
	for _, a := range authorities {
		all = append(all, a.pem...)
	}
	return all
}

// options returns those for the files, where every certificate has the name "mesh".
func (d certificateDir) options() transport.CertificateFilesOptions {
	return transport.CertificateFilesOptions{
		CertFile: filepath.Join(d.path, "tls.crt"), KeyFile: filepath.Join(d.path, "tls.key"),
		CAFile: filepath.Join(d.path, "ca.crt"), ServerName: "mesh",
	}
}

func (d certificateDir) open() (*tls.Config, *reports) {
	d.t.Helper()
	opts, errs := d.options(), &reports{}
	opts.OnError = errs.add
	return openCertificates(d.t, opts), errs
}

func openCertificates(t *testing.T, opts transport.CertificateFilesOptions) *tls.Config {
	t.Helper()
	files, err := transport.NewCertificateFiles(opts)
	require.NoError(t, err)
	return files.TLSConfig()
}

func TestCertificateFilesShowWhatIsInTheFilesNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "ca")
		first, second, other := ca.issue(), ca.issue(serial(2)), ca.issue(serial(3))
		dir := newCertificateDir(t, first, ca)
		a, errs := dir.open()
		b, _ := newCertificateDir(t, other, ca).open()
		wantShown(t, a, b, first, other)

		dir.own(second)
		time.Sleep(10*time.Second - 1)
		wantShown(t, a, b, first, other)
		time.Sleep(time.Nanosecond)
		wantShown(t, a, b, second, other)
		require.NoError(t, errs.all())
	})
}

// As Kubernetes does with a Secret.
func TestCertificateFilesFollowALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "ca")
		first, second := ca.issue(serial(1)), ca.issue(serial(2))
		link := filepath.Join(t.TempDir(), "..data")
		swap := func(to certificateDir) {
			require.NoError(t, os.Symlink(to.path, link+"_tmp"))
			require.NoError(t, os.Rename(link+"_tmp", link))
		}
		swap(newCertificateDir(t, first, ca))
		a, errs := certificateDir{t, link}.open()
		wantShown(t, a, a, first, first)
		swap(newCertificateDir(t, second, ca))
		time.Sleep(10 * time.Second)
		wantShown(t, a, a, second, second)
		require.NoError(t, errs.all())
	})
}

// Both authorities are in all files while certificates are replaced: no pod refuses another at any step.
//
//	a: old key ── trusts old+new ── new key ─────────────── trusts new
//	b: old key ───── trusts old+new ────────── new key ────────── trusts new
func TestCertificateFilesChangeToAnotherAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		older, newer := newAuthority(t, "older"), newAuthority(t, "newer")
		oldA, oldB, newA, newB := older.issue(serial(1)), older.issue(serial(2)), newer.issue(serial(3)), newer.issue(serial(4))
		dirA, dirB := newCertificateDir(t, oldA, older), newCertificateDir(t, oldB, older)
		a, errsA := dirA.open()
		b, errsB := dirB.open()
		byA, byB := oldA, oldB
		for _, step := range []func(){
			func() {},
			func() { dirA.trust(older, newer) },
			func() { dirB.trust(older, newer) },
			func() { dirA.own(newA); byA = newA },
			func() { dirB.own(newB); byB = newB },
			func() { dirA.trust(newer) },
			func() { dirB.trust(newer) },
		} {
			step()
			time.Sleep(10 * time.Second)
			wantShown(t, a, b, byA, byB)
		}
		require.NoError(t, errsA.all())
		require.NoError(t, errsB.all())

		late, _ := newCertificateDir(t, oldB, older, newer).open()
		wantRefused(t, late, a, "", "unknown authority")
		wantRefused(t, a, late, "unknown authority", "")
	})
}

func serial(n int64) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.SerialNumber.SetInt64(n) }
}

func TestCertificateFilesRefuseOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, foreign := newAuthority(t, "ca"), newAuthority(t, "ca")
		pod, _ := newCertificateDir(t, ca.issue(), ca).open()
		for name, c := range map[string]struct {
			other            issued
			server, byServer string // what the pod says to it as a client and as a server; "": welcome
		}{
			"one of us":            {ca.issue(), "", ""},
			"a foreign authority":  {foreign.issue(), "unknown authority", "unknown authority"},
			"expired":              {ca.issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "expired", "expired"},
			"not yet valid":        {ca.issue(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), "not yet valid", "not yet valid"},
			"a client only":        {ca.issue(usage(x509.ExtKeyUsageClientAuth)), "incompatible key usage", ""},
			"a server only":        {ca.issue(usage(x509.ExtKeyUsageServerAuth)), "", "incompatible key usage"},
			"another name":         {ca.issue(func(c *x509.Certificate) { c.DNSNames = []string{"other"} }), "not mesh", ""},
			"no name":              {ca.issue(func(c *x509.Certificate) { c.DNSNames = nil }), "not valid for any names", ""},
			"an unknown signature": {ca.intermediate("i").issue(), "unknown authority", "unknown authority"},
		} {
			t.Log(name)
			other, _ := newCertificateDir(t, c.other, ca).open()
			check := func(client, server *tls.Config, byClient, byServer string) {
				_, clientErr, serverErr := handshake(client, server)
				if byClient == "" && byServer == "" {
					require.NoError(t, clientErr)
					require.NoError(t, serverErr)
					return
				}
				require.Error(t, clientErr)
				require.Error(t, serverErr)
				require.ErrorContains(t, clientErr, byClient)
				require.ErrorContains(t, serverErr, byServer)
			}
			check(pod, other, c.server, "")
			check(other, pod, "", c.byServer)
		}
		anonymous := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: ca.pool(), ServerName: "mesh"}
		wantRefused(t, anonymous, pod, "", "didn't provide a certificate")
		old := &tls.Config{MaxVersion: tls.VersionTLS12, RootCAs: ca.pool(), ServerName: "mesh", Certificates: []tls.Certificate{ca.issue().tls(t)}} //nolint:gosec // what must be refused
		wantRefused(t, old, pod, "", "unsupported versions")
		wantRefused(t, pod, old, "", "")
	})
}

func usage(u x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{u} }
}

func TestCertificateFilesRefuseWhatExpiresWhileTheyAreOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "ca")
		first := ca.issue()
		dir := newCertificateDir(t, first, ca)
		a, _ := dir.open()
		time.Sleep(24*time.Hour - time.Second)
		wantShown(t, a, a, first, first)
		time.Sleep(2 * time.Second)
		wantRefused(t, a, a, "expired", "")
		second := ca.issue()
		dir.own(second)
		time.Sleep(10 * time.Second)
		wantShown(t, a, a, second, second)
	})
}

func TestCertificateFilesShowIntermediates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "ca")
		between := ca.intermediate("between")
		own := between.issue()
		own.cert = append(own.cert, between.pem...)
		a, _ := newCertificateDir(t, own, ca).open()
		b, _ := newCertificateDir(t, ca.issue(serial(2)), ca).open()
		wantShown(t, a, b, own, ca.issue(serial(2)))
	})
}

func TestCertificateFilesWithoutAServerNameWantTheNameThatWasDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "ca")
		dir := newCertificateDir(t, ca.issue(func(c *x509.Certificate) { c.DNSNames = []string{"pod-0.mesh"} }), ca)
		opts := dir.options()
		opts.ServerName = ""
		a := openCertificates(t, opts)
		dialled := func(name string) *tls.Config {
			c := a.Clone()
			c.ServerName = name // as tls.Dial does
			return c
		}
		_, clientErr, serverErr := handshake(dialled("pod-0.mesh"), a)
		require.NoError(t, clientErr)
		require.NoError(t, serverErr)
		wantRefused(t, dialled("pod-1.mesh"), a, "not pod-1.mesh", "")
		wantRefused(t, dialled("127.0.0.1"), a, "ServerName is needed to connect to an IP address", "")
		wantRefused(t, dialled(""), a, "ServerName is needed", "")

		opts.ServerName = "127.0.0.1" // all pods have it here, too
		named := openCertificates(t, opts)
		_, clientErr, serverErr = handshake(named, a)
		require.NoError(t, clientErr)
		require.NoError(t, serverErr)
	})
}

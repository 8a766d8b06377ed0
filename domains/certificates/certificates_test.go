package certificates_test

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/domains"
	"github.com/terse/terse/domains/certificates"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// TestObtain obtains certificates ahead and on demand, under concurrent handshakes.
func TestObtain(t *testing.T) {
	t.Parallel()
	p := listenTwice(t)
	ca := p.pebble(t, testenv.PebbleOptions{})
	under := openStore(t)
	n := newNode(t, p, ca, under, newHosts("base.example", "a.example", "xn--bcher-kva.example"))
	n.Manage("base.example")
	testenv.Await(t, "the certificate of a managed host", func() bool {
		s := n.Status("base.example")
		return s.State == store.CertificateValid && time.Until(s.EndsAt) > 80*24*time.Hour && strings.HasPrefix(s.Issuer, "Pebble") && s.Problem == ""
	})
	var wg sync.WaitGroup
	for range 10 {
		for _, host := range []string{"a.example", "xn--bcher-kva.example"} {
			wg.Go(func() {
				if _, err := handshake(t, n.https.String(), host); err != nil {
					t.Errorf("handshake with %s = %v, want nil", host, err)
				}
			})
		}
	}
	wg.Wait()
	if got := ca.Issued(); got != 3 {
		t.Errorf("%d certificates were issued, want 3", got)
	}
	if leaf, err := handshake(t, n.https.String(), ""); err == nil || leaf.VerifyHostname("base.example") != nil {
		t.Errorf("handshake without a name = %v, %v, want the certificate of the default host", leaf, err)
	}
	files, err := under.CertificateFiles(t.Context(), "", "", 1000)
	if err != nil || len(files) < 9 {
		t.Fatalf("the store has %d files, %v, want 9 at least", len(files), err)
	}
	for _, f := range files {
		stored, err := under.CertificateFile(t.Context(), f.Key)
		if err != nil || bytes.Contains(stored.Value, []byte("PRIVATE KEY")) || bytes.Contains(stored.Value, []byte("ops@")) {
			t.Errorf("file %s, %v, is not sealed", f.Key, err)
		}
	}
}

// TestUnknownNameIsNotOrdered checks that a name that is not allowed reaches neither the store
// nor the authority.
func TestUnknownNameIsNotOrdered(t *testing.T) {
	t.Parallel()
	p := listenTwice(t)
	ca := p.pebble(t, testenv.PebbleOptions{})
	under := openStore(t)
	n := newNode(t, p, ca, under, newHosts("base.example"))
	for _, host := range []string{"other.example", "base.example.evil.example", "x.base.example", "*.example", strings.Repeat("a", 250)} {
		if _, err := handshake(t, n.https.String(), host); err == nil {
			t.Errorf("handshake with %q = nil, want an error", host)
		}
		n.Manage(host)
	}
	// The check of another node must fail, as the challenge would.
	for host, want := range map[string]bool{"base.example": true, "other.example": false} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.plain.String()+"/.well-known/terse/reachable/token", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if answered := string(text) != "app"; err != nil || answered != want {
			t.Errorf("check of %s = %q, %v, want an answer: %t", host, text, err, want)
		}
	}
	if files, err := under.CertificateFiles(t.Context(), "", "", 10); len(files) > 0 || err != nil {
		t.Errorf("the store has %v, %v, want nothing", files, err)
	}
	if got := ca.Orders(); got != 0 {
		t.Errorf("%d orders, want none", got)
	}
}

// TestRestart stops and starts a node: certificates are read from the store, also while the
// authority is down, and only with the same key of the codes.
func TestRestart(t *testing.T) {
	t.Parallel()
	p := listenTwice(t)
	ca := p.pebble(t, testenv.PebbleOptions{})
	under, allowed := openStore(t), newHosts("base.example", "a.example", "new.example")
	first := newNode(t, p, ca, under, allowed)
	before, err := handshake(t, first.https.String(), "a.example")
	if err != nil {
		t.Fatal(err)
	}
	first.closing()
	if err := ca.Kill(); err != nil {
		t.Fatal(err)
	}
	second := newNode(t, listenTwice(t), ca, under, allowed, func(o *certificates.Options) {
		o.HTTPPort = portOf(o.HTTP)
	})
	after, err := handshake(t, second.https.String(), "a.example")
	if err != nil || !after.Equal(before) {
		t.Errorf("handshake after a restart without the authority = %v, want nil and the same certificate", err)
	}
	if _, err := handshake(t, second.https.String(), "new.example"); err == nil {
		t.Error("handshake with a new name without the authority = nil, want an error")
	}
	s := second.Status("new.example")
	if s.State != store.CertificateFailed || !strings.Contains(s.Problem, "refused") || !s.RetryAt.After(time.Now()) {
		t.Errorf("Status() = %+v, want the reason of the failure and a later attempt", s)
	}
	if _, err := handshake(t, second.https.String(), "a.example"); err != nil {
		t.Errorf("handshake with the known name = %v, want nil", err)
	}
	second.closing()
	other := newNode(t, listenTwice(t), ca, under, allowed, func(o *certificates.Options) {
		o.Secret = []byte(strings.Repeat("another key", 3))
	})
	if _, err := handshake(t, other.https.String(), "a.example"); err == nil {
		t.Error("handshake with another key of the codes = nil, want an error")
	}
}

// TestUnreachableHostIsNotOrdered checks the port of a host before the order.
func TestUnreachableHostIsNotOrdered(t *testing.T) {
	t.Parallel()
	p := listenTwice(t)
	ca := p.pebble(t, testenv.PebbleOptions{})
	stranger := listenTwice(t) // another server
	go func() { _ = http.Serve(stranger.plain, http.NotFoundHandler()) }()
	t.Cleanup(func() { _ = stranger.plain.Close() })
	closed := listenTwice(t)
	_ = closed.plain.Close()
	for reason, port := range map[string]int{"is not this server": portOf(stranger.plain.Addr()), "does not answer": portOf(closed.plain.Addr())} {
		n := newNode(t, listenTwice(t), ca, openStore(t), newHosts("a.example"), func(o *certificates.Options) { o.HTTPPort = port })
		if _, err := handshake(t, n.https.String(), "a.example"); err == nil {
			t.Error("handshake with an unreachable host = nil, want an error")
		}
		s := n.Status("a.example")
		if s.State != store.CertificateFailed || !strings.Contains(s.Problem, reason) || !strings.Contains(s.Problem, "127.0.0.1") {
			t.Errorf("Status() = %+v, want an error that says %q and the address", s, reason)
		}
		n.closing()
	}
	if got := ca.Orders(); got != 0 {
		t.Errorf("%d orders, want none", got)
	}
}

// TestPrivateAddressIsNotRequested checks that a host at a private address gets no request and no
// order, unless it is the default host.
func TestPrivateAddressIsNotRequested(t *testing.T) {
	t.Parallel()
	p := listenTwice(t)
	ca := p.pebble(t, testenv.PebbleOptions{})
	private := listenTwice(t).plain // at a loopback address
	t.Cleanup(func() { _ = private.Close() })
	var requests atomic.Int64
	go func() {
		_ = http.Serve(private, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	}()
	n := newNode(t, p, ca, openStore(t), newHosts("base.example", "a.example"), func(o *certificates.Options) {
		o.HTTPPort = portOf(private.Addr())
		o.Control = domains.Guard(nil, o.HTTPPort)
	})
	if _, err := handshake(t, n.https.String(), "a.example"); err == nil {
		t.Error("handshake with a host at a private address = nil, want an error")
	}
	s := n.Status("a.example")
	if s.State != store.CertificateFailed || !strings.Contains(s.Problem, "TERSE_DOMAINS_NETWORKS") {
		t.Errorf("Status() = %+v, want an error that names the setting", s)
	}
	if got := requests.Load(); got != 0 {
		t.Errorf("the private address got %d requests, want none", got)
	}
	_, _ = handshake(t, n.https.String(), "base.example")
	if got := requests.Load(); got != 1 {
		t.Errorf("the address of the default host got %d requests, want 1", got)
	}
	if got := ca.Orders(); got != 0 {
		t.Errorf("%d orders, want none", got)
	}
}

// TestRenewal awaits the renewal of a short certificate before its end.
func TestRenewal(t *testing.T) {
	t.Parallel()
	p := listenTwice(t)
	ca := p.pebble(t, testenv.PebbleOptions{Validity: 20 * time.Second})
	n := newNode(t, p, ca, openStore(t), newHosts("a.example"), func(o *certificates.Options) { o.CheckEvery = 200 * time.Millisecond })
	first, err := handshake(t, n.https.String(), "a.example")
	if err != nil {
		t.Fatal(err)
	}
	var renewed *x509.Certificate
	testenv.Await(t, "another certificate", func() bool {
		var err error
		if renewed, err = handshake(t, n.https.String(), "a.example"); err != nil {
			t.Fatalf("handshake during a renewal = %v, want nil", err)
		}
		return !renewed.Equal(first)
	})
	if !renewed.NotAfter.After(first.NotAfter) {
		t.Errorf("the certificate ends at %v, want after %v", renewed.NotAfter, first.NotAfter)
	}
}

// TestRenewalWithoutTheAuthority kills the authority before the renewal of a certificate. The certificate
// stays in use, and the status says why the renewal failed.
func TestRenewalWithoutTheAuthority(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	p := listenTwice(t)
	ca := p.pebble(t, testenv.PebbleOptions{Validity: 30 * time.Second})
	n := newNode(t, p, ca, openStore(t), newHosts("a.example"), func(o *certificates.Options) { o.CheckEvery = 200 * time.Millisecond })
	first, err := handshake(t, n.https.String(), "a.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Kill(); err != nil {
		t.Fatal(err)
	}
	var s store.CertificateStatus
	testenv.Await(t, "the failure of the renewal", func() bool {
		s = n.Status("a.example")
		return s.Problem != ""
	})
	if s.State != store.CertificateValid || !s.EndsAt.Equal(first.NotAfter) || !strings.Contains(s.Problem, "refused") || !s.RetryAt.After(time.Now()) {
		t.Errorf("Status() = %+v, want a valid certificate, the reason of the failure and a later attempt", s)
	}
	if got, err := handshake(t, n.https.String(), "a.example"); err != nil || !got.Equal(first) {
		t.Errorf("handshake after the failure = %v, want nil and the same certificate", err)
	}
}

// TestRemovedHost checks that a removed host gets no certificate, even from memory.
func TestRemovedHost(t *testing.T) {
	t.Parallel()
	p := listenTwice(t)
	ca := p.pebble(t, testenv.PebbleOptions{})
	allowed := newHosts("a.example")
	n := newNode(t, p, ca, openStore(t), allowed)
	if _, err := handshake(t, n.https.String(), "a.example"); err != nil {
		t.Fatal(err)
	}
	allowed.forget("a.example")
	if _, err := handshake(t, n.https.String(), "a.example"); err == nil {
		t.Error("handshake with a removed host = nil, want an error")
	}
}

// TestExternalAccount orders at an authority that requires an external account.
func TestExternalAccount(t *testing.T) {
	t.Parallel()
	p := listenTwice(t)
	key := "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	ca := p.pebble(t, testenv.PebbleOptions{EABKeys: map[string]string{"kid-1": key}})
	n := newNode(t, p, ca, openStore(t), newHosts("a.example"), func(o *certificates.Options) { o.EABKeyID, o.EABKey = "kid-1", key })
	if _, err := handshake(t, n.https.String(), "a.example"); err != nil {
		t.Errorf("handshake = %v, want nil", err)
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	p := listenTwice(t)
	ca := p.pebble(t, testenv.PebbleOptions{})
	allowed := newHosts("base.example", "a.example")
	n := newNode(t, p, ca, openStore(t), allowed)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(client.CloseIdleConnections)
	for _, tt := range []struct {
		alone            bool
		host, path, want string // want is empty for an answer of the app
	}{
		{true, "base.example", "/spring?a=%2F&b", "https://base.example/spring?a=%2F&b"},
		{true, "BASE.example:80", "//evil.example/", "https://base.example//evil.example/"},
		{true, "10.0.0.1", "/x", "https://base.example/x"},
		{true, "evil.example", "/x", "https://base.example/x"},
		{true, "base.example", "/.well-known/acme-challenge/unknown", "https://base.example/.well-known/acme-challenge/unknown"},
		{true, "base.example", "/.well-known/terse/token", ""},
		{false, "base.example", "/spring", "https://base.example/spring"},
		{false, "a.example.", "/", "https://a.example/"},
		{false, "A.example:80", "/.well-known/terse/token", ""},
		{false, "pending.example", "/spring", ""},
		{false, "pending.example", "/.well-known/acme-challenge/unknown", ""},
		{false, "10.0.0.1", "/spring", ""},
		{false, "a..example", "/spring", ""},
	} {
		allowed.alone.Store(tt.alone)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+n.plain.String()+tt.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tt.host
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		status, cache := http.StatusPermanentRedirect, "no-store"
		if tt.want == "" {
			status, cache = http.StatusOK, ""
		}
		if got := response.Header.Get("Location"); response.StatusCode != status || got != tt.want || err != nil || (tt.want == "") != (string(body) == "app") {
			t.Errorf("POST %s of %s = %d to %q with %q, want %d to %q", tt.path, tt.host, response.StatusCode, got, body, status, tt.want)
		}
		if got := response.Header.Get("Cache-Control"); got != cache {
			t.Errorf("POST %s of %s has Cache-Control %q, want %q", tt.path, tt.host, got, cache)
		}
	}
}

// TestRedirectStaysOnItsHost sends request lines that have no path of their own. net/http sends no
// such lines.
func TestRedirectStaysOnItsHost(t *testing.T) {
	t.Parallel()
	app := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(certificates.Redirect(certificates.RedirectOptions{
		Base: &url.URL{Scheme: "https", Host: "base.example"}, Hosts: newHosts("base.example"), Default: func(string) bool { return true }, App: app,
	}))
	t.Cleanup(server.Close)
	for line, want := range map[string]string{
		"GET a:.evil.example/x HTTP/1.1":                  "https://base.example/",
		"GET a:@evil.example/x HTTP/1.1":                  "https://base.example/",
		"GET a:%2f?x HTTP/1.1":                            "https://base.example/",
		"GET http://evil.example/a%2Fb?c HTTP/1.1":        "https://base.example/a%2Fb?c",
		"GET http://evil.example?c HTTP/1.1":              "https://base.example/?c",
		"GET http://base.example//other.example HTTP/1.1": "https://base.example//other.example",
		"CONNECT evil.example:443 HTTP/1.1":               "https://base.example/",
		"GET * HTTP/1.1":                                  "https://base.example/",
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, line+"\r\nHost: base.example\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if got := response.Header.Get("Location"); response.StatusCode != http.StatusPermanentRedirect || got != want {
			t.Errorf("%s = %d to %q, want 308 to %q", line, response.StatusCode, got, want)
		}
		_, _ = response.Body.Close(), conn.Close()
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	_, err := certificates.New(certificates.Options{EABKey: "key"})
	for _, field := range []string{"Store", "Secret", "Hosts", "DefaultHost", "Logger", "EABKeyID"} {
		if err == nil || !strings.Contains(err.Error(), "Options."+field) {
			t.Errorf("New() = %v, want an error that names %s", err, field)
		}
	}
	if _, err := certificates.OpenFiles(certificates.FilesOptions{Logger: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("OpenFiles() without files = nil, want an error")
	}
}

// TestMissing checks the state of a managed host that has no certificate, and the time without one.
func TestMissing(t *testing.T) {
	t.Parallel()
	p := listenTwice(t)
	ca := p.pebble(t, testenv.PebbleOptions{})
	if err := ca.Kill(); err != nil {
		t.Fatal(err)
	}
	var skew atomic.Int64
	registry := prometheus.NewRegistry()
	n := newNode(t, p, ca, openStore(t), newHosts("base.example", "a.example"), func(o *certificates.Options) {
		o.Registerer, o.Now = registry, func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
	})
	missing := func() float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "terse_certificate_missing_seconds" {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		return -1
	}
	if s := n.Status("a.example"); s != (store.CertificateStatus{State: store.CertificateNone}) || missing() != 0 {
		t.Errorf("before Manage: %+v, missing for %v s, want none and 0", s, missing())
	}
	n.Manage("a.example")
	testenv.Await(t, "the first order to fail", func() bool { return n.Status("a.example").State == store.CertificateFailed })
	if s := n.Status("a.example"); s.Problem == "" || !s.RetryAt.After(time.Now()) || !s.EndsAt.IsZero() {
		t.Errorf("status without a certificate = %+v, want the reason and the time of the next attempt", s)
	}
	skew.Store(int64(2 * time.Hour))
	if got := missing(); got < 7200 || got > 7200+600 {
		t.Errorf("missing for %v s, want two hours", got)
	}
	if err := ca.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.Manage("a.example") // which tries at once, because the clock is after the next attempt
	testenv.Await(t, "the certificate", func() bool { return n.Status("a.example").State == store.CertificateValid })
	if s := n.Status("a.example"); s.Problem != "" || s.EndsAt.IsZero() || missing() != 0 {
		t.Errorf("status with a certificate = %+v, missing for %v s, want no problem and 0", s, missing())
	}
}

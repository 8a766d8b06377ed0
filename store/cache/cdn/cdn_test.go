package cdn_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache/cdn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request is a request that a server received.
type request struct {
	method, path string
	header       http.Header
	body         string
}

// listener is a loopback server that records requests and always gives the same answer.
type listener struct {
	url string

	mu   sync.Mutex
	got  []request
	code int
	body string
	more http.Header
}

func listen(t *testing.T, code int, body string) *listener {
	t.Helper()
	l := &listener{code: code, body: body, more: http.Header{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.got = append(l.got, request{r.Method, r.URL.Path, r.Header, string(text)})
		for name := range l.more {
			w.Header().Set(name, l.more.Get(name))
		}
		w.WriteHeader(l.code)
		_, _ = io.WriteString(w, l.body)
	}))
	t.Cleanup(s.Close)
	l.url = s.URL
	return l
}

func (l *listener) requests() []request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

func newPurger(t *testing.T, opts cdn.Options) *cdn.Purger {
	t.Helper()
	opts.Registerer = prometheus.NewRegistry()
	p, err := cdn.New(opts)
	if err != nil {
		t.Fatalf("New = %v, want nil", err)
	}
	return p
}

func edits(n int) []store.Edit {
	all := make([]store.Edit, n)
	for i := range all {
		all[i].Link.Code = fmt.Sprint("code", i)
	}
	return all
}

func TestNewReportsEveryProblem(t *testing.T) {
	t.Parallel()
	for provider, want := range map[string][]string{
		"akamai":       {"Provider"},
		cdn.Varnish:    {"VarnishURLs"},
		cdn.Fastly:     {"FastlyService", "FastlyToken"},
		cdn.Cloudflare: {"CloudflareZone", "CloudflareToken"},
	} {
		_, err := cdn.New(cdn.Options{Provider: provider, Rate: -1, Burst: -1, Timeout: -1})
		for _, field := range append(want, "Registerer", "Rate", "Burst", "Timeout") {
			if err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("New(%s) = %v, want an error that names %s", provider, err, field)
			}
		}
	}
}

// TestDomains checks that every CDN purges the tag of an edited domain.
func TestDomains(t *testing.T) {
	t.Parallel()
	for provider, opts := range map[string]cdn.Options{
		cdn.Varnish:    {},
		cdn.Fastly:     {FastlyService: "service", FastlyToken: "secret"},
		cdn.Cloudflare: {CloudflareZone: "zone", CloudflareToken: "secret"},
	} {
		l := listen(t, 200, `{"success":true}`)
		opts.Provider, opts.API = provider, l.url
		if provider == cdn.Varnish {
			opts.VarnishURLs = []string{l.url}
		}
		all := append(edits(1), store.Edit{Domain: "jT0xYqRm4"}, store.Edit{Domain: "jT0xYqRm4", Repeat: true})
		if err := errors.Join(newPurger(t, opts).Invalidate(t.Context(), all)...); err != nil {
			t.Errorf("Invalidate by %s = %v, want nil", provider, err)
		}
		got := l.requests()
		if len(got) != 1 {
			t.Fatalf("%s: %d requests, want 1", provider, len(got))
		}
		tags := strings.Fields(got[0].header.Get("Xkey-Purge"))
		switch provider {
		case cdn.Fastly:
			tags = list(t, got[0].body, "surrogate_keys")
		case cdn.Cloudflare:
			tags = list(t, got[0].body, "tags")
		}
		if want := []string{"link-code0", "domain-jT0xYqRm4"}; !slices.Equal(tags, want) {
			t.Errorf("%s purged %q, want %q", provider, tags, want)
		}
	}
}

// TestFastly compares a purge with https://www.fastly.com/documentation/reference/api/purging/.
func TestFastly(t *testing.T) {
	t.Parallel()
	l := listen(t, 200, `{"link-code0":"108-1391560174-974124"}`)
	p := newPurger(t, cdn.Options{Provider: cdn.Fastly, FastlyService: "SU1Z0isxPaozGVKXdv0eY", FastlyToken: "secret", API: l.url})
	if err := errors.Join(p.Invalidate(t.Context(), edits(300))...); err != nil {
		t.Fatalf("Invalidate = %v, want nil", err)
	}
	got := l.requests()
	if len(got) != 2 {
		t.Fatalf("%d requests for 300 keys, want 2: one request has 256 at most", len(got))
	}
	var keys []string
	for _, r := range got {
		if r.method != "POST" || r.path != "/service/SU1Z0isxPaozGVKXdv0eY/purge" || r.header.Get("Fastly-Key") != "secret" ||
			r.header.Get("Content-Type") != "application/json" || r.header.Get("Fastly-Soft-Purge") != "" {
			t.Errorf("request = %s %s %v", r.method, r.path, r.header)
		}
		keys = append(keys, list(t, r.body, "surrogate_keys")...)
	}
	if len(keys) != 300 || keys[0] != "link-code0" || keys[299] != "link-code299" {
		t.Errorf("purged %d keys: %v", len(keys), keys)
	}
}

// TestCloudflare compares a purge with
// https://developers.cloudflare.com/cache/how-to/purge-cache/purge-by-tags/.
func TestCloudflare(t *testing.T) {
	t.Parallel()
	l := listen(t, 200, `{"success":true,"errors":[],"messages":[],"result":{"id":"9a7806061c88ada191ed06f989cc3dac"}}`)
	p := newPurger(t, cdn.Options{Provider: cdn.Cloudflare, CloudflareZone: "zone1", CloudflareToken: "secret", API: l.url})
	all := append(edits(150), edits(1)...) // one link twice
	if err := errors.Join(p.Invalidate(t.Context(), all)...); err != nil {
		t.Fatalf("Invalidate = %v, want nil", err)
	}
	got := l.requests()
	if len(got) != 2 {
		t.Fatalf("%d requests for 150 tags, want 2: one request has 100 at most", len(got))
	}
	var tags []string
	for _, r := range got {
		if r.method != "POST" || r.path != "/zones/zone1/purge_cache" || r.header.Get("Authorization") != "Bearer secret" ||
			r.header.Get("Content-Type") != "application/json" {
			t.Errorf("request = %s %s %v", r.method, r.path, r.header)
		}
		tags = append(tags, list(t, r.body, "tags")...)
	}
	if len(tags) != 150 || tags[0] != "link-code0" {
		t.Errorf("purged %d tags: %v", len(tags), tags)
	}
}

// list returns the list of texts in the only field of a JSON object.
func list(t *testing.T, body, field string) []string {
	t.Helper()
	var all map[string][]string
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all) != 1 {
		t.Fatalf("body %q: %v, want only the field %s", body, err, field)
	}
	return all[field]
}

func TestEveryVarnishHasToAcknowledge(t *testing.T) {
	t.Parallel()
	one, other := listen(t, 200, ""), listen(t, 200, "")
	p := newPurger(t, cdn.Options{Provider: cdn.Varnish, VarnishURLs: []string{one.url, other.url + "/"}, VarnishSecret: "secret"})
	if err := errors.Join(p.Invalidate(t.Context(), edits(2))...); err != nil {
		t.Fatalf("Invalidate = %v, want nil", err)
	}
	for _, l := range []*listener{one, other} {
		got := l.requests()
		if len(got) != 1 || got[0].method != "PURGE" || got[0].path != "/" ||
			got[0].header.Get("Xkey-Purge") != "link-code0 link-code1" || got[0].header.Get("X-Purge-Secret") != "secret" {
			t.Errorf("requests = %+v", got)
		}
	}
	other.code = 503
	for i, err := range p.Invalidate(t.Context(), edits(2)) {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Invalidate[%d] = %v, want ErrUnavailable", i, err)
		}
	}
}

// TestDeadVarnish checks that unreachable Varnish servers do not prevent a purge of the
// others.
func TestDeadVarnish(t *testing.T) {
	t.Parallel()
	alive := listen(t, 200, "")
	p := newPurger(t, cdn.Options{Provider: cdn.Varnish, VarnishURLs: []string{"http://127.0.0.1:1", alive.url, "http://127.0.0.1:2"}})
	err := p.Invalidate(t.Context(), edits(1))[0]
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), "127.0.0.1:2") {
		t.Errorf("Invalidate = %v, want ErrUnavailable that names both servers", err)
	}
	if n := len(alive.requests()); n != 1 {
		t.Errorf("the reachable server got %d purges, want 1", n)
	}
}

func TestWhatIsNoAcknowledgement(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		code int
		body string
	}{
		{"refused", 403, `{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}`},
		{"without success", 200, `{"success":false,"errors":[{"code":1234}]}`},
		{"no JSON", 200, "<html>"},
		{"broken", 500, ""},
		{"elsewhere", 302, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, other := listen(t, tt.code, tt.body), listen(t, 200, `{"success":true}`)
			l.more.Set("Location", other.url)
			p := newPurger(t, cdn.Options{Provider: cdn.Cloudflare, CloudflareZone: "zone1", CloudflareToken: "hidden", API: l.url})
			err := p.Invalidate(t.Context(), edits(1))[0]
			if !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("Invalidate = %v, want ErrUnavailable and no secret", err)
			}
			if n := len(l.requests()); n != 1 {
				t.Errorf("%d requests, want 1: retries are left to the outbox", n)
			}
			if n := len(other.requests()); n != 0 {
				t.Errorf("%d requests followed a redirect, want none: they carry the token", n)
			}
		})
	}
}

// TestFailedRequestFailsItsOwnEdits checks that edits in a request that was acknowledged are
// not repeated because of another request.
func TestFailedRequestFailsItsOwnEdits(t *testing.T) {
	t.Parallel()
	const each = 256 // of Fastly
	l := listen(t, 200, "")
	p := newPurger(t, cdn.Options{Provider: cdn.Fastly, FastlyService: "s", FastlyToken: "t", API: l.url, Rate: 0.001, Burst: 1})
	for i, err := range p.Invalidate(t.Context(), edits(each+10)) {
		if (err == nil) != (i < each) {
			t.Errorf("Invalidate[%d] = %v, want only the first %d to pass", i, err, each)
		}
	}
}

func TestLimitOfThePlan(t *testing.T) {
	t.Parallel()
	l := listen(t, 200, "")
	p := newPurger(t, cdn.Options{Provider: cdn.Fastly, FastlyService: "s", FastlyToken: "t", API: l.url, Rate: 0.001, Burst: 2})
	for i := range 5 {
		err := p.Invalidate(t.Context(), edits(1))[0]
		if (err == nil) != (i < 2) {
			t.Errorf("Invalidate %d = %v, want only the first 2 to pass", i, err)
		}
	}
	if n := len(l.requests()); n != 2 {
		t.Errorf("%d requests were sent, want 2", n)
	}
}

// TestLimitIsShared checks that one of several processes uses its part of the limit, and
// all of it when it is the only one.
func TestLimitIsShared(t *testing.T) {
	t.Parallel()
	l := listen(t, 200, "")
	nodes := 3
	p := newPurger(t, cdn.Options{
		Provider: cdn.Fastly, FastlyService: "s", FastlyToken: "t", API: l.url, Rate: 0.001, Burst: 6,
		Nodes: func() int { return nodes },
	})
	for range 5 {
		_ = p.Invalidate(t.Context(), edits(1))
	}
	if n := len(l.requests()); n != 2 {
		t.Errorf("%d requests were sent by one of three processes, want 2 of 6", n)
	}

	synctest.Test(t, func(t *testing.T) {
		count := 1000 // more than the burst: each process may still send one request
		p := newPurger(t, cdn.Options{
			Provider: cdn.Cloudflare, CloudflareZone: "z", CloudflareToken: "t", API: "http://127.0.0.1:1", Rate: 1, Burst: 6,
			Nodes: func() int { return count },
		})
		sent := func() bool { return !strings.Contains(p.Invalidate(t.Context(), edits(1))[0].Error(), "limit") }
		for i, tt := range []struct {
			nodes int
			wait  time.Duration
			want  bool
		}{
			{1000, 0, true},
			{1000, 900 * time.Second, false},
			{1000, 100 * time.Second, true},
			{0, 0, false}, // 0 counts as one process
			{0, 2 * time.Second, true},
			{1, 0, true},
			{1, 0, false},
		} {
			time.Sleep(tt.wait)
			count = tt.nodes
			if got := sent(); got != tt.want {
				t.Errorf("step %d: sent = %v, want %v", i, got, tt.want)
			}
		}
	})
}

// TestCanaries checks that links of canaries are acknowledged without a purge, and that
// all other links are purged.
func TestCanaries(t *testing.T) {
	t.Parallel()
	l := listen(t, 200, "")
	p := newPurger(t, cdn.Options{Provider: cdn.Varnish, VarnishURLs: []string{l.url}})
	all := edits(4)
	all[1].Link.Code, all[1].Link.Owner = store.CanaryPrefix+"1", store.CanaryOwner
	all[2].Link.Owner, all[3].Link.Owner = store.CanaryOwner, "another"
	if err := errors.Join(p.Invalidate(t.Context(), all)...); err != nil {
		t.Errorf("Invalidate = %v, want nil", err)
	}
	if err := errors.Join(p.Invalidate(t.Context(), all[1:2])...); err != nil {
		t.Errorf("Invalidate = %v, want nil", err)
	}
	got := l.requests()
	if len(got) != 1 || got[0].header.Get("Xkey-Purge") != "link-code0 link-code2 link-code3" {
		t.Errorf("requests = %+v, want one request without the canary", got)
	}
}

func TestProviderThatWantsAPause(t *testing.T) {
	t.Parallel()
	l := listen(t, 429, "")
	l.more.Set("Retry-After", "120")
	p := newPurger(t, cdn.Options{Provider: cdn.Fastly, FastlyService: "s", FastlyToken: "t", API: l.url})
	for range 3 {
		if err := p.Invalidate(t.Context(), edits(1))[0]; !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Invalidate = %v, want ErrUnavailable", err)
		}
	}
	if n := len(l.requests()); n != 1 {
		t.Errorf("%d requests were sent, want 1 because the answer was 429", n)
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	p := newPurger(t, cdn.Options{Provider: cdn.Varnish, VarnishURLs: []string{"http://127.0.0.1:1"}, Timeout: time.Second})
	if err := p.Invalidate(t.Context(), edits(1))[0]; !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("Invalidate = %v, want ErrUnavailable that names the host", err)
	}
	p = newPurger(t, cdn.Options{Provider: cdn.Fastly, FastlyService: "service-id", FastlyToken: "t", API: "http://127.0.0.1:1"})
	if err := p.Invalidate(t.Context(), edits(1))[0]; err == nil || strings.Contains(err.Error(), "service-id") {
		t.Errorf("Invalidate = %v, want an error without the path", err)
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"http://10.0.0.7:80": true, "https://varnish/": true, "http://[::1]:6081": true,
		"10.0.0.7:80": false, "ftp://x": false, "http://x/path": false, "http://x?y": false, "": false, "http://": false,
	} {
		if err := cdn.CheckURL(url); (err == nil) != ok {
			t.Errorf("CheckURL(%q) = %v, want ok: %v", url, err, ok)
		}
	}
}

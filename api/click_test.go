package api_test

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/terse/terse/api"
	"github.com/terse/terse/clicks"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// recorded are the clicks that a server has handed over. Safe for concurrent use.
type recorded struct {
	mu     sync.Mutex
	clicks []clicks.Click
}

func (r *recorded) Record(c clicks.Click) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clicks = append(r.clicks, c)
}

// take returns the clicks since the last call.
func (r *recorded) take() []clicks.Click {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.clicks
	r.clicks = nil
	return taken
}

// newRecordedServer returns a server that trusts loopback as a proxy.
func newRecordedServer(t *testing.T) (*server, *recorded) {
	t.Helper()
	var r recorded
	s := newServer(t, func(o *options) {
		o.Clicks, o.Clients, o.CountryHeader = &r, proxies(t, "127.0.0.1/32", "::1/128"), "Cf-Ipcountry"
	})
	return s, &r
}

// TestClicksHaveTheFacts checks what a redirect hands over.
func TestClicksHaveTheFacts(t *testing.T) {
	t.Parallel()
	s, r := newRecordedServer(t)
	l := s.create(`{"url":"https://example.com/?a=%C3%A4&utm_medium=mail#b?c"}`)
	got := s.get("/"+l.Code+"?qr=1&utm_source=news", "User-Agent", "Agent", "Referer", "https://page.example/x", "Accept-Language", "de, en",
		"Cf-Ipcountry", "FR", "X-Forwarded-For", "198.51.100.7", "Sec-Gpc", "1")
	if location := got.header.Get("Location"); location != l.URL {
		t.Errorf("Location = %q, want the target", location)
	}
	want := clicks.Click{Key: l.Code, At: s.clock.Now(), Private: true, Request: visit.Request{
		QR: true, UserAgent: "Agent", Referrer: "https://page.example/x", Language: "de, en", Query: "utm_source=news",
		TargetQuery: "a=%C3%A4&utm_medium=mail", Country: "FR", Address: netip.MustParseAddr("198.51.100.7"),
	}}
	if all := r.take(); len(all) != 1 || all[0] != want {
		t.Errorf("clicks = %+v, want %+v", all, want)
	}
	for name, tt := range map[string]struct {
		method string
		header []string
		want   func(*clicks.Click)
	}{
		"plain":    {http.MethodGet, nil, func(*clicks.Click) {}},
		"head":     {http.MethodHead, nil, func(c *clicks.Click) { c.Head = true }},
		"prefetch": {http.MethodGet, []string{"Sec-Purpose", "prefetch"}, func(c *clicks.Click) { c.Prefetch = true }},
		"dnt":      {http.MethodGet, []string{"DNT", "1"}, func(c *clicks.Click) { c.Private = true }},
		"no dnt":   {http.MethodGet, []string{"DNT", "0"}, func(*clicks.Click) {}},
	} {
		s.do(tt.method, "/"+l.Code, nil, append(tt.header, "User-Agent", "Agent")...)
		want := clicks.Click{Key: l.Code, At: s.clock.Now(), Request: visit.Request{UserAgent: "Agent", TargetQuery: want.TargetQuery, Address: netip.MustParseAddr("127.0.0.1")}}
		tt.want(&want)
		if all := r.take(); len(all) != 1 || all[0] != want {
			t.Errorf("%s: clicks = %+v, want %+v", name, all, want)
		}
	}
}

// TestNoVisitors checks the switch of a link through every way to set it: no click of the link names its
// visitor.
func TestNoVisitors(t *testing.T) {
	t.Parallel()
	s, r := newRecordedServer(t)
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	code := s.create(`{"url":"https://target.example/","no_visitors":true}`, owner...).Code
	path := "/api/v1/links/" + code
	isPrivate := func(code string) bool {
		t.Helper()
		s.get("/"+code, "User-Agent", chromium)
		all := r.take()
		if len(all) != 1 {
			t.Fatalf("clicks = %+v, want one", all)
		}
		return all[0].Private
	}
	if !isPrivate(code) {
		t.Error("a click of a link with no_visitors is not private")
	}
	for _, step := range []struct {
		body string
		want bool
	}{{`{"title":"x"}`, true}, {`{"no_visitors":null}`, false}, {`{"no_visitors":true}`, true}, {`{"no_visitors":false}`, false}} {
		if got := s.send(http.MethodPatch, path, step.body, owner...).link().NoVisitors; got != step.want || isPrivate(code) != step.want {
			t.Errorf("no_visitors after %s = %v, want %v, and clicks to be private in the same way", step.body, got, step.want)
		}
	}
	if a := s.get(path+"/history", owner...); !contains(a.body, `{"field":"no_visitors","before":true,"after":null}`) {
		t.Errorf("history = %s, want changes of no_visitors", a.body)
	}
	var batch batchJSON
	s.send(http.MethodPost, "/api/v1/links/batch", `{"links":[{"url":"https://target.example/","no_visitors":true}]}`, owner...).into(&batch)
	if len(batch.Results) != 1 || batch.Results[0].Link == nil || !isPrivate(batch.Results[0].Link.Code) {
		t.Errorf("batch = %+v, want a link with no_visitors", batch)
	}
	s.send(http.MethodPost, "/api/v1/archive", `{"links":[{"code":"old","url":"https://target.example/","no_visitors":true}]}`, admin...)
	if !isPrivate("old") {
		t.Error("a click of an imported link with no_visitors is not private")
	}
	if a := s.get("/api/v1/archive", admin...); !contains(a.body, `"no_visitors":true`) {
		t.Errorf("export = %s, want no_visitors", a.body)
	}
	s.send(http.MethodPatch, path, `{"no_visitors":"yes"}`, owner...).problem(http.StatusUnprocessableEntity)
}

// TestOnlyAnswersWithATargetAreClicks checks the answers that are no clicks.
func TestOnlyAnswersWithATargetAreClicks(t *testing.T) {
	t.Parallel()
	s, r := newRecordedServer(t)
	const target = `"url":"https://example.com/"`
	l, limited, locked, asking := s.create(`{`+target+`}`), s.create(`{`+target+`,"max_clicks":3}`), s.create(`{`+target+`,"password":"secret word"}`), s.create(`{`+target+`,"confirm":true}`)
	s.get("/" + l.Code + "+")
	s.get("/nothing")
	s.do(http.MethodHead, "/"+limited.Code, nil)
	s.get("/"+limited.Code, "Sec-Purpose", "prefetch")
	s.get("/"+limited.Code, "User-Agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
	s.get("/" + locked.Code)
	s.get("/" + asking.Code)
	form := []string{"Content-Type", "application/x-www-form-urlencoded", "Referer", baseURL + "/" + locked.Code}
	s.do(http.MethodPost, "/"+locked.Code, []byte("password=wrong+word"), form...)
	if all := r.take(); len(all) != 0 {
		t.Errorf("clicks = %+v, want none", all)
	}
	s.do(http.MethodPost, "/"+locked.Code, []byte("password=secret+word"), form...)
	s.do(http.MethodPost, "/"+asking.Code, nil, form...)
	s.get("/" + limited.Code)
	all := r.take()
	if len(all) != 3 || all[0].Key != locked.Code || all[1].Key != asking.Code || all[2].Key != limited.Code {
		t.Fatalf("clicks = %+v, want one of each link", all)
	}
	if all[0].Referrer != "" || all[0].UserAgent != testenv.Browser {
		t.Errorf("click with a password = %+v, want no referrer: the page before is one of the server", all[0])
	}
}

// TestCountryHeaderOfStrangers checks that only a trusted proxy may send the country.
func TestCountryHeaderOfStrangers(t *testing.T) {
	t.Parallel()
	s, r := newRecordedServer(t)
	var of recorded
	l := s.create(`{"url":"https://example.com/"}`)
	s.get("/"+l.Code, "Cf-Ipcountry", "FR")
	if all := r.take(); len(all) != 1 || all[0].Country != "FR" {
		t.Errorf("clicks = %+v, want the country of the proxy", all)
	}
	untrusting := newServer(t, func(o *options) { o.Clicks, o.CountryHeader = &of, "Cf-Ipcountry" })
	l = untrusting.create(`{"url":"https://example.com/"}`)
	untrusting.get("/"+l.Code, "Cf-Ipcountry", "FR", "X-Forwarded-For", "198.51.100.7")
	if all := of.take(); len(all) != 1 || all[0].Country != "" || !all[0].Address.IsLoopback() {
		t.Errorf("clicks = %+v, want no country and the address of the peer", all)
	}
}

// TestQRParameter checks that qr=1 counts scans and never reaches the target.
func TestQRParameter(t *testing.T) {
	t.Parallel()
	s, r := newRecordedServer(t)
	l := s.create(`{"url":"https://example.com/?x=1&qr=1","forward_query":"append"}`)
	for query, want := range map[string]string{
		"":               "",
		"qr=1":           "",
		"a=1&qr=1&b=%20": "&a=1&b=%20",
		"qr=2":           "&qr=2",
	} {
		got := s.get("/" + l.Code + "?" + query).header.Get("Location")
		if got != l.URL+want {
			t.Errorf("Location of ?%s = %q, want %q", query, got, l.URL+want)
		}
		all := r.take()
		if len(all) != 1 || all[0].QR != strings.Contains(query, "qr=1") {
			t.Errorf("clicks of ?%s = %+v", query, all)
		}
	}
	plain, scans := s.get("/api/v1/links/"+l.Code+"/qr"), s.get("/api/v1/links/"+l.Code+"/qr?scans=true")
	if !contains(plain.body, baseURL+"/"+l.Code+"<") || !contains(scans.body, baseURL+"/"+l.Code+"?qr=1<") {
		t.Errorf("QR codes:\n%s\n%s\nwant the short URL, then with ?qr=1", plain.body, scans.body)
	}
}

func TestParseHeaderName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"": "", "cf-ipcountry": "Cf-Ipcountry", "X-Country": "X-Country"} {
		if got, err := api.ParseHeaderName(name); got != want || err != nil {
			t.Errorf("ParseHeaderName(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"a b", "a:", "ä", "a\n"} {
		if got, err := api.ParseHeaderName(name); err == nil {
			t.Errorf("ParseHeaderName(%q) = %q, want an error", name, got)
		}
	}
}

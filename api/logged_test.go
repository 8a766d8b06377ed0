package api_test

import (
	"net/http"
	"testing"
)

// TestClicksFromLogs checks which visits this server does not count, because logs count them.
func TestClicksFromLogs(t *testing.T) {
	t.Parallel()
	throughCDN := []string{"X-Varnish", "32770", "X-Forwarded-For", "203.0.113.9"}
	for _, tt := range []struct {
		name    string
		logs    bool
		trusted string
		header  string // that the CDN adds
		sent    []string
		want    int64
	}{
		{"the server counts", false, "127.0.0.0/8", "X-Varnish", throughCDN, 1},
		{"through the CDN", true, "127.0.0.0/8", "X-Varnish", throughCDN, 0},
		{"past the CDN", true, "127.0.0.0/8", "X-Varnish", []string{"X-Forwarded-For", "203.0.113.9"}, 1},
		{"a client that pretends to be the CDN", true, "192.0.2.0/24", "X-Varnish", throughCDN, 1},
		{"through any proxy", true, "127.0.0.0/8", "", []string{"X-Forwarded-For", "203.0.113.9"}, 0},
		{"without a proxy", true, "192.0.2.0/24", "", nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(o *options) {
				o.ClicksFromLogs, o.CDNHeader, o.Clients = tt.logs, tt.header, proxies(t, tt.trusted)
			})
			l := s.create(`{"url":"https://example.com/"}`)
			if a := s.get("/"+l.Code, append(tt.sent, "User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")...); a.status != http.StatusFound {
				t.Errorf("GET = %d, want 302", a.status)
			}
			must(t, s.clicks.Close(t.Context()))
			if got, err := s.store.Get(t.Context(), l.Code); err != nil || got.Clicks != tt.want {
				t.Errorf("the link has %d clicks, %v, want %d", got.Clicks, err, tt.want)
			}
		})
	}
}

// TestPostsAreNotLogged checks that the server counts the form for a password, which no cache answers.
func TestPostsAreNotLogged(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.ClicksFromLogs, o.Clients = true, proxies(t, "127.0.0.0/8") })
	l := s.create(`{"url":"https://example.com/","password":"correct horse"}`)
	a := s.do(http.MethodPost, "/"+l.Code, []byte("password=correct+horse"), "Content-Type", "application/x-www-form-urlencoded", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
	must(t, s.clicks.Close(t.Context()))
	if got, err := s.store.Get(t.Context(), l.Code); a.status != http.StatusSeeOther || err != nil || got.Clicks != 1 {
		t.Errorf("POST = %d, the link has %d clicks, %v, want 303 and 1 click", a.status, got.Clicks, err)
	}
}

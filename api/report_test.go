package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/terse/terse/store"
)

// reportJSON is a report in an answer.
type reportJSON struct {
	ID         string     `json:"id"`
	Code       string     `json:"code"`
	ShortURL   string     `json:"short_url"`
	Reason     string     `json:"reason"`
	Comment    string     `json:"comment"`
	Email      string     `json:"email"`
	ReportedAt time.Time  `json:"reported_at"`
	ResolvedAt *time.Time `json:"resolved_at"`
	ResolvedBy string     `json:"resolved_by"`
	Resolution string     `json:"resolution"`
	Dropped    int64      `json:"dropped"`
}

// reports returns a page of reports and the cursor of the next page.
func (s *server) reports(query string) ([]reportJSON, string) {
	s.t.Helper()
	a := s.get("/api/v1/reports"+query, s.key("admin", store.ScopeAdmin)...)
	if a.status != http.StatusOK {
		s.t.Fatalf("reports = %d %s, want 200", a.status, a.body)
	}
	var page struct {
		Reports    []reportJSON `json:"reports"`
		NextCursor string       `json:"next_cursor"`
	}
	a.into(&page)
	return page.Reports, page.NextCursor
}

// report sends the form of the preview page.
func (s *server) report(code string, fields map[string]string, headers ...string) answer {
	s.t.Helper()
	form := url.Values{}
	for name, value := range fields {
		form.Set(name, value)
	}
	headers = append([]string{"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html"}, headers...)
	return s.do(http.MethodPost, "/"+code+"+", []byte(form.Encode()), headers...)
}

// behindProxy makes the address of the client the one in X-Forwarded-For.
func behindProxy(t *testing.T) func(*options) {
	return func(o *options) { o.Clients = proxies(t, "127.0.0.1/32", "::1/128") }
}

func TestReport(t *testing.T) {
	t.Parallel()
	s := newServer(t, behindProxy(t))
	admin := s.key("admin", store.ScopeAdmin)
	s.create(`{"url":"https://example.com","alias":"bad"}`)
	a := s.report("bad", map[string]string{"reason": "phishing", "comment": " It asks for\r\nmy password ", "email": "ann@example.com"})
	if a.status != http.StatusOK || !strings.Contains(string(a.body), "Thank you") || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("report = %d %q %.300s, want a page of thanks that is not cached", a.status, a.header.Get("Cache-Control"), a.body)
	}
	s.clock.add(time.Minute)
	s.report("bad", map[string]string{"reason": "spam"}, "X-Forwarded-For", "192.0.2.1")

	open, _ := s.reports("")
	if len(open) != 2 || open[0].Reason != "spam" || open[1].Comment != "It asks for\r\nmy password" || open[1].Email != "ann@example.com" ||
		open[1].Code != "bad" || open[1].ShortURL != baseURL+"/bad" || open[1].ResolvedAt != nil {
		t.Fatalf("open reports = %+v, want both, newest first", open)
	}
	first, cursor := s.reports("?limit=1")
	second, end := s.reports("?limit=1&cursor=" + cursor)
	if len(first) != 1 || len(second) != 1 || first[0].ID == second[0].ID || end != "" {
		t.Errorf("pages = %+v and %+v behind %q, then %q, want one each and no more", first, second, cursor, end)
	}

	path := "/api/v1/reports/" + open[1].ID + "/resolve"
	s.send(http.MethodPost, path, ``, s.owner("owner")...).problem(http.StatusForbidden)
	s.send(http.MethodPost, path, ``).problem(http.StatusUnauthorized)
	s.get("/api/v1/reports", s.owner("owner")...).problem(http.StatusForbidden)
	s.get("/api/v1/reports").problem(http.StatusUnauthorized)
	var resolved reportJSON
	s.send(http.MethodPost, path, `{"resolution":"taken down"}`, admin...).into(&resolved)
	if resolved.Resolution != "taken down" || resolved.ResolvedBy != s.keyID("admin") || resolved.ResolvedAt == nil {
		t.Errorf("resolved report = %+v, want the key, the resolution and the time", resolved)
	}
	if a := s.send(http.MethodPost, "/api/v1/reports/"+open[0].ID+"/resolve", ``, admin...); a.status != http.StatusOK {
		t.Errorf("resolve without a body = %d %s, want 200", a.status, a.body)
	}
	if open, _ := s.reports(""); len(open) != 0 {
		t.Errorf("open reports = %+v, want none", open)
	}
	if all, _ := s.reports("?state=resolved"); len(all) != 2 {
		t.Errorf("resolved reports = %+v, want both", all)
	}
	for _, id := range []string{"rep_0001234", "nope", "%00"} {
		s.send(http.MethodPost, "/api/v1/reports/"+id+"/resolve", ``, admin...).problem(http.StatusNotFound)
	}
	s.send(http.MethodPost, path, `{"resolution":"\u0000"}`, admin...).problem(http.StatusUnprocessableEntity)
	s.get("/api/v1/reports?state=closed", admin...).problem(http.StatusUnprocessableEntity)
	s.get("/api/v1/reports?cursor=x", admin...).problem(http.StatusUnprocessableEntity)
}

func TestReportIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(`{"url":"https://example.com","alias":"bad"}`)
	s.create(`{"url":"https://example.com","alias":"ended","expires_at":"2026-06-01T13:00:00Z"}`)
	for _, fields := range []map[string]string{
		{},
		{"reason": "because"},
		{"reason": "spam", "comment": "a\x00b"},
		{"reason": "spam", "comment": "\u202e upset"},
		{"reason": "spam", "comment": "\xff"},
		{"reason": "spam", "comment": strings.Repeat("x", store.MaxReportCommentLen+1)},
		{"reason": "spam", "email": "ann"},
		{"reason": "spam", "email": "ann@example.com\r\nBcc: all@example.com"},
		{"reason": "spam", "email": "ann@" + strings.Repeat("x", 300) + ".example"},
	} {
		if a := s.report("bad", fields); a.status != http.StatusUnprocessableEntity {
			t.Errorf("report %q = %d, want 422", fields, a.status)
		}
	}
	ok := map[string]string{"reason": "spam"}
	for name, headers := range map[string][]string{
		"another site":   {"Sec-Fetch-Site", "cross-site"},
		"another origin": {"Origin", "https://evil.example"},
		"null origin":    {"Origin", "null"},
	} {
		if a := s.report("bad", ok, headers...); a.status != http.StatusForbidden {
			t.Errorf("report from %s = %d, want 403", name, a.status)
		}
	}
	if a := s.report("bad", map[string]string{"reason": "spam", "comment": strings.Repeat("x", 40<<10)}); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("report of 40 KiB = %d, want 413", a.status)
	}
	if a := s.do(http.MethodPost, "/bad+", []byte(`{"reason":"spam"}`), "Content-Type", "application/json"); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("report as JSON = %d, want 415", a.status)
	}
	s.clock.add(2 * time.Hour)
	for code, want := range map[string]int{"nope": 404, "ended": 410, "%C0": 404} {
		if a := s.report(code, ok); a.status != want {
			t.Errorf("report of %s = %d, want %d", code, a.status, want)
		}
	}
	if open, _ := s.reports(""); len(open) != 0 {
		t.Errorf("open reports = %+v, want none", open)
	}
}

func TestReportsAreLimited(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Limits.Report = limit(t, "3/10m") })
	for i := range 5 {
		s.create(fmt.Sprintf(`{"url":"https://example.com","alias":"bad%d"}`, i))
		want := http.StatusOK
		if i >= 3 {
			want = http.StatusTooManyRequests
		}
		a := s.report(fmt.Sprint("bad", i), map[string]string{"reason": "spam", "comment": "again"}, "X-Forwarded-For", "192.0.2."+string(rune('1'+i)))
		if a.status != want || (want != http.StatusOK) != (a.header.Get("Retry-After") != "") {
			t.Errorf("report %d = %d, Retry-After %q, want %d", i+1, a.status, a.header.Get("Retry-After"), want)
		}
		if want != http.StatusOK && !strings.Contains(string(a.body), ">again</textarea>") {
			t.Errorf("the page of a rejected report lacks the visitor's input: %s", a.body)
		}
	}
	if open, _ := s.reports(""); len(open) != 3 {
		t.Errorf("%d reports are open, want 3", len(open))
	}
}

// TestOneReportOfAClient checks that a client has one open report about a link. An IPv6
// network of 48 bits is one client.
func TestOneReportOfAClient(t *testing.T) {
	t.Parallel()
	s := newServer(t, behindProxy(t))
	s.create(`{"url":"https://example.com","alias":"bad"}`)
	s.create(`{"url":"https://example.com","alias":"worse"}`)
	for _, r := range []struct {
		client, code, reason string
		kept                 bool
	}{
		{"192.0.2.1", "bad", "other", true},
		{"192.0.2.1", "bad", "phishing", false},
		{"192.0.2.1", "worse", "phishing", true},
		{"192.0.2.2", "bad", "phishing", true},
		{"2001:db8:1:2::3", "bad", "spam", true},
		{"2001:db8:1:ffff::4", "bad", "spam", false},
		{"2001:db8:2::1", "bad", "spam", true},
	} {
		before, _ := s.reports("")
		a := s.report(r.code, map[string]string{"reason": r.reason}, "X-Forwarded-For", r.client)
		after, _ := s.reports("")
		want := "Thank you"
		if !r.kept {
			want = "already reported"
		}
		if a.status != http.StatusOK || !strings.Contains(string(a.body), want) || (len(after) > len(before)) != r.kept {
			t.Errorf("report by %s of %s = %d with %d reports before and %d after, want %q", r.client, r.code, a.status, len(before), len(after), want)
		}
	}
	if kept, repeated := s.received("kept"), s.received("repeated"); kept != 5 || repeated != 2 {
		t.Errorf("%v reports kept and %v repeated, want 5 and 2", kept, repeated)
	}
}

// TestReportsOfOneLinkAreBounded checks that many reports of a link for one reason leave room
// for another reason, and that the list shows how many were dropped.
func TestReportsOfOneLinkAreBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, behindProxy(t))
	s.create(`{"url":"https://example.com","alias":"bad"}`)
	const dropped = 7
	for i := range store.MaxReportsPerLink + dropped {
		a := s.report("bad", map[string]string{"reason": "other"}, "X-Forwarded-For", fmt.Sprint("192.0.2.", i+1))
		want := "Thank you"
		if i >= store.MaxReportsPerLink {
			want = "We have counted your report"
		}
		if a.status != http.StatusOK || !strings.Contains(string(a.body), want) {
			t.Fatalf("report %d = %d, want 200 and %q", i+1, a.status, want)
		}
	}
	if a := s.report("bad", map[string]string{"reason": "phishing"}, "X-Forwarded-For", "203.0.113.1"); !strings.Contains(string(a.body), "Thank you") {
		t.Errorf("report for another reason = %d %.300s, want thanks", a.status, a.body)
	}
	open, _ := s.reports("")
	byReason, counted := map[string]int{}, int64(0)
	for _, r := range open {
		byReason[r.Reason]++
		counted += r.Dropped
	}
	if byReason["other"] != store.MaxReportsPerLink || byReason["phishing"] != 1 || counted != dropped || s.received("dropped") != dropped {
		t.Errorf("open reports by reason = %v with %d dropped, metric %v, want %d others, 1 phishing and %d dropped",
			byReason, counted, s.received("dropped"), store.MaxReportsPerLink, dropped)
	}
}

// received returns how many reports have had a result.
func (s *server) received(result string) float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	must(s.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "terse_reports_received_total" && m.GetLabel()[0].GetValue() == result {
				return m.GetCounter().GetValue()
			}
		}
	}
	s.t.Fatalf("the metric has no result %s", result)
	return 0
}

// fullReports is a store that is full.
type fullReports struct{ store.Reports }

func (fullReports) AddReport(context.Context, store.Report) error {
	return fmt.Errorf("add report: %w", store.ErrFull)
}

func TestNoRoomForReports(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Reports = fullReports{o.Reports} })
	s.create(`{"url":"https://example.com","alias":"bad"}`)
	if a := s.report("bad", map[string]string{"reason": "spam"}); a.status != http.StatusServiceUnavailable {
		t.Errorf("report without room = %d, want 503", a.status)
	}
	if n := s.received("dropped"); n != 1 {
		t.Errorf("%v reports dropped, want 1", n)
	}
}

// TestReportFormIsInert checks that markup in the form, the title or the target becomes no
// element and no attribute of the page.
func TestReportFormIsInert(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const attack = `"><script>alert(1)</script></textarea><img src=x onerror=alert(1)>`
	s.create(map[string]any{"url": "https://example.com/?" + attack, "alias": "bad", "title": attack})
	a := s.report("bad", map[string]string{"reason": attack, "comment": attack, "email": attack})
	if a.status != http.StatusUnprocessableEntity {
		t.Fatalf("report = %d, want 422", a.status)
	}
	page, err := html.Parse(strings.NewReader(string(a.body)))
	must(t, err)
	for n := range page.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "script" || n.Data == "img" {
			t.Errorf("the page has a <%s> from the visitor's input", n.Data)
		}
		for _, attr := range n.Attr {
			if strings.HasPrefix(attr.Key, "on") {
				t.Errorf("<%s> has the attribute %s from the visitor's input", n.Data, attr.Key)
			}
		}
	}
}

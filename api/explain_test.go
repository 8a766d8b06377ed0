package api_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/client"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// explain returns the explanation of a visit.
func (s *server) explain(code string, visit any, headers ...string) (e client.Explanation) {
	s.t.Helper()
	a := s.send(http.MethodPost, "/api/v1/links/"+code+"/explain", visit, headers...)
	if a.status != http.StatusOK {
		s.t.Fatalf("explain %v = %d %s, want 200", visit, a.status, a.body)
	}
	a.into(&e)
	return e
}

func TestExplain(t *testing.T) {
	t.Parallel()
	s, clicks := newRuledServer(t)
	owner := s.owner("owner")
	l := s.create(ruled(`,"forward_query":"append"`, rule(`{"device":["ios"],"country":["DE"]}`, "0"), rule(`{"after":"2030-01-01T00:00:00Z"}`, "1"),
		`{"if":{"query":{"a":[]}},"split":[{"to":"https://target.example/a","weight":1},{"to":"https://target.example/b","weight":1000}],"sticky":false}`,
		rule(`{"query":{"b":[]},"country":["AT"]}`, "3")), owner...)
	clicks.take()
	zero, two := 0, 2
	for _, tt := range []struct {
		visit string
		want  client.Explanation
	}{
		{``, client.Explanation{State: "live", Location: "https://target.example/", Rules: []client.RuleResult{
			{Failed: "if.device", Unknown: true}, {Failed: "if.after"}, {Failed: "if.query"}, {Failed: "if.query"},
		}}},
		{`{"headers":{"user-agent":"` + iPhone + `"},"country":"de","query":"?b=2&qr=1"}`, client.Explanation{
			State: "live", Rule: &zero, Location: "https://target.example/0?b=2",
			Rules: []client.RuleResult{{Applies: true}, {Failed: "if.after"}, {Failed: "if.query"}, {Failed: "if.country"}},
		}},
		{`{"ip":"192.0.2.1","query":"a=1&b","at":"2029-12-31T23:59:59Z"}`, client.Explanation{
			State: "live", Rule: &two, Variant: new(1), Drawn: true, Location: "https://target.example/b?a=1&b",
			Rules: []client.RuleResult{{Failed: "if.device", Unknown: true}, {Failed: "if.after"}, {Applies: true}, {}},
		}},
		{`{"at":"2030-01-01T01:00:00+01:00"}`, client.Explanation{
			State: "live", Rule: new(1), Location: "https://target.example/1",
			Rules: []client.RuleResult{{Failed: "if.device", Unknown: true}, {Applies: true}, {Failed: "if.query"}, {Failed: "if.query"}},
		}},
	} {
		got := s.explain(l.Code, tt.visit, owner...)
		if got.Drawn { // another draw is right too, but rare
			got.Variant, got.Location = tt.want.Variant, strings.Replace(got.Location, "/a?", "/b?", 1)
		}
		if fmt.Sprintf("%+v", dereferenced(got)) != fmt.Sprintf("%+v", dereferenced(tt.want)) {
			t.Errorf("explain %s = %+v, want %+v", tt.visit, dereferenced(got), dereferenced(tt.want))
		}
	}
	if got := clicks.take(); len(got) > 0 {
		t.Errorf("explain counted clicks: %+v", got)
	}
	path := "/api/v1/links/" + l.Code + "/explain"
	for visit, want := range map[string]string{
		`{"ip":"x"}`: "body.ip", `{"ip":"fe80::1%eth0"}`: "body.ip", `{"country":"UK"}`: "body.country", `{"at":"now"}`: "body.at",
		`{"headers":["x"]}`: "body.headers", `{"query":"a#b"}`: "body.query", `{"device":"ios"}`: "body.device", `{"ip":"x","country":"y"}`: "body.ip body.country",
	} {
		if got := s.send(http.MethodPost, path, visit, owner...).problem(http.StatusUnprocessableEntity); got != want {
			t.Errorf("explain %s: errors of %s, want %s", visit, got, want)
		}
	}
	s.send(http.MethodPost, path, `{}`).problem(http.StatusUnauthorized)
	s.send(http.MethodPost, path, `{}`, s.key("writer", store.ScopeLinksWrite)...).problem(http.StatusForbidden)
	s.send(http.MethodPost, path, `{}`, s.owner("other")...).problem(http.StatusNotFound)
	plain := s.create(body(`,"expires_at":"2026-12-31T00:00:00Z"`), owner...)
	if e := s.explain(plain.Code, `{"at":"2027-01-01T00:00:00Z"}`, owner...); e.State != "expired" || e.Rule != nil || len(e.Rules) != 0 || e.Location != plain.URL {
		t.Errorf("explain of an expired link without rules = %+v", e)
	}
}

// dereferenced returns e with the values of its pointers as texts.
func dereferenced(e client.Explanation) []any {
	index := func(p *int) any {
		if p == nil {
			return nil
		}
		return *p
	}
	return []any{e.State, index(e.Rule), index(e.Variant), e.Drawn, e.Location, e.Rules}
}

// TestExplainAgreesWithTheRedirect sends random visits of random rules to both.
func TestExplainAgreesWithTheRedirect(t *testing.T) {
	t.Parallel()
	s, clicks := newRuledServer(t)
	owner := s.owner("owner")
	const seed = 18
	random := rand.New(rand.NewPCG(seed, seed))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	condition := func() string {
		return pick(`"device":["ios","android"]`, `"device":["desktop"]`, `"browser":["safari"]`, `"country":["DE","AT"]`, `"continent":["NA"]`,
			`"language":["de","pt-BR"]`, `"language":["en"]`, `"query":{"a":["1","x y"]}`, `"query":{"a":[],"b":[]}`, `"referrer":["page.example"]`,
			`"ip":["198.51.100.0/25"]`, `"after":"2026-06-01T12:30:00Z"`, `"hours":["12:00-12:20"]`, `"weekday":["mon"],"tz":"Asia/Tokyo"`)
	}
	for range testenv.Rounds(40) {
		var list []string
		for i := range 1 + random.IntN(5) {
			text := condition()
			if random.IntN(3) == 0 {
				text += `,"not":{` + condition() + `}`
			}
			to := fmt.Sprintf(`"to":"https://target.example/%d?t=%d"`, i, i)
			if random.IntN(3) == 0 {
				to = fmt.Sprintf(`"split":[{"to":"https://target.example/%d/a","weight":1},{"to":"https://target.example/%d/b","weight":2}]`, i, i)
			}
			list = append(list, `{"if":{`+text+`},`+to+`}`)
		}
		a := s.send(http.MethodPost, "/api/v1/links", ruled(pick("", `,"forward_query":"append"`, `,"forward_query":"override"`), list...), owner...)
		if a.status == http.StatusUnprocessableEntity && contains(a.body, "never apply") {
			continue
		}
		l := a.link()
		for range 15 {
			s.clock.add(time.Duration(random.IntN(600)) * time.Second)
			language, referrer, query := pick("", "de-CH,en;q=0.5", "en,de;q=0.9", "pt-BR", "fr"), pick("", "https://www.page.example/x", "https://other.example/"), pick("", "a=1", "a=x+y&b", "t=9&qr=1", "b=%31")
			agent, ip, country := pick("", iPhone, chromium, slackbot), pick("198.51.100.7", "198.51.100.200", "2001:db8::1"), pick("", "DE", "US")
			headers, sent := map[string]string{}, []string{"User-Agent", agent, "X-Forwarded-For", ip}
			for name, value := range map[string]string{"User-Agent": agent, "Accept-Language": language, "Referer": referrer} {
				if value != "" {
					headers[name] = value
					sent = append(sent, name, value)
				}
			}
			if country != "" {
				sent = append(sent, "Cf-Ipcountry", country)
			}
			clicks.take()
			visited := s.get("/"+l.Code+"?"+query, sent...)
			e := s.explain(l.Code, map[string]any{"headers": headers, "ip": ip, "country": country, "query": query}, owner...)
			name := "url"
			if e.Rule != nil {
				name = fmt.Sprintf("rules[%d]", *e.Rule)
			}
			if e.Variant != nil {
				name += fmt.Sprintf(".split[%d]", *e.Variant)
			}
			if c := clicks.take(); visited.header.Get("Location") != e.Location || len(c) != 1 || c[0].Rule != name {
				t.Fatalf("rules %s with %q: the redirect leads to %q by %+v, explain says %s to %q", list, sent, visited.header.Get("Location"), c, name, e.Location)
			}
		}
	}
}

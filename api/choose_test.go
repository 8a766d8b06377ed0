package api_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// atlas are the countries of tests: the header, else Austria for every address.
type atlas struct{}

func (atlas) Country(header string, _ netip.Addr) string {
	if header != "" {
		return header
	}
	return "AT"
}

const iPhone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"

// newRuledServer returns a server that knows countries and trusts loopback as a proxy and CDN.
func newRuledServer(t *testing.T, change ...func(*options)) (*server, *recorded) {
	t.Helper()
	var r recorded
	s := newServer(t, append([]func(*options){func(o *options) {
		o.Clicks, o.Clients, o.CountryHeader, o.Countries, o.CDN = &r, proxies(t, "127.0.0.1/32", "::1/128"), "Cf-Ipcountry", atlas{}, true
	}}, change...)...)
	return s, &r
}

// rule returns a rule that leads to https://target.example/<to>.
func rule(condition, to string) string {
	return `{"if":` + condition + `,"to":"https://target.example/` + to + `"}`
}

// ruled returns the body of a create with rules.
func ruled(members string, list ...string) string {
	return body(members + `,"rules":[` + strings.Join(list, ",") + `]`)
}

func TestRulesPickTheTarget(t *testing.T) {
	t.Parallel()
	s, clicks := newRuledServer(t)
	l := s.create(ruled(`,"forward_query":"append"`,
		rule(`{"device":["ios"],"country":["DE"]}`, "0"), rule(`{"query":{"ref":["mail"]}}`, "1?a=1"), rule(`{"referrer":["page.example"]}`, "2"),
		rule(`{"ip":["198.51.100.0/24"]}`, "3"), rule(`{"language":["fr"]}`, "4"), rule(`{"browser":["firefox"]}`, "5"), rule(`{"country":["CH"]}`, "6")))
	for _, tt := range []struct {
		query, location, rule string
		headers               []string
	}{
		{"", "0", "rules[0]", []string{"User-Agent", iPhone, "Cf-Ipcountry", "DE"}},
		{"", "", "url", []string{"User-Agent", iPhone}},
		{"?ref=mail&qr=1", "1?a=1&ref=mail", "rules[1]", nil},
		{"?qr=1", "", "url", nil},
		{"", "2", "rules[2]", []string{"Referer", "https://www.page.example/x"}},
		{"", "3", "rules[3]", []string{"X-Forwarded-For", "198.51.100.7"}},
		{"", "4", "rules[4]", []string{"Accept-Language", "de,fr-CH;q=0.5"}},
		{"", "5", "rules[5]", []string{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"}},
		{"", "6", "rules[6]", []string{"Cf-Ipcountry", "CH"}},
		{"", "", "url", []string{"User-Agent", ""}},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			clicks.take()
			a := s.do(method, "/"+l.Code+tt.query, nil, tt.headers...)
			if want := "https://target.example/" + tt.location; a.status != http.StatusFound || a.header.Get("Location") != want {
				t.Errorf("%s %q with %q = %d to %q, want 302 to %q", method, tt.query, tt.headers, a.status, a.header.Get("Location"), want)
			}
			if c := clicks.take(); len(c) != 1 || c[0].Rule != tt.rule || c[0].TargetQuery != "" != strings.Contains(tt.location, "?") {
				t.Errorf("%s %q with %q: clicks %+v, want one by %s", method, tt.query, tt.headers, c, tt.rule)
			}
		}
	}
	plain := s.create(body(""))
	clicks.take()
	s.get("/" + plain.Code)
	if c := clicks.take(); len(c) != 1 || c[0].Rule != "" {
		t.Errorf("clicks of a link without rules = %+v, want no rule", c)
	}
}

// TestLongHeaders checks that a visit with long headers gets a target, and that explain names the same one. Of a
// long list of languages or parameters, the first ones count.
func TestLongHeaders(t *testing.T) {
	t.Parallel()
	const long = 16 << 10
	s, _ := newRuledServer(t)
	owner := s.owner("owner")
	path := "/" + s.create(ruled("", rule(`{"language":["de"]}`, "de"), rule(`{"device":["ios"]}`, "app"), rule(`{"referrer":["page.example"]}`, "page"),
		rule(`{"browser":["firefox"]}`, "firefox"), rule(`{"query":{"b":["1"]}}`, "query")), owner...).Code
	for _, tt := range []struct{ name, header, value, query, want string }{
		{"1000 languages", "Accept-Language", strings.Repeat("en-US;q=0.5,", 1000) + "de", "", ""},
		{"a wanted language before 1000 others", "Accept-Language", "de" + strings.Repeat(",en-US;q=0.5", 1000), "", "de"},
		{"a long language", "Accept-Language", strings.Repeat("d", long), "", ""},
		{"a long agent", "User-Agent", strings.Repeat("Mozilla ", long/8), "", ""},
		{"a long referrer", "Referer", "https://" + strings.Repeat("a.", long/2) + "page.example/", "", "page"},
		{"a long page", "Referer", "https://page.example/" + strings.Repeat("a", long), "", "page"},
		{"a long query", "", "", strings.Repeat("a=1&", long/4) + "b=1", ""},
		{"a wanted parameter before a long query", "", "", "b=1" + strings.Repeat("&a=1", long/4), "query"},
	} {
		want := "https://target.example/" + tt.want
		headers := map[string]string{"User-Agent": ""}
		if tt.header != "" {
			headers[tt.header] = tt.value
		}
		var sent []string
		for name, value := range headers {
			sent = append(sent, name, value)
		}
		if a := s.get(path+"?"+tt.query, sent...); a.status != http.StatusFound || a.header.Get("Location") != want {
			t.Errorf("%s: %d to %.100q, want 302 to %q", tt.name, a.status, a.header.Get("Location"), want)
		}
		if tt.query != "" {
			continue // explain takes no query of this length
		}
		var explained struct{ Location string }
		s.send(http.MethodPost, "/api/v1/links"+path+"/explain", map[string]any{"headers": headers, "query": tt.query}, owner...).into(&explained)
		if explained.Location != want {
			t.Errorf("%s: explain names %.100q, want %q", tt.name, explained.Location, want)
		}
	}
}

// TestRulesApplyLast checks that the state, a password, a confirmation and a click limit come before rules.
func TestRulesApplyLast(t *testing.T) {
	t.Parallel()
	s, _ := newRuledServer(t)
	const target = "https://target.example/app"
	list := rule(`{"device":["ios"],"query":{"a":[]}}`, "app")
	form := []string{"User-Agent", iPhone, "Content-Type", "application/x-www-form-urlencoded"}
	post := func(l linkJSON, fields string) answer {
		t.Helper()
		return s.do(http.MethodPost, "/"+l.Code+"?a=1", []byte(fields), form...)
	}
	locked := s.create(ruled(`,"password":"secret"`, list))
	if a := s.get("/"+locked.Code+"?a=1", form...); a.status != http.StatusOK || contains(a.body, "target.example") {
		t.Errorf("a link with a password = %d %s, want the form", a.status, a.body)
	}
	if a := post(locked, "password=secret"); a.status != http.StatusSeeOther || a.header.Get("Location") != target {
		t.Errorf("the right password = %d to %q, want 303 to the target of the rule", a.status, a.header.Get("Location"))
	}
	confirmed := s.create(ruled(`,"confirm":true`, strings.Replace(list, "target.example", "app.example", 1)))
	if a := s.get("/"+confirmed.Code+"?a=1", form...); !contains(a.body, "app.example") || contains(a.body, "target.example") {
		t.Errorf("page to confirm = %s, want the host of the rule", a.body)
	}
	if a := post(confirmed, ""); a.header.Get("Location") != "https://app.example/app" {
		t.Errorf("Continue = %d to %q, want the target of the rule", a.status, a.header.Get("Location"))
	}
	once := s.create(ruled(`,"max_clicks":1`, list))
	if a := s.do(http.MethodHead, "/"+once.Code+"?a=1", nil, form...); a.header.Get("Location") != "" {
		t.Errorf("HEAD of a link with a click limit = %q, want no target", a.header.Get("Location"))
	}
	if a := s.get("/"+once.Code+"?a=1", form...); a.header.Get("Location") != target || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a link with a click limit = %d %v, want the target of the rule", a.status, a.header)
	}
	s.get("/"+once.Code+"?a=1", form...).problem(http.StatusGone)
	ended := s.create(ruled(`,"expires_at":"`+s.clock.Now().Add(time.Minute).Format(time.RFC3339)+`"`, list))
	s.clock.add(time.Hour)
	s.get("/"+ended.Code+"?a=1", form...).problem(http.StatusGone)
}

// TestRulesAreEdited checks that an edit of the rules takes effect at once.
func TestRulesAreEdited(t *testing.T) {
	t.Parallel()
	s, _ := newRuledServer(t)
	owner := s.owner("owner")
	l := s.create(body(""), owner...)
	for i := range 5 {
		to := fmt.Sprint(i)
		s.send(http.MethodPatch, "/api/v1/links/"+l.Code, `{"rules":[`+rule(`{"not":{"device":["bot"]}}`, to)+`]}`, owner...)
		if a := s.get("/"+l.Code, "User-Agent", iPhone); a.header.Get("Location") != "https://target.example/"+to {
			t.Errorf("after edit %d the visit leads to %q", i, a.header.Get("Location"))
		}
	}
	s.send(http.MethodPatch, "/api/v1/links/"+l.Code, `{"rules":null}`, owner...)
	if a := s.get("/"+l.Code, "User-Agent", iPhone); a.header.Get("Location") != "https://target.example/" {
		t.Errorf("without rules the visit leads to %q", a.header.Get("Location"))
	}
}

// TestCachePoliciesOfRules checks for how long answers of links with rules may be cached.
func TestCachePoliciesOfRules(t *testing.T) {
	t.Parallel()
	s, _ := newRuledServer(t)
	at := func(d time.Duration) string { return `"` + s.clock.Now().Add(d).Format(time.RFC3339Nano) + `"` }
	const live = "max-age=60, stale-while-revalidate=30, stale-if-error=86400"
	minute := s.clock.Now().Add(time.Minute).Truncate(time.Minute)
	untilMinute := fmt.Sprintf("max-age=%d", int(minute.Sub(s.clock.Now()).Seconds()))
	for _, tt := range []struct {
		name, members, rule, browser, cdn string
	}{
		{"query", "", rule(`{"query":{"a":[]}}`, ""), "private, max-age=0", live},
		{"query, permanent", `,"status":308`, rule(`{"query":{"a":[]}}`, ""), "private, max-age=90", live},
		{"no condition", "", `{"to":"https://target.example/x"}`, "private, max-age=0", live},
		{"device", "", rule(`{"device":["ios"]}`, ""), "private, max-age=0", "no-store"},
		{"country", `,"status":301`, rule(`{"not":{"continent":["EU"]}}`, ""), "private, max-age=90", "no-store"},
		{"language", "", rule(`{"language":["de"]}`, ""), "private, max-age=0", "no-store"},
		{"browser", "", rule(`{"browser":["firefox"]}`, ""), "no-store", "no-store"},
		{"referrer", "", rule(`{"referrer":["page.example"]}`, ""), "no-store", "no-store"},
		{"address", "", rule(`{"ip":["192.0.2.1"]}`, ""), "no-store", "no-store"},
		{"split", `,"status":301`, `{"split":[{"to":"https://target.example/a","weight":1},{"to":"https://target.example/b","weight":1}]}`, "no-store", "no-store"},
		{"far border", "", rule(`{"after":`+at(time.Hour)+`}`, ""), "private, max-age=0", "max-age=60"},
		{"near border", `,"status":301`, rule(`{"before":`+at(30*time.Second)+`}`, ""), "private, max-age=30", "max-age=30"},
		{"nearest border", "", rule(`{"not":{"after":`+at(40*time.Second)+`,"before":`+at(50*time.Second)+`}}`, ""), "private, max-age=0", "max-age=40"},
		{"border at once", "", rule(`{"before":`+at(100*time.Millisecond)+`}`, ""), "no-store", "no-store"},
		{"past border", "", rule(`{"before":`+at(-time.Hour)+`}`, ""), "private, max-age=0", "max-age=60"},
		{"hours", "", rule(`{"hours":["`+minute.Format("15:04")+`-`+minute.Add(time.Hour).Format("15:04")+`"]}`, ""), "private, max-age=0", untilMinute},
		{"expiry before the border", `,"expires_at":` + at(20*time.Second), rule(`{"after":`+at(50*time.Second)+`}`, ""), "private, max-age=0", "max-age=20"},
		{"time and device", "", rule(`{"device":["ios"],"after":`+at(30*time.Second)+`}`, ""), "private, max-age=0", "no-store"},
		{"password", `,"password":"x"`, rule(`{"query":{"a":[]}}`, ""), "no-store", "no-store"},
	} {
		l := s.create(ruled(tt.members, tt.rule))
		a := s.get("/" + l.Code)
		if browser, cdn := a.header.Get("Cache-Control"), a.header.Get("Cdn-Cache-Control"); browser != tt.browser || cdn != tt.cdn {
			t.Errorf("%s: Cache-Control %q and CDN-Cache-Control %q, want %q and %q", tt.name, browser, cdn, tt.browser, tt.cdn)
		}
	}
}

// TestVary checks when a CDN may keep the answer of a link with rules on facts of the visitor, and the headers
// in Vary.
func TestVary(t *testing.T) {
	t.Parallel()
	const live = "max-age=60, stale-while-revalidate=30, stale-if-error=86400"
	varies := func(o *options) { o.CDNVaries, o.CountryHeader = true, "Terse-Country" }
	s, _ := newRuledServer(t, varies)
	within := `"` + s.clock.Now().Add(30*time.Second).Format(time.RFC3339Nano) + `"`
	apple := []string{"User-Agent", iPhone, "Terse-Device", "ios"}
	german := []string{"Accept-Language", "de-AT,de;q=0.9", "Terse-Language", "de"}
	for _, tt := range []struct {
		name, rule string
		headers    []string
		cdn, vary  string
	}{
		{"device", rule(`{"device":["ios"]}`, ""), apple, live, "Terse-Device"},
		{"device that the CDN does not know", rule(`{"device":["ios"]}`, ""), apple[:2], "no-store", "Terse-Device"},
		{"wrong device", rule(`{"device":["ios"]}`, ""), []string{"User-Agent", iPhone, "Terse-Device", "android"}, "no-store", "Terse-Device"},
		{"language", rule(`{"not":{"language":["de"]}}`, ""), german, live, "Terse-Language"},
		{"wrong language", rule(`{"language":["de"]}`, ""), []string{"Accept-Language", "fr", "Terse-Language", "de"}, "no-store", "Terse-Language"},
		{"language with a region", rule(`{"language":["de-AT"]}`, ""), german, "no-store", "Terse-Language"},
		{"country", rule(`{"country":["AT"]}`, ""), []string{"Terse-Country", "DE"}, live, "Terse-Country"},
		{"continent", rule(`{"continent":["EU"]}`, ""), []string{"Terse-Country", "DE"}, live, "Terse-Country"},
		{"country of the address", rule(`{"country":["AT"]}`, ""), nil, "no-store", "Terse-Country"},
		{"all", rule(`{"country":["AT"],"not":{"language":["de"],"device":["ios"]}}`, ""), append(append([]string{"Terse-Country", "DE"}, apple...), german...), live, "Terse-Device, Terse-Country, Terse-Language"},
		{"all but one", rule(`{"country":["AT"],"language":["de"],"device":["ios"]}`, ""), append([]string{"Terse-Country", "DE"}, apple...), "no-store", "Terse-Device, Terse-Country, Terse-Language"},
		{"time and device", rule(`{"device":["ios"],"after":`+within+`}`, ""), apple, "max-age=30", "Terse-Device"},
		{"query and device", rule(`{"device":["ios"],"query":{"a":[]}}`, ""), apple, live, "Terse-Device"},
		{"browser and device", rule(`{"device":["ios"],"browser":["safari"]}`, ""), apple, "no-store", ""},
		{"query", rule(`{"query":{"a":[]}}`, ""), apple, live, ""},
	} {
		a := s.get("/"+s.create(ruled("", tt.rule)).Code, tt.headers...)
		if cdn, vary := a.header.Get("Cdn-Cache-Control"), a.header.Get("Vary"); cdn != tt.cdn || vary != tt.vary {
			t.Errorf("%s: CDN-Cache-Control %q and Vary %q, want %q and %q", tt.name, cdn, vary, tt.cdn, tt.vary)
		}
	}

	strangers, _ := newRuledServer(t, varies, func(o *options) { o.Clients = proxies(t, "203.0.113.1/32") })
	other, _ := newRuledServer(t, func(o *options) { o.CDNVaries = true })
	constant, _ := newRuledServer(t)
	for _, tt := range []struct {
		name, condition, vary string
		s                     *server
	}{
		{"a CDN that does not vary", `{"device":["ios"]}`, "", constant},
		{"no trusted proxy", `{"device":["ios"]}`, "Terse-Device", strangers},
		{"another header for the country", `{"country":["DE"]}`, "Terse-Country", other},
	} {
		a := tt.s.get("/"+tt.s.create(ruled("", rule(tt.condition, ""))).Code, append(apple, "Terse-Country", "DE", "Cf-Ipcountry", "DE")...)
		if cdn, vary := a.header.Get("Cdn-Cache-Control"), a.header.Get("Vary"); cdn != "no-store" || vary != tt.vary {
			t.Errorf("%s: CDN-Cache-Control %q and Vary %q, want no-store and %q", tt.name, cdn, vary, tt.vary)
		}
	}
	for _, forged := range []string{"android", "bot", "x"} {
		if a := s.get("/"+s.create(ruled("", rule(`{"device":["ios"]}`, "app"))).Code, "User-Agent", iPhone, "Terse-Device", forged); a.header.Get("Location") != "https://target.example/app" {
			t.Errorf("an iPhone with Terse-Device %s gets %q, want the target for its User-Agent", forged, a.header.Get("Location"))
		}
	}
}

// TestPreviewOfRules checks that the preview shows every target and when it applies.
func TestPreviewOfRules(t *testing.T) {
	t.Parallel()
	s, _ := newRuledServer(t)
	l := s.create(ruled("", rule(`{"device":["ios","ipados"],"query":{"ref":["mail","<ad>"]},"after":"2027-01-01T01:00:00+01:00","hours":["09:00-17:00"],"tz":"Europe/Berlin","not":{"country":["US"]}}`, "app"),
		`{"split":[{"to":"https://target.example/a","weight":2},{"to":"https://target.example/b","weight":1}]}`))
	a := s.get("/" + l.Code + "+")
	for _, want := range []string{
		"If the device is ios or ipados and the address has ref=mail or ref=&lt;ad&gt; and from 2027-01-01 00:00:00 UTC and the time is 09:00-17:00 in Europe/Berlin and not (the country is US)</dt>",
		"https://target.example/app</dd>", "67 %: https://target.example/a</dd>", "33 %: https://target.example/b</dd>",
	} {
		if !contains(a.body, want) {
			t.Errorf("preview lacks %q:\n%s", want, a.body)
		}
	}
	for _, hidden := range []string{`,"password":"x"`, `,"max_clicks":1`} {
		l := s.create(ruled(hidden, rule(`{"device":["ios"]}`, "secret")))
		if a := s.get("/" + l.Code + "+"); contains(a.body, "secret") || !contains(a.body, "several addresses") {
			t.Errorf("preview of a link with %s shows a target of a rule:\n%s", hidden, a.body)
		}
	}
}

// TestSplitOnAllNodes checks that nodes with the same secret give a visitor the same target.
func TestSplitOnAllNodes(t *testing.T) {
	t.Parallel()
	var nodes [3]*server
	for i := range nodes {
		nodes[i], _ = newRuledServer(t, func(o *options) { o.Secret = []byte{byte(i / 2)} })
		nodes[i].create(body(`,"alias":"split","rules":[{"split":[{"to":"https://target.example/a","weight":1},{"to":"https://target.example/b","weight":1}]}]`))
	}
	const visitors = 100
	first, other := 0, 0
	for i := range visitors {
		var to [3]string
		for n, s := range nodes {
			to[n] = s.get("/split", "X-Forwarded-For", fmt.Sprintf("198.51.%d.7", i)).header.Get("Location")
		}
		if to[0] != to[1] {
			t.Errorf("visitor %d gets %s on one node and %s on another", i, to[0], to[1])
		}
		if to[0] != to[2] {
			other++
		}
		if to[0] == "https://target.example/a" {
			first++
		}
	}
	if first < visitors/4 || first > visitors*3/4 || other < visitors/4 {
		t.Errorf("%d of %d visitors get the first target, and %d another one with another secret", first, visitors, other)
	}
}

// TestRulesOfANewerVersion checks that a node does not answer with a target that rules which it cannot read
// may exclude.
func TestRulesOfANewerVersion(t *testing.T) {
	t.Parallel()
	s, _ := newRuledServer(t)
	l, err := s.store.Create(t.Context(), store.Link{
		Code: "newer", URL: "https://target.example/", Status: 302, CreatedAt: s.clock.Now(), UpdatedAt: s.clock.Now(),
		Rules: `[{"if":{"planet":["mars"]},"to":"https://target.example/mars"}]`,
	})
	must(t, err)
	for _, path := range []string{"/" + l.Code, "/" + l.Code + "+"} {
		if a := s.get(path); a.status != http.StatusServiceUnavailable || a.header.Get("Location") != "" {
			t.Errorf("%s = %d to %q, want 503", path, a.status, a.header.Get("Location"))
		}
	}
}

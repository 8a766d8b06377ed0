//go:build unix

package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// visitors are the values of headers of random visitors. Varnish knows the first 11 agents and the first six
// languages.
var visitors = struct{ agents, languages, countries, queries []string }{
	agents: []string{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/130.0.6723.90 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Android 14; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
		"Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
		"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
		"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
		"Mozilla/5.0 (Linux; Android 13; Pixel 7 Build/TQ3A.230901.001; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/129.0.6668.70 Mobile Safari/537.36",
		"Mozilla/5.0 (compatible; RareBot/1.0)",
		"curl/8.9.1",
		"",
	},
	languages: []string{"de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "de", "fr-FR,fr;q=0.9", "en-US,en;q=0.9", "fr,en;q=0.5", "", "de;q=0.5,fr;q=0.9", "it,de;q=0.9,fr;q=0.8", "*"},
	countries: []string{"DE", "AT", "US", "BR", "", "XX"},
	queries:   []string{"", "?ref=mail", "?ref=ad&x=1"},
}

// oneOf returns a random value. Earlier ones are more frequent.
func oneOf(values []string) string {
	return values[int(rand.Float64()*rand.Float64()*float64(len(values)))]
}

// TestRulesThroughVarnish sends random visitors through Varnish to links with rules. Each visitor must get what the
// node itself answers, before and after an edit of all links.
func TestRulesThroughVarnish(t *testing.T) {
	t.Parallel()
	const change = "# set req.http.Terse-Country = req.http.CF-IPCountry"
	e := newEdge(t, map[string]string{change: change[2:]}, "TERSE_COUNTRY_HEADER=Terse-Country")
	until := time.Now().Add(10 * time.Second).UTC().Format(time.RFC3339Nano)
	links := []struct{ alias, conditions string }{
		{"device", `{"device":["ios"]};{"device":["mobile"]};{"device":["bot","windows"]}`},
		{"country", `{"country":["DE"]};{"not":{"continent":["EU"]}}`},
		{"language", `{"language":["de"]};{"not":{"language":["fr"]}}`},
		{"query", `{"query":{"ref":["mail"]}}`},
		{"time", `{"before":"` + until + `"}`},
		{"browser", `{"browser":["firefox"]}`},
		{"region", `{"language":["de-DE","fr"]}`},
		{"mixed", `{"device":["android"],"query":{"ref":["mail"]}};{"device":["desktop"],"before":"` + until + `"};{"language":["fr"],"not":{"device":["bot"]}}`},
		{"all", `{"device":["ios","ipados"],"country":["DE","AT"],"language":["de"]};{"not":{"device":["mobile"],"country":["US"],"language":["en"]}}`},
	}
	// body returns the body of a create or an edit. The generation is in each target.
	body := func(alias, conditions, generation string) string {
		var list []string
		for i, condition := range strings.Split(conditions, ";") {
			list = append(list, fmt.Sprintf(`{"if":%s,"to":"https://example.com/%s/%s/%d"}`, condition, generation, alias, i))
		}
		return fmt.Sprintf(`{"url":"https://example.com/%s/%s/url","rules":[%s]`, generation, alias, strings.Join(list, ","))
	}
	visit := func(alias string) (cache string) {
		path := "/" + alias + oneOf(visitors.queries)
		facts := []string{"User-Agent", oneOf(visitors.agents)}
		if language := oneOf(visitors.languages); language != "" {
			facts = append(facts, "Accept-Language", language)
		}
		edge, direct := facts, facts
		if country := oneOf(visitors.countries); country != "" {
			edge, direct = append(slices.Clip(edge), "Cf-Ipcountry", country), append(slices.Clip(direct), "Terse-Country", country)
		}
		edge = append(edge, "Terse-Device", oneOf([]string{"ios", "bot", "x"}), "Terse-Language", oneOf([]string{"de", "fr", "x"}), "Terse-Country", oneOf([]string{"DE", "US", "x"}))
		origin := func() string {
			_, h, _ := e.send(http.MethodGet, e.node.url+path, "", direct...)
			return h.Get("Location")
		}
		before := origin()
		status, h := e.visit(path, edge...)
		if got := h.Get("Location"); status != http.StatusFound || got == "" || got != before && got != origin() { // the time may have changed the target
			t.Errorf("%s with %q = %d to %q (%s), want 302 to %q", path, edge, status, got, h.Get("X-Cache"), before)
		}
		if h.Get("Vary") != "" {
			t.Errorf("%s: a visitor sees Vary: %s", path, h.Get("Vary"))
		}
		return h.Get("X-Cache")
	}
	storm := func(generation string) {
		visits, hits, all := map[string]int{}, map[string]int{}, 0
		for range testenv.Rounds(1000) {
			alias := links[rand.IntN(len(links))].alias
			visits[alias]++
			if cache := visit(alias); cache != "MISS" {
				hits[alias]++
				all++
			}
		}
		for _, l := range links {
			t.Logf("%s: Varnish answered %d of %d visits to %s", generation, hits[l.alias], visits[l.alias], l.alias)
			if never := l.alias == "browser" || l.alias == "region"; never != (hits[l.alias] == 0) && visits[l.alias] > 50 {
				t.Errorf("Varnish answered %d of %d visits to %s", hits[l.alias], visits[l.alias], l.alias)
			}
		}
		t.Logf("%s: the hit rate of Varnish was %d of %d", generation, all, testenv.Rounds(1000))
	}
	for _, l := range links {
		e.call(http.MethodPost, "/api/v1/links", body(l.alias, l.conditions, "first")+`,"alias":"`+l.alias+`"}`, http.StatusCreated)
	}
	storm("first")
	for _, l := range links {
		e.call(http.MethodPatch, "/api/v1/links/"+l.alias, body(l.alias, l.conditions, "second")+`}`, http.StatusOK)
	}
	for _, l := range links {
		testenv.AwaitWithin(t, purgedWithin, "Varnish to show the edit of "+l.alias, func() bool {
			_, h := e.visit("/"+l.alias, "User-Agent", visitors.agents[0])
			return strings.Contains(h.Get("Location"), "/second/")
		})
	}
	storm("second")
}

// TestAllVariantsArePurged keeps an answer for many devices and languages in Varnish. One edit removes all of
// them.
func TestAllVariantsArePurged(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	const list = `,"rules":[{"if":{"device":["ios"],"language":["de"]},"to":"https://example.com/app"},{"if":{"device":["bot"]},"to":"https://example.com/robots"}]`
	e.create("varied", "https://example.com/first", list)
	cached := func(agent, language string) (location string, hit bool) {
		_, h := e.visit("/varied", "User-Agent", agent, "Accept-Language", language)
		return h.Get("Location"), h.Get("X-Cache") == "HIT"
	}
	agents, languages := visitors.agents[:11], visitors.languages[:5]
	for _, agent := range agents {
		for _, language := range languages {
			testenv.Await(t, "Varnish to keep an answer for "+agent+" and "+language, func() bool {
				_, hit := cached(agent, language)
				return hit
			})
		}
	}
	e.call(http.MethodPatch, "/api/v1/links/varied", `{"url":"https://example.com/second","rules":null}`, http.StatusOK)
	testenv.AwaitWithin(t, purgedWithin, "Varnish to show the edit", func() bool {
		location, _ := cached(agents[0], languages[0])
		return location == "https://example.com/second"
	})
	for _, agent := range agents {
		for _, language := range languages {
			if location, _ := cached(agent, language); location != "https://example.com/second" {
				t.Errorf("%s with %s gets %q after the edit", agent, language, location)
			}
		}
	}
}

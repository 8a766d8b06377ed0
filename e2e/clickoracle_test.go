//go:build unix

package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/clicks/country"
	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/visit"
	terseclient "github.com/terse/terse/client"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/useragent"
)

// visitKind is one visitor who opens one link again and again.
type visitKind struct {
	code    string
	request []byte // HTTP/1.1
	values  [day.Dimensions]string
}

// clickOracle knows the visits that nodes have answered, and compares them with statistics. Nodes must
// trust the proxy 127.0.0.1. Safe for concurrent use.
type clickOracle struct {
	kinds []visitKind

	mu       sync.Mutex
	answered []int64 // by kind
}

// proxied is the setting of nodes for a clickOracle.
const proxied = "TERSE_TRUSTED_PROXIES=127.0.0.0/8"

// newClickOracle returns an oracle of visits of the links by people and robots of several countries,
// devices, languages, pages and campaigns.
func newClickOracle(t *testing.T, codes []string) *clickOracle {
	t.Helper()
	agents, err := useragent.New()
	must(t, err)
	countries, err := country.New(country.Options{Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	must(t, err)
	classifier, err := visit.New(agents, countries)
	must(t, err)
	userAgents := []string{
		browser, robot, testenv.Browser,
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
	}
	referrers := []string{"", "https://news.ycombinator.com/item?id=1", "https://blog.example.co.uk/post"}
	languages := []string{"de-DE,de;q=0.9", "en", ""}
	addresses := []string{"81.2.69.160", "185.60.216.35", "133.242.0.1", "203.0.113.9"}
	queries := []string{"", "utm_source=mail&utm_medium=news&utm_campaign=spring", "utm_source=ads&utm_term=shoes&utm_content=b"}
	o := &clickOracle{}
	for c, code := range codes {
		for i := range 24 {
			r := visit.Request{
				UserAgent: userAgents[i%len(userAgents)], Referrer: referrers[(i+c)%len(referrers)], Language: languages[i/3%len(languages)],
				Query: queries[i/2%len(queries)], Address: netip.MustParseAddr(addresses[(i/4+c)%len(addresses)]),
			}
			v := classifier.Visit(&r)
			request := fmt.Sprintf("GET /%s?%s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: %s\r\nX-Forwarded-For: %s\r\n", code, r.Query, r.UserAgent, r.Address)
			if r.Referrer != "" {
				request += "Referer: " + r.Referrer + "\r\n"
			}
			if r.Language != "" {
				request += "Accept-Language: " + r.Language + "\r\n"
			}
			o.kinds = append(o.kinds, visitKind{code, []byte(request + "\r\n"), v.Values()})
		}
	}
	o.answered = make([]int64, len(o.kinds))
	return o
}

// visits sends n random visits to a node at once, and counts them. Every answer must be a redirect.
func (o *clickOracle) visits(conn net.Conn, from *bufio.Reader, n int) error {
	kinds, requests := make([]int, n), make([][]byte, n)
	for i := range kinds {
		kinds[i] = rand.IntN(len(o.kinds))
		requests[i] = o.kinds[kinds[i]].request
	}
	if err := visitAtOnce(conn, from, requests); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, kind := range kinds {
		o.answered[kind]++
	}
	return nil
}

// visitAtOnce sends requests over a connection without waiting for answers in between, and checks that
// every answer is a redirect.
func visitAtOnce(conn net.Conn, from *bufio.Reader, requests [][]byte) error {
	if _, err := conn.Write(slices.Concat(requests...)); err != nil {
		return err
	}
	for i := range requests {
		response, err := http.ReadResponse(from, nil)
		if err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusFound {
			return fmt.Errorf("answer %d: status %d", i, response.StatusCode)
		}
	}
	return nil
}

// visit sends n visits over one connection, and closes the connection.
func (o *clickOracle) visit(t *testing.T, node *program, n int) {
	t.Helper()
	conn, err := net.Dial("tcp", node.Addr())
	must(t, err)
	defer func() { _ = conn.Close() }()
	from := bufio.NewReader(conn)
	for ; n > 0; n -= 50 {
		must(t, o.visits(conn, from, min(n, 50)))
	}
}

// total returns how many visits were answered.
func (o *clickOracle) total() (n int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.answered {
		n += a
	}
	return n
}

// want waits until a node shows all visits, and then compares all its breakdowns with the visits.
func (o *clickOracle) want(t *testing.T, node *program, token string) {
	t.Helper()
	api, err := terseclient.New(terseclient.Options{Server: node.url, Key: token})
	must(t, err)
	var codes []string
	for i, kind := range o.kinds {
		if i == 0 || kind.code != codes[len(codes)-1] {
			codes = append(codes, kind.code)
		}
	}
	total := o.total()
	var links []terseclient.LinkStats
	var sum int64
	testenv.AwaitWithin(t, patienceWithClicks, fmt.Sprintf("%d clicks in the statistics", total), func() bool {
		links, err = api.ListStats(t.Context(), codes, terseclient.StatsQuery{By: day.DimensionNames(), Limit: 100})
		must(t, err)
		sum = 0
		for _, l := range links {
			sum += l.Stats.Total.People + l.Stats.Total.Robots
		}
		return sum >= total
	})
	if sum != total {
		t.Errorf("statistics have %d clicks, want %d", sum, total)
	}
	for _, l := range links {
		o.wantBreakdowns(t, l.Code, l.Stats)
		link, err := api.Get(t.Context(), l.Code)
		must(t, err)
		if people, robots := l.Stats.Total.People, l.Stats.Total.Robots; link.Clicks != people || link.Robots != robots {
			t.Errorf("%s has totals of %d people and %d robots, and statistics of %d and %d", l.Code, link.Clicks, link.Robots, people, robots)
		}
	}
}

// wantBreakdowns compares the breakdowns of one link with the visits.
func (o *clickOracle) wantBreakdowns(t *testing.T, code string, got *terseclient.Stats) {
	t.Helper()
	for dim := range day.Dimension(day.Dimensions) {
		want := map[string]terseclient.Clicks{}
		for i, kind := range o.kinds {
			if kind.code != code {
				continue
			}
			c := want[kind.values[dim]]
			if kind.values[day.Class] == day.Person {
				c.People += o.answered[i]
			} else {
				c.Robots += o.answered[i]
			}
			want[kind.values[dim]] = c
		}
		have := map[string]terseclient.Clicks{}
		for _, b := range got.Breakdowns {
			if b.By != dim.String() {
				continue
			}
			have[""] = b.Unknown
			for _, v := range b.Values {
				have[v.Value] = v.Clicks
			}
			if b.Other != (terseclient.Clicks{}) {
				t.Errorf("%s by %v: %+v other clicks, want none", code, dim, b.Other)
			}
		}
		for value, clicks := range want {
			if have[value] != clicks {
				t.Errorf("%s by %v: %q has %+v, want %+v", code, dim, value, have[value], clicks)
			}
			delete(have, value)
		}
		delete(have, "")
		if len(have) > 0 {
			t.Errorf("%s by %v has more values than wanted: %v", code, dim, have)
		}
	}
}

// adminToken creates an API key in the database of a node.
func adminToken(p *program) string {
	return strings.TrimPrefix(p.newKey("admin")[1], "TERSE_API_KEY=")
}

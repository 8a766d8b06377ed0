package rules_test

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/useragent"
)

// classifier is shared, because New compiles a long list.
var classifier = func() *useragent.Classifier {
	c, err := useragent.New()
	if err != nil {
		panic(err)
	}
	return c
}()

const (
	iPhone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	iPad     = "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	pixel    = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"
	firefox  = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
	edge     = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"
	mac      = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"
	chromeOS = "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	google   = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
	curl     = "curl/8.5.0"
)

// start is a Friday.
var start = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// one returns the compiled form of one rule with a condition.
func one(t testing.TB, condition string) *rules.Set {
	t.Helper()
	return compiled(t, fmt.Sprintf(`[{"if":%s,"to":"https://example.com/1"}]`, condition))
}

func TestConditions(t *testing.T) {
	t.Parallel()
	agent := func(ua string) rules.Visit { return rules.Visit{Agent: classifier.Agent(ua)} }
	country := func(code string) rules.Visit { return rules.Visit{Country: code} }
	language := func(header string) rules.Visit { return rules.Visit{Language: header} }
	query := func(q string) rules.Visit { return rules.Visit{Query: q} }
	referrer := func(r string) rules.Visit { return rules.Visit{Referrer: r} }
	address := func(a string) rules.Visit { return rules.Visit{Address: netip.MustParseAddr(a)} }
	at := func(text string) rules.Visit {
		when, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return rules.Visit{Time: when}
	}
	for _, tt := range []struct {
		condition string
		visit     rules.Visit
		want      bool
	}{
		{`{"device":["ios"]}`, agent(iPhone), true},
		{`{"device":["ios"]}`, agent(iPad), false},
		{`{"device":["ipados"]}`, agent(iPad), true},
		{`{"device":["mobile"]}`, agent(iPad), true},
		{`{"device":["mobile"]}`, agent(pixel), true},
		{`{"device":["Android"]}`, agent(pixel), true},
		{`{"device":["windows","linux"]}`, agent(edge), true},
		{`{"device":["linux"]}`, agent(firefox), true},
		{`{"device":["desktop"]}`, agent(mac), true},
		{`{"device":["macos"]}`, agent(mac), true},
		{`{"device":["chromeos"]}`, agent(chromeOS), true},
		{`{"device":["linux"]}`, agent(chromeOS), false},
		{`{"device":["bot"]}`, agent(google), true},
		{`{"device":["bot"]}`, agent(firefox), false},
		{`{"device":["desktop","mobile","bot"]}`, agent(curl), false},
		{`{"not":{"device":["ios"]}}`, agent(pixel), true},
		{`{"not":{"device":["ios"]}}`, agent(google), true},
		{`{"not":{"device":["ios"]}}`, agent(""), false}, // unknown
		{`{"browser":["edge"]}`, agent(edge), true},
		{`{"browser":["Chrome"]}`, agent(edge), false},
		{`{"browser":["firefox","SAFARI"]}`, agent(iPhone), true},
		{`{"not":{"browser":["edge"]}}`, agent(google), false}, // unknown

		{`{"country":["DE","fr"]}`, country("FR"), true},
		{`{"country":["DE"]}`, country("AT"), false},
		{`{"country":["DE"]}`, country(""), false},
		{`{"not":{"country":["DE"]}}`, country("AT"), true},
		{`{"not":{"country":["DE"]}}`, country(""), false}, // unknown
		{`{"continent":["EU"]}`, country("XK"), true},
		{`{"continent":["eu"]}`, country("US"), false},
		{`{"continent":["SA","NA"]}`, country("US"), true},
		{`{"not":{"continent":["EU"]}}`, country("ZZ"), false}, // unknown

		{`{"language":["de"]}`, language("de"), true},
		{`{"language":["de"]}`, language("en, de;q=0.1"), true}, // no rule names en
		{`{"language":["de"]}`, language("de-CH-1996"), true},
		{`{"language":["DE-ch"]}`, language("de-Ch"), true},
		{`{"language":["de-CH"]}`, language("de"), false},
		{`{"language":["de"]}`, language("den"), false},
		{`{"language":["de"]}`, language("de;q=0"), false},
		{`{"language":["de"]}`, language("de;q=2, x, ;;;, *"), false},
		{`{"language":["de"]}`, language("*"), false},
		{`{"language":["de"]}`, language("\tDE ; q=0.5 "), true},
		{`{"not":{"language":["de"]}}`, language("en"), true},
		{`{"not":{"language":["de"]}}`, language("*"), false}, // unknown
		{`{"not":{"language":["de"]}}`, language(""), false},  // unknown

		{`{"query":{"ref":["mail","ad"]}}`, query("x=1&ref=ad"), true},
		{`{"query":{"ref":["mail","ad"]}}`, query("ref=x&ref=mail"), true},
		{`{"query":{"ref":["mail"]}}`, query("REF=mail"), false},
		{`{"query":{"ref":["mail"]}}`, query("ref=Mail"), false},
		{`{"query":{"ref":[]}}`, query("ref"), true},
		{`{"query":{"ref":[]}}`, query("xref=1"), false},
		{`{"query":{"ref":[""]}}`, query("ref="), true},
		{`{"query":{"ref":[""]}}`, query("ref"), true},
		{`{"query":{"ref":[""]}}`, query("ref=1"), false},
		{`{"query":{"a b":["ü%"]}}`, query("a+b=%C3%bc%"), true},
		{`{"query":{"a":["1"],"b":["2"]}}`, query("a=1"), false},
		{`{"query":{"a":["1"],"b":["2"]}}`, query("b=2&a=1"), true},
		{`{"not":{"query":{"a":[]}}}`, query(""), true},

		{`{"referrer":["example.com"]}`, referrer("https://EXAMPLE.com:8443/x?https://other.example/"), true},
		{`{"referrer":["example.com"]}`, referrer("http://www.example.com./"), true},
		{`{"referrer":["example.com"]}`, referrer("https://notexample.com/"), false},
		{`{"referrer":["example.com"]}`, referrer("https://example.com@evil.example/"), false},
		{`{"referrer":["example.com"]}`, referrer("https://evil.example/example.com"), false},
		{`{"referrer":["münchen.example"]}`, referrer("https://xn--mnchen-3ya.example"), true},
		{`{"referrer":["::1"]}`, referrer("http://[::1]:80/"), true},
		{`{"not":{"referrer":["example.com"]}}`, referrer("https://other.example/"), true},
		{`{"not":{"referrer":["example.com"]}}`, referrer(""), false}, // unknown

		{`{"ip":["192.0.2.0/24"]}`, address("192.0.2.255"), true},
		{`{"ip":["192.0.2.0/24"]}`, address("::ffff:192.0.2.1"), true},
		{`{"ip":["192.0.2.0/24","2001:db8::/32"]}`, address("2001:db8::7"), true},
		{`{"ip":["192.0.2.7"]}`, address("192.0.2.8"), false},
		{`{"ip":["fe80::/16"]}`, address("fe80::1%eth0"), true},
		{`{"not":{"ip":["192.0.2.0/24"]}}`, rules.Visit{}, false}, // unknown

		{`{"after":"2027-01-01T00:00:00Z"}`, at("2027-01-01T00:00:00Z"), true},
		{`{"after":"2027-01-01T00:00:00Z"}`, at("2026-12-31T23:59:59.999999Z"), false},
		{`{"before":"2027-01-01T00:00:00Z"}`, at("2027-01-01T00:00:00Z"), false},
		{`{"before":"2027-01-01T01:00:00+01:00"}`, at("2026-12-31T23:59:59Z"), true},
		{`{"weekday":["fri"]}`, at("2027-01-01T23:59:59Z"), true},
		{`{"weekday":["fri"],"tz":"Asia/Tokyo"}`, at("2027-01-01T23:59:59Z"), false},
		{`{"hours":["09:00-17:30"],"tz":"Europe/Berlin"}`, at("2027-01-01T08:00:00Z"), true},
		{`{"hours":["09:00-17:30"],"tz":"Europe/Berlin"}`, at("2027-07-01T07:00:00Z"), true},
		{`{"hours":["09:00-17:30"],"tz":"Europe/Berlin"}`, at("2027-01-01T16:30:00Z"), false},
		{`{"hours":["22:00-06:00"]}`, at("2027-01-01T05:59:59Z"), true},
		{`{"hours":["22:00-06:00"]}`, at("2027-01-01T06:00:00Z"), false},
		{`{"hours":["20:00-24:00"]}`, at("2027-01-01T23:59:59Z"), true},

		{`{"country":["DE"],"query":{"a":[]}}`, rules.Visit{Country: "DE", Query: "a"}, true},
		{`{"country":["DE"],"not":{"query":{"a":[]}}}`, rules.Visit{Country: "DE", Query: "a"}, false},
		{`{"not":{"country":["DE"],"query":{"a":[]}}}`, rules.Visit{Country: "DE"}, true},
		{`{"not":{"country":["DE"],"query":{"a":[]}}}`, rules.Visit{Query: "b"}, true},      // one does not hold, so not holds
		{`{"not":{"country":["DE"],"query":{"a":[]}}}`, rules.Visit{Query: "a"}, false},     // unknown
		{`{"not":{"device":["ios"],"country":["DE"]}}`, rules.Visit{Country: "FR"}, true},   // the device is unknown
		{`{"not":{"device":["ios"],"country":["DE"]}}`, rules.Visit{Country: "DE"}, false},  // the device is unknown
		{`{"device":["ios"],"not":{"country":["DE"]}}`, rules.Visit{Country: "FR"}, false},  // the device is unknown
		{`{"ip":["0.0.0.0/0"]}`, rules.Visit{Address: netip.MustParseAddr("::1")}, false},   // another family
		{`{"query":{"a":["1"]}}`, query(strings.Repeat("b&", 300) + "a=1"), false},          // beyond the bound
		{`{"language":["de"]}`, language(strings.Repeat("en,", 63) + "de"), true},           // within the bound
		{`{"language":["de"]}`, language(strings.Repeat("en,", 1000) + "de"), false},        // beyond the bound
		{`{"language":["de"]}`, language(strings.Repeat("d", 16<<10) + ",de;q=0.01"), true}, // no tag, so it is ignored
	} {
		got := one(t, tt.condition).Choose(&tt.visit)
		want := rules.Choice{Rule: -1, Name: "url"}
		if tt.want {
			want = rules.Choice{To: "https://example.com/1", Name: "rules[0]"}
		}
		if got != want {
			t.Errorf("%s with %.200v: Choose = %+v, want %+v", tt.condition, tt.visit, got, want)
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	s := compiled(t, `[
		{"if":{"country":["DE"],"language":["de"]},"to":"https://example.com/0"},
		{"if":{"country":["DE"]},"to":"https://example.com/1"},
		{"if":{"language":["fr","en"]},"to":"https://example.com/2"},
		{"to":"https://example.com/3"}]`)
	for _, tt := range []struct {
		visit rules.Visit
		want  int
	}{
		{rules.Visit{Country: "DE", Language: "de"}, 0},
		{rules.Visit{Country: "DE", Language: "en,de;q=0.9"}, 1}, // en is ranked above de
		{rules.Visit{Language: "it,en;q=0.5,de;q=0.4"}, 2},
		{rules.Visit{Language: "it"}, 3},
		{rules.Visit{}, 3},
	} {
		got := s.Choose(&tt.visit)
		if want := fmt.Sprintf("rules[%d]", tt.want); got.Rule != tt.want || got.Name != want || got.To != fmt.Sprintf("https://example.com/%d", tt.want) {
			t.Errorf("Choose(%+v) = %+v, want rule %d", tt.visit, got, tt.want)
		}
	}
}

func TestVaries(t *testing.T) {
	t.Parallel()
	everything := rules.Device | rules.Browser | rules.Country | rules.Language | rules.Query | rules.Referrer | rules.Address | rules.Time | rules.Split
	for text, want := range map[string]rules.Facts{
		all:                               everything,
		`[{"to":"https://example.com/"}]`: 0,
		`[{"if":{"not":{"continent":["EU"]}},"to":"https://example.com/"}]`:                                         rules.Country,
		`[{"if":{"hours":["00:00-12:00"]},"to":"https://example.com/"}]`:                                            rules.Time,
		`[{"split":[{"to":"https://example.com/a","weight":1},{"to":"https://example.com/b","weight":2}]}]`:         rules.Split,
		`[{"if":{"query":{"a":[]}},"to":"https://example.com/"},{"if":{"ip":["::1"]},"to":"https://example.com/"}]`: rules.Query | rules.Address,
	} {
		if got := compiled(t, text).Varies(); got != want {
			t.Errorf("Varies of %s = %b, want %b", text, got, want)
		}
	}
}

// clients returns visits of different clients.
func clients(n int) []rules.Visit {
	visits := make([]rules.Visit, n)
	for i := range visits {
		addr := netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)})
		if i%2 == 1 {
			addr = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 8), byte(i), 15: byte(i)})
		}
		visits[i] = rules.Visit{Key: "spring", Seed: 7, Address: addr, UserAgent: fmt.Sprintf("%s (%d)", firefox, i)}
	}
	return visits
}

func TestSplit(t *testing.T) {
	t.Parallel()
	split := func(a, b int) *rules.Set {
		return compiled(t, fmt.Sprintf(`[{"split":[{"to":"https://example.com/a","weight":%d},{"to":"https://example.com/b","weight":%d}]}]`, a, b))
	}
	const n = 100_000
	before, same, after := split(70, 30), split(700, 300), split(60, 40)
	first, moved, wrong := 0, 0, 0
	for _, v := range clients(n) {
		was := before.Choose(&v)
		if was.Name != fmt.Sprintf("rules[0].split[%d]", was.Variant) {
			t.Fatalf("Choose = %+v", was)
		}
		if again := before.Choose(&v); again != was {
			t.Fatalf("Choose = %+v, then %+v", was, again)
		}
		if was != same.Choose(&v) {
			wrong++
		}
		if was.Variant == 0 {
			first++
		}
		if is := after.Choose(&v); is != was {
			moved++
			if was.Variant != 0 {
				wrong++
			}
		}
	}
	if share := float64(first) / n; math.Abs(share-0.7) > 0.01 {
		t.Errorf("share of the first target = %v, want 0.7", share)
	}
	if share := float64(moved) / n; math.Abs(share-0.1) > 0.01 {
		t.Errorf("share of the clients that 60/40 moves = %v, want 0.1", share)
	}
	if wrong > 0 {
		t.Errorf("%d clients moved although the share of their target did not shrink", wrong)
	}
}

// TestVisitor checks what makes a visitor of a split.
func TestVisitor(t *testing.T) {
	t.Parallel()
	s := compiled(t, `[{"split":[{"to":"https://example.com/a","weight":1},{"to":"https://example.com/b","weight":1},
		{"to":"https://example.com/c","weight":1},{"to":"https://example.com/d","weight":1}]}]`)
	for _, tt := range []struct {
		name   string
		change func(v *rules.Visit)
		same   bool
	}{
		{"another address of the network", func(v *rules.Visit) { v.Address = sibling(v.Address) }, true},
		{"another query", func(v *rules.Visit) { v.Query = "x" }, true},
		{"another link", func(v *rules.Visit) { v.Key = "summer" }, false},
		{"another seed", func(v *rules.Visit) { v.Seed++ }, false},
		{"another User-Agent", func(v *rules.Visit) { v.UserAgent += " " }, false},
		{"another network", func(v *rules.Visit) { v.Address = netip.MustParseAddr("203.0.113.1") }, false},
	} {
		moved := 0
		for _, v := range clients(400) {
			was := s.Choose(&v)
			tt.change(&v)
			if s.Choose(&v) != was {
				moved++
			}
		}
		if tt.same != (moved == 0) || !tt.same && (moved < 200 || moved > 390) {
			t.Errorf("%s: %d of 400 visitors got another target", tt.name, moved)
		}
	}
}

// sibling returns another address of the same network.
func sibling(a netip.Addr) netip.Addr {
	if a.Is4() {
		b := a.As4()
		b[3] ^= 1
		return netip.AddrFrom4(b)
	}
	b := a.As16()
	b[6] ^= 1
	return netip.AddrFrom16(b)
}

// TestDrawn checks that a split that is not sticky draws each visit.
func TestDrawn(t *testing.T) {
	t.Parallel()
	s := compiled(t, `[{"split":[{"to":"https://example.com/a","weight":1},{"to":"https://example.com/b","weight":3}],"sticky":false}]`)
	seen := [2]int{}
	const n = 20_000
	for range n {
		seen[s.Choose(&rules.Visit{Key: "spring"}).Variant]++
	}
	if share := float64(seen[0]) / n; math.Abs(share-0.25) > 0.02 {
		t.Errorf("share of the first target = %v, want 0.25", share)
	}
}

func TestBorder(t *testing.T) {
	t.Parallel()
	parse := func(text string) time.Time {
		at, err := time.Parse(time.RFC3339, text)
		if text != "" && err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, tt := range []struct{ condition, now, want string }{
		{`{"country":["DE"]}`, "2027-01-01T00:00:00Z", ""},
		{`{"after":"2027-01-01T00:00:30Z","before":"2027-01-01T00:01:00Z"}`, "2027-01-01T00:00:00Z", "2027-01-01T00:00:30Z"},
		{`{"after":"2027-01-01T00:00:30Z","before":"2027-01-01T00:01:00Z"}`, "2027-01-01T00:00:30Z", "2027-01-01T00:01:00Z"},
		{`{"after":"2027-01-01T00:00:30Z"}`, "2027-01-01T00:00:31Z", ""},
		{`{"not":{"after":"2027-01-01T00:01:31Z"}}`, "2027-01-01T00:00:00Z", ""}, // after the horizon
		{`{"hours":["09:00-17:30"]}`, "2027-01-01T08:58:59Z", "2027-01-01T09:00:00Z"},
		{`{"hours":["09:00-17:30"]}`, "2027-01-01T09:00:00Z", ""},
		{`{"hours":["09:00-17:30"]}`, "2027-01-01T17:29:30Z", "2027-01-01T17:30:00Z"},
		{`{"weekday":["sat"]}`, "2027-01-01T23:59:00Z", "2027-01-02T00:00:00Z"},
		{`{"weekday":["sat"],"tz":"Asia/Kolkata"}`, "2027-01-01T18:29:00Z", "2027-01-01T18:30:00Z"},
		{`{"hours":["02:15-02:45"],"tz":"Europe/Berlin"}`, "2027-03-28T00:59:30Z", ""},                     // the clock jumps from 02:00 to 03:00
		{`{"hours":["02:15-03:15"],"tz":"Europe/Berlin"}`, "2027-03-28T00:59:30Z", "2027-03-28T01:00:00Z"}, // it jumps into the range
		{`{"hours":["02:15-03:00"],"tz":"Europe/Berlin"}`, "2027-10-31T00:59:30Z", "2027-10-31T01:00:00Z"}, // it jumps out, from 03:00 to 02:00
		{`{"hours":["09:00-17:30"],"before":"2027-01-01T08:59:30Z"}`, "2027-01-01T08:59:00Z", "2027-01-01T08:59:30Z"},
	} {
		now := parse(tt.now)
		if got := one(t, tt.condition).Border(now, now.Add(90*time.Second)); !got.Equal(parse(tt.want)) {
			t.Errorf("%s at %s: Border = %v, want %s", tt.condition, tt.now, got, tt.want)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	s := compiled(t, `[
		{"if":{"device":["ios"],"country":["DE"]},"to":"https://example.com/0"},
		{"if":{"country":["DE"],"query":{"a":[]}},"to":"https://example.com/1"},
		{"if":{"country":["DE"],"not":{"query":{"b":[]}}},"to":"https://example.com/2"},
		{"if":{"country":["DE"]},"to":"https://example.com/3"},
		{"if":{"country":["DE","AT"]},"to":"https://example.com/4"},
		{"if":{"hours":["00:00-00:01"]},"to":"https://example.com/5"}]`)
	choice, got := s.Explain(&rules.Visit{Country: "DE", Query: "b", Time: start.Add(time.Hour)})
	if choice.Rule != 3 {
		t.Errorf("Explain = %+v, want rule 3", choice)
	}
	want := []rules.Result{
		{Failed: "if.device", Unknown: true}, {Failed: "if.query"}, {Failed: "if.not"}, {Applies: true}, {}, {Failed: "if.hours"},
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("rule %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}

// sixteen returns 16 rules that the visit of busy misses.
func sixteen(t testing.TB) *rules.Set {
	t.Helper()
	var list []string
	for i := range 16 {
		conditions := []string{
			fmt.Sprintf(`{"device":["ios"],"query":{"n":["%d"]}}`, i),
			fmt.Sprintf(`{"country":["AT","CH","FR","IT"],"query":{"n":["%d"]}}`, i),
			fmt.Sprintf(`{"language":["de-AT","de-CH","fr"],"query":{"n":["%d"]}}`, i),
			fmt.Sprintf(`{"query":{"n":["%d"],"ref":["mail","ad"]}}`, i),
			fmt.Sprintf(`{"referrer":["example%d.com","example.org"],"country":["DE"]}`, i),
			fmt.Sprintf(`{"ip":["192.0.%d.0/24","2001:db8:%d::/48"]}`, i, i),
			fmt.Sprintf(`{"hours":["0%d:00-0%d:30"],"tz":"Europe/Berlin"}`, i/2+1, i/2+1),
			fmt.Sprintf(`{"after":"2028-01-0%dT00:00:00Z","not":{"device":["bot"]}}`, 9-i/2),
		}
		list = append(list, fmt.Sprintf(`{"if":%s,"to":"https://example.com/%d"}`, conditions[i%len(conditions)], i))
	}
	return compiled(t, "["+strings.Join(list, ",")+"]")
}

func busy() *rules.Visit {
	return &rules.Visit{
		Key: "spring", Time: start.Add(12 * time.Hour), Agent: classifier.Agent(firefox), UserAgent: firefox, Country: "DE",
		Language: "de-DE,de;q=0.8,en-US;q=0.5,en;q=0.3", Query: "utm_source=news&utm_medium=mail", Referrer: "https://www.example.net/page",
		Address: netip.MustParseAddr("203.0.113.7"),
	}
}

// TestAllocations is not parallel, because it counts allocations.
func TestAllocations(t *testing.T) {
	everything := compiled(t, strings.Replace(all, `"sticky":false`, `"sticky":true`, 1))
	split := compiled(t, `[{"split":[{"to":"https://example.com/a","weight":1},{"to":"https://example.com/b","weight":2}]}]`)
	misses := sixteen(t)
	v := busy()
	if got := misses.Choose(v); got.Rule != -1 {
		t.Fatalf("16 rules that miss: %+v", got)
	}
	if got := testing.AllocsPerRun(100, func() {
		misses.Choose(v)
		everything.Choose(v)
		split.Choose(v)
		misses.Border(v.Time, v.Time.Add(90*time.Second))
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

func BenchmarkChoose(b *testing.B) {
	for _, bb := range []struct {
		name string
		set  *rules.Set
	}{
		{"one", one(b, `{"country":["US"]}`)},
		{"split", compiled(b, `[{"split":[{"to":"https://example.com/a","weight":70},{"to":"https://example.com/b","weight":30}]}]`)},
		{"sixteen", sixteen(b)},
	} {
		v := busy()
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bb.set.Choose(v)
			}
		})
	}
	b.Run("languages", func(b *testing.B) {
		set, v := one(b, `{"language":["de"]}`), &rules.Visit{Language: strings.Repeat("en-US;q=0.5,", 1000)}
		for b.Loop() {
			set.Choose(v)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := checked(b, all)
	for b.Loop() {
		if _, err := rules.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

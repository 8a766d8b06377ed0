package rules_test

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
	"github.com/terse/terse/useragent"
)

// The model is a slow evaluation of rules: it follows the documentation word by word, on the form
// that users send. A nil result is unknown.

func modelRule(list []rules.Rule, v *rules.Visit) int {
	return slices.IndexFunc(list, func(r rules.Rule) bool {
		if r.If == nil {
			return true
		}
		held := modelMembers(list, &r.If.Members, v)
		if held == nil || !*held {
			return false
		}
		if r.If.Not == nil {
			return true
		}
		excluded := modelMembers(list, r.If.Not, v)
		return excluded != nil && !*excluded
	})
}

// modelMembers returns false if a member does not hold, else nil if one is unknown.
func modelMembers(list []rules.Rule, m *rules.Members, v *rules.Visit) *bool {
	var facts []*bool
	member := func(values []string, known bool, matches func(value string) bool) {
		switch {
		case values == nil:
		case !known:
			facts = append(facts, nil)
		default:
			facts = append(facts, new(slices.ContainsFunc(values, matches)))
		}
	}
	device := modelDevice(v.Agent)
	member(m.Device, device != "", func(value string) bool {
		return slices.Contains(strings.Fields(device), strings.ToLower(value))
	})
	member(m.Browser, v.Agent.Browser != "", func(value string) bool { return strings.EqualFold(value, v.Agent.Browser) })
	member(m.Country, v.Country != "", func(value string) bool { return strings.EqualFold(value, v.Country) })
	member(m.Continent, v.Country != "", func(value string) bool { return strings.EqualFold(value, modelContinents[v.Country]) })
	best, known := modelLanguage(list, v.Language)
	member(m.Language, known, func(value string) bool {
		return best == strings.ToLower(value) || strings.HasPrefix(best, strings.ToLower(value)+"-")
	})
	query, _ := url.ParseQuery(v.Query)
	for name, values := range m.Query {
		facts = append(facts, new(query.Has(name) && (len(values) == 0 || slices.ContainsFunc(values, func(value string) bool {
			return slices.Contains(query[name], value)
		}))))
	}
	page, _ := url.Parse(v.Referrer)
	member(m.Referrer, v.Referrer != "", func(value string) bool {
		return page.Hostname() == value || strings.HasSuffix(page.Hostname(), "."+value)
	})
	member(m.IP, v.Address.IsValid(), func(value string) bool {
		if network, err := netip.ParsePrefix(value); err == nil {
			return network.Contains(v.Address)
		}
		return netip.MustParseAddr(value) == v.Address
	})
	if m.After != nil {
		facts = append(facts, new(!v.Time.Before(*m.After)))
	}
	if m.Before != nil {
		facts = append(facts, new(v.Time.Before(*m.Before)))
	}
	zone, _ := time.LoadLocation(m.TZ)
	clock := v.Time.In(zone)
	member(m.Weekday, true, func(value string) bool { return strings.EqualFold(value, clock.Format("Mon")) })
	member(m.Hours, true, func(value string) bool {
		start, end, _ := strings.Cut(value, "-")
		now := clock.Format("15:04")
		if start < end {
			return start <= now && now < end
		}
		return start <= now || now < end
	})
	if slices.ContainsFunc(facts, func(f *bool) bool { return f != nil && !*f }) {
		return new(false)
	}
	if slices.Contains(facts, nil) {
		return nil
	}
	return new(true)
}

func modelDevice(a useragent.Agent) string {
	for _, known := range agents {
		if known.agent == a {
			return known.device
		}
	}
	panic("unknown agent")
}

func modelLanguage(list []rules.Rule, header string) (best string, known bool) {
	var named []string
	for i := range list {
		if c := list[i].If; c != nil {
			named = append(named, c.Language...)
			if c.Not != nil {
				named = append(named, c.Not.Language...)
			}
		}
	}
	type weighted struct {
		tag    string
		weight float64
	}
	var all []weighted
	for entry := range strings.SplitSeq(header, ",") {
		tag, q, has := strings.Cut(entry, ";q=")
		if tag == "" || tag == "*" {
			continue
		}
		known = true
		w := weighted{strings.ToLower(tag), 1}
		if has {
			w.weight, _ = strconv.ParseFloat(q, 64)
		}
		all = append(all, w)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].weight > all[j].weight })
	for _, w := range all {
		if w.weight > 0 && slices.ContainsFunc(named, func(n string) bool {
			n = strings.ToLower(n)
			return w.tag == n || strings.HasPrefix(w.tag, n+"-")
		}) {
			return w.tag, known
		}
	}
	return "", known
}

// agents are senders with what the documentation says about their devices.
var agents = []struct {
	agent  useragent.Agent
	device string
}{
	{useragent.Agent{}, ""},
	{useragent.Agent{Class: useragent.Crawler}, "bot"},
	{useragent.Agent{Class: useragent.Tool}, ""},
	{useragent.Agent{Device: "mobile", OS: "iOS", Browser: "Safari"}, "ios mobile"},
	{useragent.Agent{Device: "tablet", OS: "iOS", Browser: "Chrome"}, "ipados mobile"},
	{useragent.Agent{Device: "mobile", OS: "Android", Browser: "Instagram"}, "android mobile"},
	{useragent.Agent{Device: "tv", OS: "Android"}, "android"},
	{useragent.Agent{Device: "desktop", OS: "Windows", Browser: "Edge"}, "windows desktop"},
	{useragent.Agent{Device: "desktop", OS: "FreeBSD", Browser: "Firefox"}, "desktop"},
}

var modelContinents = map[string]string{"DE": "EU", "AT": "EU", "US": "NA", "JP": "AS", "BR": "SA"}

// sample returns nil, or one to three of the values.
func sample(t *rapid.T, label string, values ...string) []string {
	if rapid.IntRange(0, 3).Draw(t, label+" is set") > 0 {
		return nil
	}
	return rapid.SliceOfN(rapid.SampledFrom(values), 1, 3).Draw(t, label)
}

func drawMembers(t *rapid.T) rules.Members {
	m := rules.Members{
		Device:    sample(t, "device", "ios", "ipados", "android", "Windows", "mobile", "desktop", "bot"),
		Browser:   sample(t, "browser", "safari", "Chrome", "instagram", "edge", "firefox"),
		Country:   sample(t, "country", "DE", "at", "US", "JP"),
		Continent: sample(t, "continent", "EU", "na", "AS"),
		Language:  sample(t, "language", "de", "de-CH", "EN", "pt-BR"),
		Referrer:  sample(t, "referrer", "example.com", "www.example.com", "example.org"),
		IP:        sample(t, "ip", "192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "0.0.0.0/0"),
		Weekday:   sample(t, "weekday", "mon", "Fri", "sat", "sun"),
		Hours:     sample(t, "hours", "00:00-12:00", "11:30-24:00", "22:00-02:00", "01:00-01:30"),
	}
	if m.Weekday != nil || m.Hours != nil {
		m.TZ = rapid.SampledFrom([]string{"", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"}).Draw(t, "tz")
	}
	for _, name := range sample(t, "query", "a", "b c", "ü") {
		if m.Query == nil {
			m.Query = map[string][]string{}
		}
		m.Query[name] = rapid.SliceOfN(rapid.SampledFrom([]string{"", "1", "x y", "%"}), 0, 2).Draw(t, "values")
	}
	hour := rapid.IntRange(-1, 60)
	if h := hour.Draw(t, "after"); h >= 0 && rapid.Bool().Draw(t, "has after") {
		m.After = new(start.Add(time.Duration(h) * time.Hour))
	}
	if h := hour.Draw(t, "before"); h >= 0 && rapid.Bool().Draw(t, "has before") {
		m.Before = new(start.Add(time.Duration(h) * time.Hour))
	}
	return m
}

func drawRules(t *rapid.T) []rules.Rule {
	list := make([]rules.Rule, rapid.IntRange(1, 5).Draw(t, "rules"))
	for i := range list {
		r := rules.Rule{If: &rules.Condition{Members: drawMembers(t)}, To: "https://example.com/" + strconv.Itoa(i)}
		if rapid.IntRange(0, 2).Draw(t, "not") == 0 {
			r.If.Not = new(drawMembers(t))
		}
		if i == len(list)-1 && rapid.IntRange(0, 4).Draw(t, "else") == 0 {
			r.If = nil
		}
		list[i] = r
	}
	return list
}

func drawVisit(t *rapid.T) *rules.Visit {
	pair := rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{"a", "%61", "b+c", "b%20c", "%C3%BC", "A", ""}).Draw(t, "name") +
			rapid.SampledFrom([]string{"", "=", "=1", "=%31", "=x+y", "=%25", "=2"}).Draw(t, "value")
	})
	tag := rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{"de", "DE-ch", "de-CH-1996", "en-US", "en", "fr", "pt", "pt-BR", "*"}).Draw(t, "tag") +
			rapid.SampledFrom([]string{"", ";q=0.9", ";q=0.5", ";q=0.05", ";q=0", ";q=1.0"}).Draw(t, "q")
	})
	addresses := []netip.Addr{
		{},
		netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8"), netip.MustParseAddr("203.0.113.1"),
		netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::1"),
	}
	return &rules.Visit{
		Key: "spring", Time: start.Add(time.Duration(rapid.IntRange(-60, 61*60).Draw(t, "minute")) * time.Minute),
		Agent:    agents[rapid.IntRange(0, len(agents)-1).Draw(t, "agent")].agent,
		Country:  rapid.SampledFrom([]string{"", "DE", "AT", "US", "JP", "BR"}).Draw(t, "country"),
		Language: strings.Join(rapid.SliceOfN(tag, 0, 4).Draw(t, "language"), ","),
		Query:    strings.Join(rapid.SliceOfN(pair, 0, 4).Draw(t, "query"), "&"),
		Referrer: rapid.SampledFrom([]string{"", "https://example.com/", "http://www.example.com:80/x", "https://sub.example.org/", "https://other.example/"}).Draw(t, "referrer"),
		Address:  rapid.SampledFrom(addresses).Draw(t, "address"),
	}
}

// TestModel compares Choose and Explain with the model on random rules and visits. Rules that Check
// refuses as useless must never apply in the model.
func TestModel(t *testing.T) {
	t.Parallel()
	opts := options(t)
	rapid.Check(t, func(t *rapid.T) {
		list := drawRules(t)
		checked, err := rules.Check(list, opts)
		useless := map[int]bool{}
		if problems, ok := errors.AsType[store.InvalidError](err); ok {
			for _, p := range problems {
				if !strings.HasSuffix(p.Reason, "the rule would never apply") {
					return // another problem, such as a rule without conditions
				}
				n, _ := strconv.Atoi(strings.TrimPrefix(p.Field[:strings.Index(p.Field, "]")], "rules["))
				useless[n] = true
			}
			checked = list
		}
		text, err := rules.Encode(checked)
		if err != nil {
			t.Fatal(err)
		}
		s, err := rules.Parse(text)
		if err != nil {
			t.Fatalf("Parse(%s) = %v", text, err)
		}
		for range 20 {
			v := drawVisit(t)
			want := modelRule(list, v)
			got := s.Choose(v)
			if got.Rule != want {
				t.Fatalf("rules %s with %+v: Choose = %+v, want rule %d", text, v, got, want)
			}
			if useless[got.Rule] {
				t.Fatalf("rules %s: rule %d, which Check refuses as useless, applies to %+v", text, got.Rule, v)
			}
			explained, results := s.Explain(v)
			if explained != got {
				t.Fatalf("Explain = %+v, want %+v as Choose", explained, got)
			}
			for i, r := range results {
				if r.Applies != (i == want) || i < want && r.Failed == "" || r.Applies && r.Failed != "" {
					t.Fatalf("rules %s with %+v: result of rule %d is %+v, but rule %d applies", text, v, i, r, want)
				}
			}
		}
	})
}

package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/terse/terse/store"
)

// Facts is a set of kinds of facts about visits.
type Facts uint16

// The kinds of facts.
const (
	Device Facts = 1 << iota
	Browser
	Country // also for continents
	Language
	Query
	Referrer
	Address
	Time
	Split // which target of a split a visit gets
)

// Has reports whether f has one of the given kinds.
func (f Facts) Has(kinds Facts) bool { return f&kinds != 0 }

// Set is the compiled rules of a link. Create one with Parse. Immutable and safe for concurrent use.
type Set struct {
	rules     []rule
	varies    Facts
	languages map[string]struct{} // of all rules, in lower case
	instants  []time.Time         // of all after and before
	clocks    []*condition        // with weekday or hours
	targets   []string
}

type rule struct {
	cond     condition
	not      *condition
	variants []variant
	drawn    bool   // each visit is drawn anew
	name     string // such as "rules[1]"
}

// variant is a target of a rule. A rule without a split has one.
type variant struct {
	to     string
	weight float64
	hash   uint64 // of the target
	name   string // such as "rules[1].split[0]"
}

// member is a member of a condition.
type member uint8

// The members in the order of evaluation: the cheapest first.
const (
	memberDevice member = iota
	memberBrowser
	memberCountry
	memberContinent
	memberAfter
	memberBefore
	memberWeekday
	memberHours
	memberLanguage
	memberReferrer
	memberIP
	memberQuery
)

var memberNames = [...]string{
	memberDevice: "device", memberBrowser: "browser", memberCountry: "country", memberContinent: "continent",
	memberAfter: "after", memberBefore: "before", memberWeekday: "weekday", memberHours: "hours",
	memberLanguage: "language", memberReferrer: "referrer", memberIP: "ip", memberQuery: "query",
}

// condition is compiled Members.
type condition struct {
	members    []member // that are set, in the order of evaluation
	devices    devices
	browsers   browserSet
	countries  codeSet
	continents uint8 // bit n-1 for continentNumber n
	after      time.Time
	before     time.Time
	zone       *time.Location
	weekdays   weekdays
	hours      []hours
	languages  []string // in lower case
	referrers  []string // canonical
	networks   []netip.Prefix
	parameters []parameter
}

// Parse compiles the stored form of rules. It returns an error if the form is not valid, or if a
// target may not be sent to visitors, see store.Link.MayRedirect: the form may come from a place that
// others can write.
func Parse(text string) (*Set, error) {
	list, err := Decode(text)
	if err != nil {
		return nil, err
	}
	return compile(list)
}

func compile(list []Rule) (*Set, error) {
	s := &Set{rules: make([]rule, len(list)), languages: map[string]struct{}{}, targets: Targets(list)}
	for _, to := range s.targets {
		if l := (store.Link{URL: to, Status: store.DefaultStatus}); !l.MayRedirect() {
			return nil, errors.New("compile rules: a target is no http or https URL")
		}
	}
	if len(list) > MaxRules {
		return nil, fmt.Errorf("compile rules: %d rules", len(list))
	}
	for i := range list {
		r, from := &s.rules[i], &list[i]
		r.name = fieldOf(i)
		if from.If != nil {
			if err := s.compileMembers(&r.cond, &from.If.Members); err != nil {
				return nil, fmt.Errorf("compile %s: %w", r.name, err)
			}
			if from.If.Not != nil {
				r.not = &condition{}
				if err := s.compileMembers(r.not, from.If.Not); err != nil {
					return nil, fmt.Errorf("compile %s: %w", r.name, err)
				}
			}
		}
		r.compileVariants(from)
		if len(from.Split) > 0 {
			s.varies |= Split
			r.drawn = from.Sticky != nil && !*from.Sticky
		}
	}
	slices.SortFunc(s.instants, time.Time.Compare)
	for i := range s.rules {
		for _, c := range []*condition{&s.rules[i].cond, s.rules[i].not} {
			if c != nil && c.zone != nil {
				s.clocks = append(s.clocks, c)
			}
		}
	}
	return s, nil
}

func (r *rule) compileVariants(from *Rule) {
	if len(from.Split) == 0 {
		r.variants = []variant{{to: from.To, weight: 1, name: r.name}}
		return
	}
	for i, v := range from.Split {
		r.variants = append(r.variants, variant{
			to: v.To, weight: float64(max(v.Weight, 1)), hash: xxhash.Sum64String(v.To), name: r.name + ".split[" + strconv.Itoa(i) + "]",
		})
	}
}

// compileMembers compiles m into c. Values that Check refuses match no visit.
func (s *Set) compileMembers(c *condition, m *Members) (err error) {
	use := func(set bool, one member, fact Facts) {
		if set {
			c.members = append(c.members, one)
			s.varies |= fact
		}
	}
	use(m.Device != nil, memberDevice, Device)
	for _, v := range m.Device {
		c.devices |= deviceNames[strings.ToLower(v)]
	}
	use(m.Browser != nil, memberBrowser, Browser)
	for _, v := range m.Browser {
		if n, known := browserNumbers[strings.ToLower(v)]; known {
			c.browsers.add(n)
		}
	}
	use(m.Country != nil, memberCountry, Country)
	for _, v := range m.Country {
		if n, ok := codeNumber(v); ok {
			c.countries.add(n)
		}
	}
	use(m.Continent != nil, memberContinent, Country)
	for _, v := range m.Continent {
		c.continents |= 1 << continentNumber(v) >> 1
	}
	if use(m.After != nil, memberAfter, Time); m.After != nil {
		c.after = *m.After
		s.instants = append(s.instants, c.after)
	}
	if use(m.Before != nil, memberBefore, Time); m.Before != nil {
		c.before = *m.Before
		s.instants = append(s.instants, c.before)
	}
	if err := c.compileClock(m); err != nil {
		return err
	}
	use(m.Weekday != nil, memberWeekday, Time)
	use(m.Hours != nil, memberHours, Time)
	use(m.Language != nil, memberLanguage, Language)
	for _, v := range m.Language {
		v = strings.ToLower(v)
		c.languages = append(c.languages, v)
		s.languages[v] = struct{}{}
	}
	use(m.Referrer != nil, memberReferrer, Referrer)
	for _, v := range m.Referrer {
		host, err := store.CanonicalHost(v)
		if err != nil {
			return err
		}
		c.referrers = append(c.referrers, host)
	}
	use(m.IP != nil, memberIP, Address)
	for _, v := range m.IP {
		network, err := parseNetwork(v)
		if err != nil {
			return err
		}
		c.networks = append(c.networks, network)
	}
	use(m.Query != nil, memberQuery, Query)
	for _, name := range sortedNames(m.Query) {
		c.parameters = append(c.parameters, parameter{name, m.Query[name]})
	}
	return nil
}

// compileClock compiles weekday, hours and tz.
func (c *condition) compileClock(m *Members) (err error) {
	if m.Weekday == nil && m.Hours == nil {
		return nil
	}
	if c.zone, err = zoneOf(m.TZ); err != nil {
		return err
	}
	for _, v := range m.Weekday {
		if day, ok := parseWeekday(v); ok {
			c.weekdays |= 1 << day
		}
	}
	for _, v := range m.Hours {
		if h, ok := parseHours(v); ok {
			c.hours = append(c.hours, h)
		}
	}
	return nil
}

// Varies returns the kinds of facts that the rules ask about. A nil Set asks about none.
func (s *Set) Varies() Facts {
	if s == nil {
		return 0
	}
	return s.varies
}

// Targets returns the targets of all rules in their order, with repetitions.
func (s *Set) Targets() []string { return slices.Clone(s.targets) }

// Border returns the first time after now when a condition on the time may change. It returns the zero
// time if no condition changes before or at until. If rules ask about the clock, Border takes about a
// microsecond for each minute until then. A nil Set has no border.
func (s *Set) Border(now, until time.Time) (border time.Time) {
	if s == nil {
		return time.Time{}
	}
	for _, t := range s.instants {
		if t.After(now) {
			if !t.After(until) {
				border = t
			}
			break
		}
	}
	// A clock changes its minute, or jumps, only at a whole minute of UTC.
	for t := now.Truncate(time.Minute).Add(time.Minute); len(s.clocks) > 0 && !t.After(until); t = t.Add(time.Minute) {
		if !border.IsZero() && !t.Before(border) {
			break
		}
		for _, c := range s.clocks {
			if c.holdsClock(now) != c.holdsClock(t) {
				return t
			}
		}
	}
	return border
}

// clockState is which of the members weekday and hours hold.
type clockState struct{ weekday, hours bool }

func (c *condition) holdsClock(t time.Time) clockState {
	local := localAt(t, c.zone)
	return clockState{c.weekdays.has(local.day), c.inHours(local.minute)}
}

func (c *condition) inHours(minute int) bool {
	for _, h := range c.hours {
		if h.has(minute) {
			return true
		}
	}
	return false
}

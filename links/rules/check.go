package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/terse/terse/store"
)

// Options are what Check needs to know about the server.
type Options struct {
	// Target returns a target in its stored form. The text of its error is a reason for the
	// user. Required.
	Target func(raw string) (string, error)

	// Room is the most bytes of all targets together. Required.
	Room int

	// Countries is whether the server knows the countries of visits. Default: conditions on
	// countries and continents are refused.
	Countries bool
}

// Check validates the rules of one link and returns them with their targets in the stored form. It
// does not change list. Its error is a store.InvalidError with every problem. A field of a problem is
// like "rules[2].if.device[0]". Check also refuses rules that can never apply.
func Check(list []Rule, o Options) ([]Rule, error) {
	c := &checker{opts: o}
	if len(list) > MaxRules {
		c.add("rules", "must be at most %d", MaxRules)
		return nil, c.bad
	}
	checked := slices.Clone(list)
	for i := range checked {
		c.rule(fieldOf(i), &checked[i], i == len(list)-1)
	}
	if c.used > o.Room {
		c.add("rules", "must have targets of at most %d bytes in all, together with the url", store.MaxURLLen)
	}
	if len(c.bad) == 0 {
		c.useless(checked)
	}
	if text, err := Encode(checked); err != nil || len(text) > MaxLen {
		c.add("rules", "must have at most %d bytes as JSON", MaxLen)
	}
	if len(c.bad) > 0 {
		return nil, c.bad
	}
	return checked, nil
}

// checker collects problems.
type checker struct {
	opts Options
	bad  store.InvalidError
	used int // bytes of the targets
}

func (c *checker) add(field, format string, args ...any) {
	c.bad = append(c.bad, &store.FieldError{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// rule checks one rule and converts its targets.
func (c *checker) rule(field string, r *Rule, last bool) {
	switch {
	case r.If != nil:
		c.condition(field+".if", r.If)
	case !last:
		c.add(field+".if", "is required: without it, the rules after this one never apply")
	}
	switch {
	case r.To == "" && r.Split == nil:
		c.add(field+".to", "is required, or split")
	case r.To != "" && r.Split != nil:
		c.add(field+".split", "must not be set together with to")
	case r.Sticky != nil && r.Split == nil:
		c.add(field+".sticky", "must not be set without split")
	}
	if r.Split == nil {
		if r.To != "" {
			r.To = c.target(field+".to", r.To)
		}
		return
	}
	if n := len(r.Split); n < 2 || n > MaxVariants {
		c.add(field+".split", "must have 2 to %d targets", MaxVariants)
		return
	}
	r.Split = slices.Clone(r.Split)
	for i := range r.Split {
		v := &r.Split[i]
		at := field + ".split[" + strconv.Itoa(i) + "]"
		v.To = c.target(at+".to", v.To)
		if v.Weight < 1 || v.Weight > MaxWeight {
			c.add(at+".weight", "must be 1 to %d", MaxWeight)
		}
		if first := slices.IndexFunc(r.Split[:i], func(o Variant) bool { return o.To == v.To }); first >= 0 && v.To != "" {
			c.add(at+".to", "must differ from split[%d].to", first)
		}
	}
}

// target returns the stored form of a target, or an empty text for an invalid one.
func (c *checker) target(field, raw string) string {
	to, err := c.opts.Target(raw)
	if err != nil {
		c.add(field, "%s", err.Error())
		return ""
	}
	c.used += len(to)
	return to
}

func (c *checker) condition(field string, cond *Condition) {
	if cond.isEmpty() && cond.Not == nil {
		c.add(field, "must have a condition, or be left out in the last rule")
		return
	}
	c.members(field, &cond.Members)
	if cond.Not == nil {
		return
	}
	if cond.Not.isEmpty() {
		c.add(field+".not", "must have a condition")
		return
	}
	c.members(field+".not", cond.Not)
}

// isEmpty reports whether no member is set. An empty list is set.
func (m *Members) isEmpty() bool {
	return m.Device == nil && m.Browser == nil && m.Country == nil && m.Continent == nil && m.Language == nil && m.Query == nil &&
		m.Referrer == nil && m.IP == nil && m.After == nil && m.Before == nil && m.Weekday == nil && m.Hours == nil && m.TZ == ""
}

func (c *checker) members(field string, m *Members) {
	for _, list := range []struct {
		name   string
		values []string
		check  func(value string) error
	}{
		{"device", m.Device, checkDevice},
		{"browser", m.Browser, checkBrowser},
		{"country", m.Country, checkCountry},
		{"continent", m.Continent, checkContinent},
		{"language", m.Language, checkLanguage},
		{"referrer", m.Referrer, checkReferrer},
		{"ip", m.IP, checkNetwork},
		{"weekday", m.Weekday, checkWeekday},
		{"hours", m.Hours, checkHours},
	} {
		c.list(field+"."+list.name, list.values, list.check)
	}
	const noCountries = "cannot be checked: this server does not know the countries of visitors"
	if m.Country != nil && !c.opts.Countries {
		c.add(field+".country", noCountries)
	}
	if m.Continent != nil && !c.opts.Countries {
		c.add(field+".continent", noCountries)
	}
	c.query(field+".query", m.Query)
	c.times(field, m)
	if m.TZ == "" {
		return
	}
	if _, err := zoneOf(m.TZ); err != nil {
		c.add(field+".tz", "must be the name of a time zone, such as Europe/Berlin")
	}
	if m.Weekday == nil && m.Hours == nil {
		c.add(field+".tz", "must not be set without weekday or hours")
	}
}

// list checks the values of a list. A list that is too long is one problem.
func (c *checker) list(field string, values []string, check func(value string) error) {
	if values == nil {
		return
	}
	if len(values) < 1 || len(values) > MaxValues {
		c.add(field, "must have 1 to %d values", MaxValues)
		return
	}
	for i, v := range values {
		if err := check(v); err != nil {
			c.add(field+"["+strconv.Itoa(i)+"]", "%s", err.Error())
		}
	}
}

func (c *checker) query(field string, query map[string][]string) {
	if query == nil {
		return
	}
	n := 0
	for _, values := range query {
		n += len(values)
	}
	if len(query) < 1 || len(query) > maxNames || n > MaxValues {
		c.add(field, "must have 1 to %d names and at most %d values in all", maxNames, MaxValues)
		return
	}
	for _, name := range sortedNames(query) {
		at := field + "." + name
		if name == "" || len(name) > maxName || !isParameterText(name) {
			c.add(field, "must have names of 1 to %d bytes without control characters", maxName)
			continue
		}
		for i, v := range query[name] {
			if len(v) > maxValue || !isParameterText(v) {
				c.add(at+"["+strconv.Itoa(i)+"]", "must be at most %d bytes long without control characters", maxValue)
			}
		}
	}
}

// isParameterText reports whether a text is valid UTF-8 without control characters.
func isParameterText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// The years of times in conditions.
const (
	minYear = 2000
	maxYear = 9999
)

func (c *checker) times(field string, m *Members) {
	for _, t := range []struct {
		name string
		at   *time.Time
	}{{"after", m.After}, {"before", m.Before}} {
		if t.at != nil && (t.at.UTC().Year() < minYear || t.at.UTC().Year() > maxYear) {
			c.add(field+"."+t.name, "must be in the years %d to %d", minYear, maxYear)
		}
	}
	if m.After != nil && m.Before != nil && !m.After.Before(*m.Before) {
		c.add(field+".before", "must be later than after")
	}
}

func checkDevice(s string) error {
	if deviceNames[strings.ToLower(s)] == 0 {
		return errors.New("must be ios, ipados, android, windows, macos, linux, chromeos, mobile, desktop or bot")
	}
	return nil
}

func checkBrowser(s string) error {
	if _, known := browserNumbers[strings.ToLower(s)]; !known {
		return errors.New("must be the name of a browser or an app as in statistics, such as chrome, firefox, safari, edge or instagram")
	}
	return nil
}

func checkCountry(s string) error {
	if !IsCountry(s) {
		return errors.New("must be the code of a country with two letters (ISO 3166-1), such as DE")
	}
	return nil
}

func checkContinent(s string) error {
	if continentNumber(s) == 0 {
		return errors.New("must be AF, AN, AS, EU, NA, OC or SA")
	}
	return nil
}

func checkLanguage(s string) error {
	if !isTag(s) {
		return errors.New("must be a language tag, such as de or pt-BR")
	}
	return nil
}

func checkReferrer(s string) error {
	host, err := store.CanonicalHost(s)
	if err != nil || strings.Contains(host, "..") || isASCII(s) && !strings.EqualFold(strings.TrimSuffix(s, "."), host) {
		return errors.New("must be a host without a port, such as example.com")
	}
	return nil
}

func isASCII(s string) bool { return isAll(s, func(c byte) bool { return c < utf8.RuneSelf }) }

func checkNetwork(s string) error {
	_, err := parseNetwork(s)
	return err
}

// parseNetwork reads an address or a network.
func parseNetwork(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, errors.New("must be an address or a network, such as 192.0.2.0/24 or 2001:db8::/32")
	case p.Addr().Is4In6():
		return netip.Prefix{}, errors.New("must be a network of IPv4 or IPv6, not a mapped one")
	case p.Masked() != p:
		return netip.Prefix{}, fmt.Errorf("must begin at the start of the network: %v", p.Masked())
	}
	return p, nil
}

func checkWeekday(s string) error {
	if _, ok := parseWeekday(s); !ok {
		return errors.New("must be mon, tue, wed, thu, fri, sat or sun")
	}
	return nil
}

func checkHours(s string) error {
	if _, ok := parseHours(s); !ok {
		return errors.New("must be two different times of the day from 00:00 to 24:00, such as 09:00-17:30")
	}
	return nil
}

// zoneOf returns the time zone with a name; UTC for an empty one.
func zoneOf(name string) (*time.Location, error) {
	if name == "Local" { // of this machine
		return nil, errors.New("no time zone")
	}
	return time.LoadLocation(name)
}

// sortedNames returns the names of a query in order.
func sortedNames(query map[string][]string) []string {
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

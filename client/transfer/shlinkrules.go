package transfer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/terse/terse/client"
)

// shlinkRule is a rule in an answer of GET /rest/v3/short-urls/{shortCode}/redirect-rules.
type shlinkRule struct {
	LongURL    string
	Priority   int
	Conditions []shlinkCondition
}

// shlinkCondition is a condition of a rule. All conditions of a rule must hold.
type shlinkCondition struct {
	Type                 string
	MatchKey, MatchValue string
}

// shlinkDevices are the devices of Shlink. Shlink counts iPads as iOS, unless they ask for desktop pages.
var shlinkDevices = map[string][]string{
	"android":  {"android"},
	"ios":      {"ios", "ipados"},
	"mobile":   {"android", "ios", "ipados"},
	"windows":  {"windows"},
	"macos":    {"macos"},
	"linux":    {"linux"},
	"chromeos": {"chromeos"},
	"desktop":  {"windows", "macos", "linux", "chromeos"},
}

// readShlinkRules sets the rules of a link. Lists of links say only whether a link has rules. The rules are
// in the member redirectRules, which is in other answers of Shlink. Versions before 4.0 have
// deviceLongUrls instead.
func readShlinkRules(f fields, r *Record) error {
	const field = "redirectRules"
	var list []shlinkRule
	if text := f.json(field); text != "" && (checkJSON([]byte(text)) != nil || json.Unmarshal([]byte(text), &list) != nil) {
		return wrong(field, "must be a list of rules as in answers of Shlink")
	}
	if len(list) == 0 && isTrue(f.text("hasRedirectRules")) {
		return wrong(field, "is missing: the link has rules, and the file does not have them")
	}
	slices.SortStableFunc(list, func(a, b shlinkRule) int { return cmp.Compare(a.Priority, b.Priority) })
	for i := range list {
		members, err := list[i].members(fmt.Sprintf("%s[%d].conditions", field, i))
		if err != nil {
			return err
		}
		r.addRule(members, list[i].LongURL)
	}
	for _, device := range []string{"android", "ios", "desktop"} {
		name := "deviceLongUrls." + device
		if f.wrongType(name) != "" {
			return wrong(name, "has the wrong type")
		}
		if to := f.text(name); to != "" {
			r.addRule(&client.Members{Device: shlinkDevices[device]}, to)
		}
	}
	return nil
}

// addRule adds a rule to the link.
func (r *Record) addRule(members *client.Members, to string) {
	r.Link.Rules = append(r.Link.Rules, client.Rule{If: &client.Condition{Members: *members}, To: to})
}

// members returns the conditions of a rule. field is the place of the conditions in the file.
func (s *shlinkRule) members(field string) (*client.Members, error) {
	if len(s.Conditions) == 0 {
		return nil, wrong(field, "must not be empty: a rule without conditions applies to no visit in Shlink")
	}
	m := &client.Members{}
	for i := range s.Conditions {
		if reason := s.Conditions[i].addTo(m); reason != "" {
			return nil, wrong(fmt.Sprintf("%s[%d]", field, i), reason)
		}
	}
	return m, nil
}

// addTo adds a condition to the members of a rule. reason is why the rule cannot have it.
func (c *shlinkCondition) addTo(m *client.Members) (reason string) {
	const contradicts = "contradicts another condition of the rule"
	possible := true
	switch value := c.MatchValue; c.Type {
	case "device":
		devices, known := shlinkDevices[strings.ToLower(value)]
		if !known {
			return fmt.Sprintf("has the unknown device %q", value)
		}
		m.Device, possible = bothOf(m.Device, devices)
	case "browser":
		m.Browser, possible = bothOf(m.Browser, []string{strings.ToLower(value)})
	case "geolocation-country-code":
		m.Country, possible = bothOf(m.Country, []string{strings.ToUpper(value)})
	case "language":
		if m.Language, possible = bothOf(m.Language, []string{strings.ReplaceAll(value, "_", "-")}); !possible {
			return "needs a second language, and rules of Terse need one at most"
		}
	case "query-param":
		possible = addParameter(m, c.MatchKey, []string{value})
	case "valueless-query-param":
		possible = addParameter(m, c.MatchKey, []string{""})
	case "any-value-query-param":
		possible = addParameter(m, c.MatchKey, []string{})
	case "ip-address":
		network, ok := shlinkNetwork(value)
		if !ok {
			return fmt.Sprintf("has %q, which is no network", value)
		}
		possible = addNetwork(m, network)
	case "before-date", "after-date":
		at, ok := readTime(value)
		switch {
		case !ok || at == nil:
			return fmt.Sprintf("has %q, which is not a clear time", value)
		case c.Type == "before-date" && (m.Before == nil || at.Before(*m.Before)):
			m.Before = at
		case c.Type == "after-date" && (m.After == nil || at.After(*m.After)):
			m.After = at
		}
	default:
		return fmt.Sprintf("has the type %q, and rules of Terse have no such condition", c.Type)
	}
	if !possible {
		return contradicts
	}
	return ""
}

// bothOf returns the values that are in two lists. A nil list is no condition. ok is false if no value is
// in both.
func bothOf(list, other []string) (both []string, ok bool) {
	if list == nil {
		return other, true
	}
	for _, value := range list {
		if slices.ContainsFunc(other, func(s string) bool { return strings.EqualFold(s, value) }) {
			both = append(both, value)
		}
	}
	return both, len(both) > 0
}

// addParameter adds a parameter that a visit must have with one of the values. No values allow any value.
// It returns false if an earlier condition needs another value.
func addParameter(m *client.Members, name string, values []string) bool {
	earlier, twice := m.Query[name]
	if twice && len(earlier) > 0 {
		return len(values) == 0 || slices.Equal(earlier, values)
	}
	if m.Query == nil {
		m.Query = map[string][]string{}
	}
	m.Query[name] = values
	return true
}

// addNetwork adds a network. Of two networks, one must contain the other, or addNetwork returns false.
func addNetwork(m *client.Members, network netip.Prefix) bool {
	if m.IP != nil {
		earlier := netip.MustParsePrefix(m.IP[0])
		if !earlier.Overlaps(network) {
			return false
		}
		if earlier.Bits() > network.Bits() {
			network = earlier
		}
	}
	m.IP = []string{network.String()}
	return true
}

// shlinkNetwork reads an address, a network, or an address with wildcards such as 192.0.2.*.
func shlinkNetwork(text string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), addr.Zone() == ""
	}
	if network, err := netip.ParsePrefix(text); err == nil {
		return network.Masked(), true
	}
	parts := strings.Split(text, ".")
	fixed := slices.Index(parts, "*")
	if fixed < 0 || len(parts) != 4 {
		return netip.Prefix{}, false
	}
	for i, part := range parts[fixed:] {
		if part != "*" {
			return netip.Prefix{}, false
		}
		parts[fixed+i] = "0"
	}
	network, err := netip.ParsePrefix(strings.Join(parts, ".") + "/" + strconv.Itoa(8*fixed))
	return network, err == nil
}

package rules

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/terse/terse/store"
)

// useless refuses rules that can never apply. The rules have no other problem.
func (c *checker) useless(list []Rule) {
	for i := range list {
		cond := list[i].If
		if cond == nil {
			continue
		}
		field := fieldOf(i) + ".if"
		if cond.Not != nil && cond.Not.covers(&cond.Members) {
			c.add(field+".not", "must not exclude every visit that meets the other conditions: the rule would never apply")
			continue
		}
		if cond.Country != nil && cond.Continent != nil && !slices.ContainsFunc(cond.Country, func(code string) bool { return isOn(code, cond.Continent) }) {
			c.add(field+".continent", "must have a continent of the countries: the rule would never apply")
			continue
		}
		for j := range i {
			if list[j].If.covers(cond) {
				c.add(field, "must not be met only by visits that meet the conditions of rules[%d]: the rule would never apply", j)
				break
			}
		}
	}
}

// covers reports whether every visit that meets o meets c. It may miss some cases.
func (c *Condition) covers(o *Condition) bool {
	return c.Members.covers(&o.Members) && (c.Not == nil || o.Not != nil && o.Not.covers(c.Not))
}

// covers reports whether every visit that meets o meets m. It may miss some cases.
func (m *Members) covers(o *Members) bool {
	sameZone := m.TZ == o.TZ
	return coversList(m.Device, o.Device, strings.EqualFold) &&
		coversList(m.Browser, o.Browser, strings.EqualFold) &&
		coversList(m.Country, o.Country, strings.EqualFold) &&
		m.coversContinent(o) &&
		coversList(m.Language, o.Language, coversTag) &&
		coversQuery(m.Query, o.Query) &&
		coversList(m.Referrer, o.Referrer, coversHost) &&
		coversList(m.IP, o.IP, coversNetwork) &&
		(m.After == nil || o.After != nil && !o.After.Before(*m.After)) &&
		(m.Before == nil || o.Before != nil && !o.Before.After(*m.Before)) &&
		(m.Weekday == nil || sameZone && coversList(m.Weekday, o.Weekday, strings.EqualFold)) &&
		(m.Hours == nil || sameZone && o.Hours != nil && coversHours(m.Hours, o.Hours))
}

// coversList reports whether each value of o has a value of list that covers it. Without list,
// there is no condition.
func coversList(list, o []string, covers func(a, b string) bool) bool {
	if list == nil {
		return true
	}
	return o != nil && !slices.ContainsFunc(o, func(b string) bool {
		return !slices.ContainsFunc(list, func(a string) bool { return covers(a, b) })
	})
}

func (m *Members) coversContinent(o *Members) bool {
	if coversList(m.Continent, o.Continent, strings.EqualFold) {
		return true
	}
	return o.Country != nil && !slices.ContainsFunc(o.Country, func(code string) bool { return !isOn(code, m.Continent) })
}

// isOn reports whether a country is on one of the continents.
func isOn(country string, continents []string) bool {
	n, _ := codeNumber(country)
	return slices.ContainsFunc(continents, func(name string) bool { return continentNumber(name) == continentOf[n] })
}

func coversTag(a, b string) bool {
	return len(b) >= len(a) && strings.EqualFold(b[:len(a)], a) && (len(b) == len(a) || b[len(a)] == '-')
}

func coversHost(a, b string) bool {
	above, errA := store.CanonicalHost(a)
	below, errB := store.CanonicalHost(b)
	return errA == nil && errB == nil && isBelow(below, above)
}

func coversNetwork(a, b string) bool {
	above, errA := parseNetwork(a)
	below, errB := parseNetwork(b)
	return errA == nil && errB == nil && contains(above, below)
}

func contains(above, below netip.Prefix) bool {
	return above.Bits() <= below.Bits() && above.Contains(below.Addr())
}

func coversQuery(query, o map[string][]string) bool {
	for name, values := range query {
		others, has := o[name]
		if !has || len(values) > 0 && (len(others) == 0 || !coversList(values, others, func(a, b string) bool { return a == b })) {
			return false
		}
	}
	return true
}

func coversHours(list, o []string) bool {
	for minute := range minutesOfDay {
		at := func(s string) bool {
			h, _ := parseHours(s)
			return h.has(minute)
		}
		if slices.ContainsFunc(o, at) && !slices.ContainsFunc(list, at) {
			return false
		}
	}
	return true
}

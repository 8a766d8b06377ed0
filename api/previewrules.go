package api

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/web"
)

// previewTime is the layout of times in conditions on the preview.
const previewTime = "2006-01-02 15:04:05 MST"

// previewRules returns what the preview shows of the rules of a link. Rules that this version of the
// program cannot read are an error.
func previewRules(stored string) ([]web.PreviewRule, error) {
	list, err := rules.Decode(stored)
	if err != nil {
		return nil, err
	}
	shown := make([]web.PreviewRule, len(list))
	for i := range list {
		r := &list[i]
		if r.If != nil {
			shown[i].When = conditionText(r.If)
		}
		if r.Split == nil {
			shown[i].Targets = []web.PreviewTarget{{URL: r.To}}
			continue
		}
		sum := 0
		for _, v := range r.Split {
			sum += v.Weight
		}
		for _, v := range r.Split {
			shown[i].Targets = append(shown[i].Targets, web.PreviewTarget{URL: v.To, Share: strconv.Itoa((100*v.Weight+sum/2)/max(sum, 1)) + " %"})
		}
	}
	return shown, nil
}

// conditionText describes conditions in one line.
func conditionText(c *rules.Condition) string {
	parts := memberTexts(&c.Members)
	if c.Not != nil {
		parts = append(parts, "not ("+strings.Join(memberTexts(c.Not), " and ")+")")
	}
	return strings.Join(parts, " and ")
}

func memberTexts(m *rules.Members) (parts []string) {
	add := func(before string, values []string, after string) {
		if values != nil {
			parts = append(parts, before+strings.Join(values, " or ")+after)
		}
	}
	add("the device is ", m.Device, "")
	add("the browser is ", m.Browser, "")
	add("the country is ", m.Country, "")
	add("the continent is ", m.Continent, "")
	add("the language is ", m.Language, "")
	names := make([]string, 0, len(m.Query))
	for name := range m.Query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		pairs := []string{name}
		if values := m.Query[name]; len(values) > 0 {
			pairs = nil
			for _, v := range values {
				pairs = append(pairs, name+"="+v)
			}
		}
		add("the address has ", pairs, "")
	}
	add("the visit comes from ", m.Referrer, "")
	add("the network is ", m.IP, "")
	for _, t := range []struct {
		word string
		at   *time.Time
	}{{"from ", m.After}, {"before ", m.Before}} {
		if t.at != nil {
			parts = append(parts, t.word+t.at.UTC().Format(previewTime))
		}
	}
	zone := m.TZ
	if zone == "" {
		zone = "UTC"
	}
	add("the day is ", m.Weekday, " in "+zone)
	add("the time is ", m.Hours, " in "+zone)
	return parts
}

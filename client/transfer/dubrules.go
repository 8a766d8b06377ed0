package transfer

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/terse/terse/client"
)

// dubVariant is a target of an A/B test of Dub.
type dubVariant struct {
	URL        string
	Percentage float64
}

// readDubRules sets the rules of a link, in the order in which Dub looks at its fields: the end of the
// link, the device, the country, and the A/B test.
func readDubRules(f fields, r *Record) error {
	l := &r.Link
	for _, name := range []string{"expired_url", "ios", "android", "test_completed_at"} {
		if path := f.wrongType(name); path != "" {
			return wrong(path, "has the wrong type")
		}
	}
	switch to := f.text("expired_url"); {
	case to != "" && l.ExpiresAt != nil:
		r.addRule(&client.Members{After: l.ExpiresAt}, to)
		l.ExpiresAt = nil
	case to != "":
		r.warn("expired_url", "was dropped: the link has no end")
	}
	if to := f.text("ios"); to != "" {
		r.addRule(&client.Members{Device: []string{"ios", "ipados"}}, to)
	}
	if to := f.text("android"); to != "" {
		r.addRule(&client.Members{Device: []string{"android"}}, to)
	}
	if err := readDubCountries(f.json("geo"), r); err != nil {
		return err
	}
	return readDubTest(f, r)
}

// readDubCountries adds a rule for each target of countries.
func readDubCountries(text string, r *Record) error {
	var targets map[string]string
	if text != "" && (checkJSON([]byte(text)) != nil || json.Unmarshal([]byte(text), &targets) != nil) {
		return wrong("geo", "must be an object of countries and their targets")
	}
	at := map[string]int{} // the rule of a target
	for _, country := range slices.Sorted(maps.Keys(targets)) {
		to := targets[country]
		if i, known := at[to]; known {
			members := &r.Link.Rules[i].If.Members
			members.Country = append(members.Country, country)
			continue
		}
		at[to] = len(r.Link.Rules)
		r.addRule(&client.Members{Country: []string{country}}, to)
	}
	return nil
}

// readDubTest adds the A/B test as a rule that ends with the test. Dub runs no test without an end.
func readDubTest(f fields, r *Record) error {
	const field = "testVariants"
	var variants []dubVariant
	if text := f.json(field); text != "" && (checkJSON([]byte(text)) != nil || json.Unmarshal([]byte(text), &variants) != nil) {
		return wrong(field, "must be a list of objects with url and percentage")
	}
	if len(variants) == 0 {
		return nil
	}
	completed := f.text("test_completed_at")
	end, ok := readTime(completed)
	if !ok {
		return wrong("testCompletedAt", fmt.Sprintf("%q is not a clear time", strings.TrimSpace(completed)))
	}
	if end == nil {
		r.warn(field, "were dropped: the test has no end, so Dub does not run it")
		return nil
	}
	split := make([]client.Variant, len(variants))
	for i, v := range variants {
		split[i] = client.Variant{To: v.URL, Weight: int(v.Percentage)}
		if float64(split[i].Weight) != v.Percentage {
			return wrong(fmt.Sprintf("%s[%d].percentage", field, i), "must be a whole number")
		}
	}
	r.Link.Rules = append(r.Link.Rules, client.Rule{If: &client.Condition{Members: client.Members{Before: end}}, Split: split})
	return nil
}

// Package rules picks the target of a visit to a link with rules. A rule has conditions, and one target
// or several targets with weights. The rules of a link are ordered. A rule applies if all its conditions
// hold and no earlier rule applies. If no rule applies, the url of the link is the target.
//
// Check validates rules of users, Encode and Decode convert rules to and from their stored form,
// and Parse compiles a stored form for visits. The package does no I/O and stores nothing.
package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/terse/terse/store"
)

// The limits of the rules of a link.
const (
	MaxRules    = 16
	MaxValues   = 64                // of one member of a condition
	MaxVariants = 8                 // of one split
	MaxWeight   = 1000              // of one variant
	MaxLen      = store.MaxRulesLen // bytes of the stored form
	maxNames    = 8                 // of parameters in one condition
	maxName     = 128               // bytes of the name of a parameter
	maxValue    = 255               // bytes of the value of a parameter
)

// Rule is one rule of a link: conditions, and either To or Split.
type Rule struct {
	If     *Condition `json:"if,omitempty"` // all must hold; only the last rule may have none
	To     string     `json:"to,omitempty" maxLength:"8192" doc:"The target: an absolute http or https URL." example:"https://example.com/app"`
	Split  []Variant  `json:"split,omitempty" minItems:"2" maxItems:"8" nullable:"false" doc:"Instead of to: 2 to 8 targets, each for a share of the visitors."`
	Sticky *bool      `json:"sticky,omitempty" doc:"Only with split. If true (default), a visitor always gets the same target. A visitor is a network (/24 of IPv4, /48 of IPv6) and a User-Agent. If false, each visit is drawn anew."`
}

// Variant is one target of a split.
type Variant struct {
	To     string `json:"to" maxLength:"8192" doc:"The target: an absolute http or https URL." example:"https://example.com/a"`
	Weight int    `json:"weight" minimum:"1" maximum:"1000" doc:"The share of this target is its weight divided by the sum of all weights." example:"70"`
}

// Condition is the conditions of a rule. All members that are set must hold.
type Condition struct {
	Members
	Not *Members `json:"not,omitempty"` // holds if these conditions together do not hold
}

// Members are the members of a condition. A nil member is not set. A list holds if one of its
// values matches. If the fact of a member is unknown, the rule does not apply. Condition.Not needs only
// one known fact that does not match.
type Members struct {
	Device    []string            `json:"device,omitempty" minItems:"1" maxItems:"64" nullable:"false" doc:"ios (iPhone), ipados, android, windows, macos, linux, chromeos, mobile (phones and tablets), desktop or bot (crawlers, previews and scanners). An iPad that asks for desktop pages is macos."`
	Browser   []string            `json:"browser,omitempty" minItems:"1" maxItems:"64" nullable:"false" doc:"Names of browsers and apps as in statistics, such as chrome, firefox, safari, edge or instagram. Case does not matter."`
	Country   []string            `json:"country,omitempty" minItems:"1" maxItems:"64" nullable:"false" doc:"Codes of two letters (ISO 3166-1), such as DE."`
	Continent []string            `json:"continent,omitempty" minItems:"1" maxItems:"64" nullable:"false" doc:"AF, AN, AS, EU, NA, OC or SA."`
	Language  []string            `json:"language,omitempty" minItems:"1" maxItems:"64" nullable:"false" doc:"Language tags such as de or pt-BR. Only one language of Accept-Language counts: of the languages that any rule of the link names, the one that the visitor prefers. de also matches de-CH."`
	Query     map[string][]string `json:"query,omitempty" doc:"Names of parameters of the visit, each with its allowed values. An empty list allows any value. All names must be sent. At most 8 names and 64 values."`
	Referrer  []string            `json:"referrer,omitempty" minItems:"1" maxItems:"64" nullable:"false" doc:"Hosts of the page with the link, such as example.com. A host also matches all names below it."`
	IP        []string            `json:"ip,omitempty" minItems:"1" maxItems:"64" nullable:"false" doc:"Addresses and networks of the visitor, such as 192.0.2.0/24."`
	After     *time.Time          `json:"after,omitempty" doc:"Holds from this time on."`
	Before    *time.Time          `json:"before,omitempty" doc:"Holds before this time."`
	Weekday   []string            `json:"weekday,omitempty" minItems:"1" maxItems:"7" nullable:"false" doc:"mon, tue, wed, thu, fri, sat or sun, on the clock of tz."`
	Hours     []string            `json:"hours,omitempty" minItems:"1" maxItems:"64" nullable:"false" doc:"Times of the day on the clock of tz, such as 09:00-17:30 or 22:00-06:00. The end does not belong to it."`
	TZ        string              `json:"tz,omitempty" maxLength:"64" doc:"Time zone of weekday and hours, such as Europe/Berlin. The default is UTC."`
}

// Encode returns the stored form of rules that Check has returned: JSON, or an empty text without
// rules.
func Encode(list []Rule) (string, error) {
	if len(list) == 0 {
		return "", nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(list); err != nil {
		return "", fmt.Errorf("encode rules: %w", err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// Decode returns the rules with a stored form. It returns an error for a member that it does not
// know: a newer version of this program may have stored the rules.
func Decode(text string) ([]Rule, error) {
	if text == "" {
		return nil, nil
	}
	var list []Rule
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		return nil, fmt.Errorf("decode rules: %w", err)
	}
	if dec.InputOffset() != int64(len(text)) {
		return nil, errors.New("decode rules: text after the rules")
	}
	return list, nil
}

// Targets returns the targets of rules in their order, with repetitions.
func Targets(list []Rule) []string {
	var all []string
	for i := range list {
		for _, t := range list[i].targets() {
			all = append(all, t.url)
		}
	}
	return all
}

// TargetsOf returns all targets of a link: its url, and the targets of its rules. Rules that this version
// of the program cannot read are left out.
func TargetsOf(l *store.Link) []string {
	list, err := Decode(l.Rules)
	if err != nil {
		list = nil
	}
	return append([]string{l.URL}, Targets(list)...)
}

// target is a target of a rule with its field in the input, such as "split[1].to".
type target struct{ field, url string }

func (r *Rule) targets() []target {
	if r.Split == nil {
		return []target{{"to", r.To}}
	}
	all := make([]target, len(r.Split))
	for i := range r.Split {
		all[i] = target{"split[" + strconv.Itoa(i) + "].to", r.Split[i].To}
	}
	return all
}

// fieldOf returns the field of a rule in the input.
func fieldOf(rule int) string { return "rules[" + strconv.Itoa(rule) + "]" }

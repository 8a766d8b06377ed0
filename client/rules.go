package client

import "time"

// Rule is one rule of a link: conditions, and either To or Split. The first rule that applies picks the
// target of a visit. If no rule applies, the target is Link.URL.
type Rule struct {
	If     *Condition `json:"if,omitzero"` // nil only in the last rule, which then applies to all visits
	To     string     `json:"to,omitzero"`
	Split  []Variant  `json:"split,omitzero"`
	Sticky *bool      `json:"sticky,omitzero"` // whether a visitor always gets the same target of a split; nil: true
}

// Variant is one target of a split.
type Variant struct {
	To     string `json:"to"`
	Weight int    `json:"weight"` // 1 to 1000: the share is the weight divided by the sum of all weights
}

// Condition is the conditions of a rule. All members that are set must hold.
type Condition struct {
	Members
	Not *Members `json:"not,omitzero"` // conditions that must not all hold
}

// Members are conditions. A nil member is not set; the server refuses an empty list. A list holds if one of its values matches.
type Members struct {
	Device    []string            `json:"device,omitzero"`    // such as ios, android, mobile or bot
	Browser   []string            `json:"browser,omitzero"`   // such as firefox
	Country   []string            `json:"country,omitzero"`   // ISO 3166-1 codes
	Continent []string            `json:"continent,omitzero"` // AF, AN, AS, EU, NA, OC or SA
	Language  []string            `json:"language,omitzero"`  // such as de or pt-BR
	Query     map[string][]string `json:"query,omitzero"`     // names and values of parameters; no values: any
	Referrer  []string            `json:"referrer,omitzero"`  // hosts
	IP        []string            `json:"ip,omitzero"`        // addresses and networks
	After     *time.Time          `json:"after,omitzero"`
	Before    *time.Time          `json:"before,omitzero"`
	Weekday   []string            `json:"weekday,omitzero"` // such as mon, on the clock of TZ
	Hours     []string            `json:"hours,omitzero"`   // such as 09:00-17:30, on the clock of TZ
	TZ        string              `json:"tz,omitzero"`      // time zone such as Europe/Berlin; empty: UTC
}

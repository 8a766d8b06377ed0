//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// outcome is the result of a request.
type outcome uint8

const (
	good    outcome = iota // the expected response, in time
	refused                // 503
	late                   // no response in time
	wrong                  // any other response, or a broken connection
)

// visit is one request.
type visit struct {
	kind       uint8
	outcome    outcome
	retryAfter uint8         // Retry-After of a 503, in seconds
	took       time.Duration // since the visitor's arrival
}

// visits is the result of a crowd in a span of time.
type visits struct {
	sent     []visit
	span     time.Duration
	visitors int64 // all visitors, with or without a connection
	failed   []string
}

// add adds the result of another span.
func (v *visits) add(other visits) {
	v.sent = append(v.sent, other.sent...)
	v.failed = append(v.failed, other.failed...)
	v.span += other.span
	v.visitors += other.visitors
}

// goodput returns the number of redirects in time, per second.
func (v *visits) goodput() float64 {
	return float64(v.count(redirectKinds, good)) / v.span.Seconds()
}

// everyKind and only are filters for kinds.
func everyKind(int) bool { return true }

func only(kind int) func(int) bool { return func(k int) bool { return k == kind } }

// count returns the number of visits of the given kinds and outcomes.
func (v *visits) count(kinds func(int) bool, outcomes ...outcome) (n int) {
	for _, one := range v.sent {
		if kinds(int(one.kind)) && slices.Contains(outcomes, one.outcome) {
			n++
		}
	}
	return n
}

// part returns the fraction of the visits of the given kinds with an outcome.
func (v *visits) part(kinds func(int) bool, o outcome) float64 {
	return float64(v.count(kinds, o)) / float64(max(v.count(kinds, good, refused, late, wrong), 1))
}

// took returns a percentile of the time of visits of the given kinds with an outcome.
func (v *visits) took(kinds func(int) bool, o outcome, p float64) time.Duration {
	var took []time.Duration
	for _, one := range v.sent {
		if one.outcome == o && kinds(int(one.kind)) {
			took = append(took, one.took)
		}
	}
	slices.Sort(took)
	return percentile(took, p)
}

// percentile returns a percentile of sorted times, or 0 without times.
func percentile(took []time.Duration, p float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	return took[min(len(took)-1, int(float64(len(took))*p))].Round(10 * time.Microsecond)
}

// refusal is a request with status 503 in the node's log.
type refusal struct {
	redirect bool
	took     time.Duration
}

// timesOf returns the sorted times of rejected redirects, or of all other rejected requests.
func timesOf(all []refusal, redirects bool) (took []time.Duration) {
	for _, one := range all {
		if one.redirect == redirects {
			took = append(took, one.took)
		}
	}
	slices.Sort(took)
	return took
}

// refusals returns the rejected requests of an access log.
func refusals(log []byte) (all []refusal, err error) {
	for text := range bytes.Lines(log) {
		if text[0] != '{' {
			continue // text for people
		}
		var l struct {
			Msg    string
			Route  string
			Status int
			Took   string
		}
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("read the log line %q: %w", text, err)
		}
		if l.Msg != "request" || l.Status != 503 {
			continue
		}
		took, err := time.ParseDuration(l.Took)
		if err != nil {
			return nil, fmt.Errorf("read the log line %q: %w", text, err)
		}
		all = append(all, refusal{redirect: l.Route == "/:code", took: took})
	}
	return all, nil
}

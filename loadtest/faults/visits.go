//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// outcome is what became of a request.
type outcome uint8

const (
	good    outcome = iota // the answer that was wanted, in time
	refused                // 503
	late                   // no answer in time
	wrong                  // any other answer, or none
)

// visit is one request that was sent.
type visit struct {
	kind       uint8
	outcome    outcome
	retryAfter uint8         // of a refusal, in seconds
	took       time.Duration // from when the visitor came
}

// visits is what a crowd met in a span of time.
type visits struct {
	sent   []visit
	span   time.Duration
	came   int64 // with those who found no free connection
	failed []string
}

// add adds what was met in another span.
func (v *visits) add(other visits) {
	v.sent = append(v.sent, other.sent...)
	v.failed = append(v.failed, other.failed...)
	v.span += other.span
	v.came += other.came
}

// goodput returns how many redirects a second were answered in time.
func (v *visits) goodput() float64 {
	return float64(v.count(redirectKinds, good)) / v.span.Seconds()
}

// everyKind and only choose kinds.
func everyKind(int) bool { return true }

func only(kind int) func(int) bool { return func(k int) bool { return k == kind } }

// count returns how many of some kinds have one of some outcomes.
func (v *visits) count(kinds func(int) bool, outcomes ...outcome) (n int) {
	for _, one := range v.sent {
		if kinds(int(one.kind)) && slices.Contains(outcomes, one.outcome) {
			n++
		}
	}
	return n
}

// part returns which part of some kinds has an outcome.
func (v *visits) part(kinds func(int) bool, o outcome) float64 {
	return float64(v.count(kinds, o)) / float64(max(v.count(kinds, good, refused, late, wrong), 1))
}

// took returns a percentile of the time that some kinds took to an outcome.
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

// percentile returns that of sorted times.
func percentile(took []time.Duration, p float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	return took[min(len(took)-1, int(float64(len(took))*p))].Round(10 * time.Microsecond)
}

// refusal is a request that was answered by 503, as the log of the node has it.
type refusal struct {
	redirect bool
	took     time.Duration
}

// timesOf returns the sorted times of the refusals of redirects, or of all others.
func timesOf(all []refusal, redirects bool) (took []time.Duration) {
	for _, one := range all {
		if one.redirect == redirects {
			took = append(took, one.took)
		}
	}
	slices.Sort(took)
	return took
}

// refusals returns those in an access log.
func refusals(log []byte) (all []refusal, err error) {
	for text := range bytes.Lines(log) {
		if text[0] != '{' {
			continue // what it says to people
		}
		var l struct {
			Msg    string
			Route  string
			Status int
			Took   time.Duration
		}
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("the log says %q: %w", text, err)
		}
		if l.Msg == "request" && l.Status == 503 {
			all = append(all, refusal{redirect: l.Route == "/:code", took: l.Took})
		}
	}
	return all, nil
}

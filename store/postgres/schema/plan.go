package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/terse/terse/store"
)

// plan is what is to be dealt to whom.
//
// A deal has three phases: every shard is told the names of all among which the
// buckets are dealt, then each has its share, then each is told that all have
// theirs. No shard has a share before all those of its deal agreed to it, and a
// shard agrees to one deal only: so two deals that know of different shards can
// both come to their second phase only when they have no shard in common, also
// when one of them ended midway.
type plan struct {
	among  []string // names of the shards among which buckets are dealt, sorted
	tell   []*shard // the first phase: those that do not know of the deal
	share  []*shard // the second: those that may lack their share
	finish []*shard // the third: those that do not know that it is over
	added  []*shard // that came after the deal and have no share
	dealt  []*shard // that have their share for certain
}

// newPlan returns what is left to be dealt, or why the shards do not belong
// together.
func newPlan(g group) (plan, error) {
	p, err := agreed(g)
	if err != nil {
		return plan{}, err
	}
	over := slices.ContainsFunc(g, func(s *shard) bool { return s.row != nil && s.row.dealt })
	if !over {
		return p.unfinished(g)
	}
	return p.finished(g)
}

// agreed returns a plan with the shards among which buckets are dealt, on which
// all that know of a deal agree. They must be in g.
func agreed(g group) (plan, error) {
	var first *shard
	for _, s := range g {
		switch {
		case s.row == nil:
		case first == nil:
			first = s
		case !slices.Equal(s.row.among, first.row.among):
			return plan{}, fmt.Errorf("shards %s and %s do not belong together: %s was dealt buckets among %s, %s among %s",
				first.name, s.name, first.name, list(first.row.among), s.name, list(s.row.among))
		}
	}
	if first == nil {
		return plan{among: names(g)}, nil
	}
	var errs []error
	for _, name := range first.row.among {
		if !slices.Contains(names(g), name) {
			errs = append(errs, fmt.Errorf("shard %s is missing: buckets were dealt among %s, and nobody else has its", name, list(first.row.among)))
		}
	}
	return plan{among: first.row.among}, errors.Join(errs...)
}

// unfinished plans a deal that is new, or of which no shard knows that it is over.
func (p plan) unfinished(g group) (plan, error) {
	if all := names(g); !slices.Equal(p.among, all) {
		return plan{}, fmt.Errorf("buckets are being dealt among %s: end that with exactly these shards before others are added (now %s)",
			list(p.among), list(all))
	}
	for _, s := range g {
		if s.row == nil {
			p.tell = append(p.tell, s)
		}
	}
	p.share, p.finish = g, g
	return p, nil
}

// finished plans what a deal that is over leaves: to tell those that do not know
// of its end, and to take in the shards that are new.
func (p plan) finished(g group) (plan, error) {
	var errs []error
	owned := 0
	for _, s := range g {
		switch {
		case s.row == nil && slices.Contains(p.among, s.name):
			errs = append(errs, s.wrap(errors.New("it was dealt buckets and its database is empty now: restore it from a backup")))
		case s.row == nil:
			p.added = append(p.added, s)
		default:
			owned += s.row.owned
			if !s.row.dealt {
				p.finish = append(p.finish, s)
			}
			if slices.Contains(p.among, s.name) {
				p.dealt = append(p.dealt, s)
			}
		}
	}
	// A new shard and one that was added before, was given buckets and then lost
	// them look alike, but for the buckets.
	if len(errs) == 0 && len(p.added) > 0 && owned != store.Buckets {
		errs = append(errs, fmt.Errorf("the other shards own %d of %d buckets: if %s had some, restore it from a backup; if buckets are being moved, wait for the end",
			owned, store.Buckets, list(names(p.added))))
	}
	return p, errors.Join(errs...)
}

// cut returns the part, from and before to, of total things that the shard name
// has.
func (p plan) cut(name string, total int) (from, to int) {
	i, n := slices.Index(p.among, name), len(p.among)
	return (i*total + n - 1) / n, ((i+1)*total + n - 1) / n
}

func names(shards []*shard) []string {
	var all []string
	for _, s := range shards {
		all = append(all, s.name)
	}
	return all
}

func list(names []string) string { return strings.Join(names, ", ") }

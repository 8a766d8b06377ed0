package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/terse/terse/store"
)

// plan is the work that is left of a deal. A deal assigns all buckets and node ids to a
// first set of shards.
//
// It has three phases. First, the names of all these shards are recorded on every shard.
// Second, each shard gets its share. Third, the end of the deal is recorded on every
// shard. No shard gets a share before all of them have recorded the names, and a shard
// records one set of names only. So of two deals with different sets that have a shard in
// common, at most one reaches its second phase, even if a run is interrupted.
type plan struct {
	among    []string // sorted names of the shards of the deal
	announce []*shard // first phase: shards without the names
	assign   []*shard // second phase: shards that may not have their share
	finish   []*shard // third phase: shards that have not recorded the end
	added    []*shard // shards that were added after the deal, and have no share
	dealt    []*shard // shards that certainly have their share
}

// newPlan returns the work that is left, or why the shards do not belong together.
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

// agreed returns a plan with the shards of the deal. All shards that have recorded a deal
// must have recorded the same one, and all shards of the deal must be in g.
func agreed(g group) (plan, error) {
	var first *shard
	for _, s := range g {
		switch {
		case s.row == nil:
		case first == nil:
			first = s
		case !slices.Equal(s.row.among, first.row.among):
			return plan{}, fmt.Errorf("shards %s and %s do not belong together: %s shares the buckets with %s, but %s shares them with %s",
				first.name, s.name, first.name, list(first.row.among), s.name, list(s.row.among))
		}
	}
	if first == nil {
		return plan{among: names(g)}, nil
	}
	var errs []error
	for _, name := range first.row.among {
		if !slices.Contains(names(g), name) {
			errs = append(errs, fmt.Errorf("shard %s is missing: the buckets are assigned to %s, and no other shard has its buckets", name, list(first.row.among)))
		}
	}
	return plan{among: first.row.among}, errors.Join(errs...)
}

// unfinished plans a new deal, or a deal without a recorded end.
func (p plan) unfinished(g group) (plan, error) {
	if all := names(g); !slices.Equal(p.among, all) {
		return plan{}, fmt.Errorf("an earlier run has not finished assigning buckets to %s: run the command with exactly these shards first (this run has %s)",
			list(p.among), list(all))
	}
	for _, s := range g {
		if s.row == nil {
			p.announce = append(p.announce, s)
		}
	}
	p.assign, p.finish = g, g
	return p, nil
}

// finished plans the work after a deal: recording its end on the rest of its shards, and
// adding new shards.
func (p plan) finished(g group) (plan, error) {
	var errs []error
	owned := 0
	for _, s := range g {
		switch {
		case s.row == nil && slices.Contains(p.among, s.name):
			errs = append(errs, s.wrap(errors.New("it had buckets, but its database is empty: restore it from a backup")))
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
	// A new shard looks like an added shard that has lost its database. Only the number
	// of owned buckets distinguishes them.
	if len(errs) == 0 && len(p.added) > 0 && owned != store.Buckets {
		errs = append(errs, fmt.Errorf("the other shards own %d of %d buckets: if %s had buckets, restore it from a backup; if buckets are being moved, wait for the end",
			owned, store.Buckets, list(names(p.added))))
	}
	return p, errors.Join(errs...)
}

// cut returns the range of total numbers that the shard name gets: from to to-1.
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

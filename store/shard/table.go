package shard

import (
	"fmt"

	"github.com/terse/terse/store"
)

// unknown is the owner of a bucket without a known owner.
const unknown = -1

// table has the owner of each bucket. It is immutable once in use.
type table struct {
	owners [store.Buckets]int16 // index into Options.Shards, or unknown
}

func newTable() *table {
	t := &table{}
	for b := range t.owners {
		t.owners[b] = unknown
	}
	return t
}

// owner returns the owner of a bucket, or unknown.
func (t *table) owner(bucket int) int { return int(t.owners[bucket]) }

// counts returns how many buckets each of n shards owns.
func (t *table) counts(n int) []int {
	counts := make([]int, n)
	for _, i := range t.owners {
		if i != unknown {
			counts[i]++
		}
	}
	return counts
}

// claim is the latest answer of one shard about its buckets.
type claim struct {
	buckets []store.Bucket
	version int64
	fresh   bool // from this round; else an earlier answer of a shard that is now unreachable
}

// deal makes a table from claims; claims[i] is of shard i. A bucket that two shards own is an
// error, unless one of them is unreachable and the other owns it at a later epoch. A bucket
// without an owner is an error if all shards have answered.
func deal(shards []Named, claims []claim) (*table, error) {
	t := newTable()
	var epochs [store.Buckets]int64
	twice := problem{text: "%s is owned by both %s and %s"}
	whole := true
	for i, c := range claims {
		whole = whole && c.fresh
		for _, b := range c.buckets {
			if b.Number < 0 || b.Number >= store.Buckets {
				return nil, fmt.Errorf("shard %s owns bucket %d, which does not exist", shards[i].Name, b.Number)
			}
			rival := t.owner(b.Number)
			if rival != unknown && rival != i {
				since, ok := succeeds(b.Epoch, c.fresh, epochs[b.Number], claims[rival].fresh)
				if !ok {
					twice.add(b.Number, shards[rival].Name, shards[i].Name)
				}
				if !since {
					continue
				}
			}
			t.owners[b.Number], epochs[b.Number] = int16(i), b.Epoch
		}
	}
	if err := twice.err(); err != nil || !whole {
		return t, err
	}
	ownerless := problem{text: "%s is owned by no shard"}
	for b := range t.owners {
		if t.owner(b) == unknown {
			ownerless.add(b)
		}
	}
	return t, ownerless.err()
}

// succeeds reports whether an owner has the bucket at a later epoch than its rival. ok is false
// for a contradiction: both claims are fresh, or have the same epoch, or the claim of the
// unreachable shard has the later epoch.
func succeeds(epoch int64, fresh bool, rivalEpoch int64, rivalFresh bool) (since, ok bool) {
	switch {
	case epoch == rivalEpoch || fresh && rivalFresh:
		return false, false
	case epoch > rivalEpoch:
		return true, fresh || !rivalFresh
	}
	return false, rivalFresh || !fresh
}

// problem is a problem with some buckets. Its text names the first of them.
type problem struct {
	text  string // a format for the bucket and args
	first int
	args  []any
	n     int
}

func (p *problem) add(bucket int, args ...any) {
	if p.n == 0 || bucket < p.first {
		p.first, p.args = bucket, args
	}
	p.n++
}

// err returns nil if no bucket was added.
func (p *problem) err() error {
	if p.n == 0 {
		return nil
	}
	what := fmt.Sprintf("bucket %d", p.first)
	if p.n > 1 {
		what += fmt.Sprintf(", as one of %d,", p.n)
	}
	return fmt.Errorf(p.text, append([]any{what}, p.args...)...)
}

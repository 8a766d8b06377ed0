package shard

import (
	"fmt"

	"github.com/terse/terse/store"
)

// nobody is the owner of a bucket that no shard is known to own.
const nobody = -1

// table says which shard owns each bucket. It never changes once it is in use.
type table struct {
	owners [store.Buckets]int16 // index into Options.Shards, or nobody
}

func newTable() *table {
	t := &table{}
	for b := range t.owners {
		t.owners[b] = nobody
	}
	return t
}

// owner returns the shard of a bucket, or nobody.
func (t *table) owner(bucket int) int { return int(t.owners[bucket]) }

// counts returns how many buckets each of n shards owns.
func (t *table) counts(n int) []int {
	counts := make([]int, n)
	for _, i := range t.owners {
		if i != nobody {
			counts[i]++
		}
	}
	return counts
}

// claim is what one shard said last of its buckets.
type claim struct {
	buckets []store.Bucket
	version int64
	fresh   bool // said in this round; else remembered, as the shard cannot be asked
}

// deal makes a table of claims, claim i of shard i. A bucket that two shards own
// is an error, unless one of them cannot be asked and the other has owned it
// since; a bucket that nobody owns is one when all shards have answered.
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
			if rival != nobody && rival != i {
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
	nobodys := problem{text: "%s is owned by no shard"}
	for b := range t.owners {
		if t.owner(b) == nobody {
			nobodys.add(b)
		}
	}
	return t, nobodys.err()
}

// succeeds reports whether an owner has a bucket since after its rival, and
// whether that can be told: two that both say so now are at odds, and so are two
// of one epoch, and one that says so now with one that is known to be later.
func succeeds(epoch int64, fresh bool, rivalEpoch int64, rivalFresh bool) (since, ok bool) {
	switch {
	case epoch == rivalEpoch || fresh && rivalFresh:
		return false, false
	case epoch > rivalEpoch:
		return true, fresh || !rivalFresh
	}
	return false, rivalFresh || !fresh
}

// problem is what is wrong with some buckets, told by the first of them.
type problem struct {
	text  string // of the bucket and args
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

// err returns nil when nothing was added.
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

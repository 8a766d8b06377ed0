package blocklist

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/terse/terse/store"
)

// set is hosts that are blocked. It keeps eight bytes of each: a hash, whose key
// is this set's own, so that nobody can make up a host that is taken for another.
// A host that is not blocked is taken for one that is once in 10^13 look-ups among
// a million. It never changes.
type set struct {
	seed  maphash.Seed
	wide  []uint64 // of hosts that are blocked with all names below them, sorted
	exact []uint64 // of those that are blocked alone, sorted
	sum   uint64   // the same for all sets of the same patterns
}

// builder makes a set.
type builder struct{ set }

func newBuilder() *builder { return &builder{set{seed: maphash.MakeSeed()}} }

func (b *builder) add(p store.HostPattern) {
	hash := maphash.String(b.seed, p.Host)
	if p.Exact {
		b.exact = append(b.exact, hash)
	} else {
		b.wide = append(b.wide, hash)
	}
	b.sum += xxhash.Sum64String(p.String())
}

// build returns the set. The builder is of no use afterwards.
func (b *builder) build() *set {
	for _, hashes := range []*[]uint64{&b.wide, &b.exact} {
		slices.Sort(*hashes)
		*hashes = slices.Clip(slices.Compact(*hashes))
	}
	return &b.set
}

// blocks reports whether a host is in the set, or below one that is.
func (s *set) blocks(host string) bool {
	if len(s.exact) > 0 && contains(s.exact, maphash.String(s.seed, host)) {
		return true
	}
	if len(s.wide) == 0 {
		return false
	}
	for more := true; more; {
		if contains(s.wide, maphash.String(s.seed, host)) {
			return true
		}
		_, host, more = strings.Cut(host, ".")
	}
	return false
}

func (s *set) len() int { return len(s.wide) + len(s.exact) }

func contains(sorted []uint64, hash uint64) bool {
	_, found := slices.BinarySearch(sorted, hash)
	return found
}

package blocklist

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/terse/terse/store"
)

// set is an immutable set of blocked hosts. It stores a hash of eight bytes for each
// host. Each set has its own random hash key, so that an attacker cannot construct a
// host that collides with a blocked one. With a million hosts, one look-up in 10^13 wrongly
// reports a host as blocked.
type set struct {
	seed  maphash.Seed
	wide  []uint64 // hashes of hosts that are blocked with all their subdomains, sorted
	exact []uint64 // hashes of hosts that are blocked without subdomains, sorted
	sum   uint64   // equal for all sets of the same patterns
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

// build returns the set. The builder must not be used afterwards.
func (b *builder) build() *set {
	for _, hashes := range []*[]uint64{&b.wide, &b.exact} {
		slices.Sort(*hashes)
		*hashes = slices.Clip(slices.Compact(*hashes))
	}
	return &b.set
}

// blocks reports whether a host or one of its parent domains is in the set.
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

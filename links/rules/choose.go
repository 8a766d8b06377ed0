package rules

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/terse/terse/useragent"
)

// Visit is the facts of a visit. Facts that the rules do not ask about may be left out, see
// Set.Varies.
type Visit struct {
	Key       string          // of the link, for splits
	Seed      uint64          // keys the hash of splits; the same on all nodes, and secret
	Time      time.Time       // of the visit
	Agent     useragent.Agent // of UserAgent
	UserAgent string          // for splits
	Country   string          // ISO 3166-1 code; empty: unknown
	Language  string          // the header Accept-Language; empty: unknown
	Query     string          // of the short URL, without the question mark
	Referrer  string          // the header Referer; empty: unknown
	Address   netip.Addr      // of the client; the zero Addr: unknown
}

// Choice is the target of a visit.
type Choice struct {
	Rule    int    // index of the rule that applies, or -1: the url of the link is the target
	Variant int    // index of the target in the split of the rule; 0 without a split
	To      string // empty if Rule is -1
	Name    string // for statistics: "rules[1]", "rules[1].split[0]", or "url" if Rule is -1
	Split   bool   // the rule has a split
	Drawn   bool   // the split is drawn anew for each visit
}

// noRule is the choice if no rule applies.
var noRule = Choice{Rule: -1, Name: "url"}

// Choose returns the target of a visit. It does not allocate.
func (s *Set) Choose(v *Visit) Choice {
	f := s.facts(v)
	for i := range s.rules {
		r := &s.rules[i]
		if _, t := r.holds(&f); t == yes {
			return r.choose(i, v)
		}
	}
	return noRule
}

// truth is the result of a condition.
type truth uint8

const (
	no truth = iota
	unknown
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// facts is a visit and what the conditions of a set derive from it.
type facts struct {
	*Visit
	device   devices // 0: unknown
	browser  int     // -1: unknown
	country  int     // -1: unknown
	language language
	host     string // of the referrer; empty: unknown
	local    localTime
}

func (s *Set) facts(v *Visit) facts {
	f := facts{Visit: v, browser: -1, country: -1}
	if s.varies.Has(Device) {
		f.device = devicesOf(v.Agent)
	}
	if s.varies.Has(Browser) && v.Agent.Browser != "" {
		if n, known := numberOfBrowser[v.Agent.Browser]; known {
			f.browser = n
		}
	}
	if s.varies.Has(Country) {
		if n, ok := codeNumber(v.Country); ok {
			f.country = n
		}
	}
	if s.varies.Has(Language) && v.Language != "" {
		f.language = bestLanguage(v.Language, s.languages)
	}
	if s.varies.Has(Referrer) {
		f.host = refererHost(v.Referrer)
	}
	return f
}

// failed says which member of a condition does not hold.
type failed struct {
	member member
	not    bool // the members of not hold, or are unknown
}

// holds returns whether the conditions of a rule hold, or else what fails first.
func (r *rule) holds(f *facts) (failed, truth) {
	for _, m := range r.cond.members {
		if t := r.cond.test(m, f); t != yes {
			return failed{member: m}, t
		}
	}
	if r.not != nil {
		switch r.not.all(f) {
		case yes:
			return failed{not: true}, no
		case unknown:
			return failed{not: true}, unknown
		}
	}
	return failed{}, yes
}

// all returns whether all members hold: no if one does not, else unknown if one is unknown.
func (c *condition) all(f *facts) truth {
	result := yes
	for _, m := range c.members {
		if result = min(result, c.test(m, f)); result == no {
			return no
		}
	}
	return result
}

// test returns whether one member holds.
func (c *condition) test(m member, f *facts) truth {
	switch m {
	case memberDevice:
		if f.device == 0 {
			return unknown
		}
		return truthOf(c.devices&f.device != 0)
	case memberBrowser:
		if f.browser < 0 {
			return unknown
		}
		return truthOf(c.browsers.has(f.browser))
	case memberCountry:
		if f.country < 0 {
			return unknown
		}
		return truthOf(c.countries.has(f.country))
	case memberContinent:
		if f.country < 0 || continentOf[f.country] == 0 {
			return unknown
		}
		return truthOf(c.continents&(1<<continentOf[f.country]>>1) != 0)
	case memberAfter:
		return truthOf(!f.Time.Before(c.after))
	case memberBefore:
		return truthOf(f.Time.Before(c.before))
	case memberWeekday:
		return truthOf(c.weekdays.has(f.clock(c.zone).day))
	case memberHours:
		return truthOf(c.inHours(f.clock(c.zone).minute))
	case memberLanguage:
		if !f.language.known {
			return unknown
		}
		return truthOf(f.language.isIn(c.languages))
	case memberReferrer:
		if f.host == "" {
			return unknown
		}
		return truthOf(c.isReferrer(f.host))
	case memberIP:
		if !f.Address.IsValid() {
			return unknown
		}
		return truthOf(c.hasAddress(f.Address.Unmap()))
	case memberQuery:
		return truthOf(c.isQuery(f.Query))
	}
	return unknown
}

// clock returns the time of the visit on the clock of a zone.
func (f *facts) clock(zone *time.Location) localTime {
	if f.local.zone != zone {
		f.local = localAt(f.Time, zone)
	}
	return f.local
}

func (c *condition) isReferrer(host string) bool {
	for _, above := range c.referrers {
		if isBelow(host, above) {
			return true
		}
	}
	return false
}

func (c *condition) hasAddress(addr netip.Addr) bool {
	for _, network := range c.networks {
		if network.Contains(addr.WithZone("")) {
			return true
		}
	}
	return false
}

func (c *condition) isQuery(query string) bool {
	for i := range c.parameters {
		if !c.parameters[i].isIn(query) {
			return false
		}
	}
	return true
}

// choose returns the choice of the rule with an index.
func (r *rule) choose(index int, v *Visit) Choice {
	variant := 0
	if len(r.variants) > 1 {
		seed := rand.Uint64() //nolint:gosec // a draw without security
		if !r.drawn {
			seed = v.client()
		}
		variant = pick(r.variants, seed)
	}
	chosen := &r.variants[variant]
	return Choice{Rule: index, Variant: variant, To: chosen.to, Name: chosen.name, Split: len(r.variants) > 1, Drawn: r.drawn}
}

// pick returns the index of a variant for a uniformly distributed seed, by weighted rendezvous
// hashing: each variant draws an exponentially distributed time at a rate of its weight, and the
// earliest one wins. If weights change, only the seeds of the difference get another variant.
func pick(variants []variant, seed uint64) (winner int) {
	earliest := math.Inf(1)
	for i := range variants {
		v := &variants[i]
		uniform := (float64(mix(seed^v.hash)>>11) + 0.5) / (1 << 53)
		if at := -math.Log(uniform) / v.weight; at < earliest {
			earliest, winner = at, i
		}
	}
	return winner
}

// mix is the finalizer of SplitMix64: it spreads every bit over all bits.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// The lengths of networks in bits. The clients of a network with the same User-Agent are one visitor
// of a split.
const (
	network4 = 24
	network6 = 48
)

// client returns a number of the client for the splits of the link.
func (v *Visit) client() uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(v.Seed)
	_, _ = d.WriteString(v.Key)
	addr := v.Address.Unmap()
	bits := network6
	if addr.Is4() {
		bits = network4
	}
	var network [17]byte
	if p, err := addr.WithZone("").Prefix(bits); err == nil {
		bytes := p.Addr().As16()
		copy(network[1:], bytes[:])
	}
	_, _ = d.Write(network[:]) // begins with 0, which is in no key
	_, _ = d.WriteString(v.UserAgent)
	return d.Sum64()
}

package domains

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/terse/terse/store"
)

// table is the domains of all sources at one moment. It never changes.
type table struct {
	byHost   map[string]*Domain
	hidden   map[string]*Domain // by an unverified host to which a wildcard host applies instead
	byID     map[string]*Domain
	verified bool   // whether any host is verified
	served   uint64 // sum of the hashes of the verified hosts of domains that are not removed
	complete bool
}

// newTable returns the table of the contents of all sources. A content is nil if its source was
// never read. A host without its domain is left out: its domain is in a source that was not
// read, or was never added.
func newTable(known []*content) *table {
	t := &table{byHost: map[string]*Domain{}, hidden: map[string]*Domain{}, byID: map[string]*Domain{}, complete: true}
	for _, c := range known {
		if c == nil {
			t.complete = false
			continue
		}
		for _, d := range c.domains {
			t.byID[d.ID] = &Domain{Domain: d}
		}
	}
	for _, c := range known {
		if c == nil {
			continue
		}
		for _, h := range c.hosts {
			if d := t.byID[h.DomainID]; d != nil {
				d.Hosts = append(d.Hosts, h)
				t.byHost[h.Host] = d
				t.verified = t.verified || !h.VerifiedAt.IsZero()
				if !h.VerifiedAt.IsZero() && d.State != store.DomainRemoved {
					t.served += xxhash.Sum64String(h.Host) // in any order
				}
			}
		}
	}
	for _, d := range t.byID {
		sortHosts(d.Hosts)
		t.holdBack(d)
	}
	for _, d := range t.byID {
		t.hide(d)
	}
	return t
}

// hide gives the unverified hosts of a domain to the active domains with a wildcard host for them.
// A claim without a proof must not stop the links of another owner.
func (t *table) hide(d *Domain) {
	for _, h := range d.Hosts {
		if over := t.byHost[wildcardOf(h.Host)]; h.VerifiedAt.IsZero() && over != nil && over.State == store.DomainActive {
			t.hidden[h.Host], t.byHost[h.Host] = t.byHost[h.Host], over
		}
	}
}

// claimant returns the domain that has exactly this host, or nil.
func (t *table) claimant(host string) *Domain {
	if d := t.hidden[host]; d != nil {
		return d
	}
	return t.byHost[host]
}

// wildcardOf returns the wildcard host that applies to a host. For a wildcard host it returns
// host.
func wildcardOf(host string) string {
	_, parent, _ := strings.Cut(host, ".")
	return store.WildcardLabel + "." + parent
}

// holdBack makes an active domain pending for its hosts that are not verified. Nothing has
// proved yet that their owners want them to serve links.
func (t *table) holdBack(d *Domain) {
	if d.State != store.DomainActive {
		return
	}
	var pending *Domain
	for _, h := range d.Hosts {
		if !h.VerifiedAt.IsZero() {
			continue
		}
		if pending == nil {
			pending = &Domain{Domain: d.Domain, Hosts: d.Hosts}
			pending.State = store.DomainPending
		}
		t.byHost[h.Host] = pending
	}
}

// all returns the domains in no order.
func (t *table) all() []*Domain {
	return slices.Collect(maps.Values(t.byID))
}

// sortHosts sorts hosts by their names.
func sortHosts(hosts []store.DomainHost) {
	slices.SortFunc(hosts, func(a, b store.DomainHost) int { return strings.Compare(a.Host, b.Host) })
}

// sortDomains sorts domains by their primary hosts.
func sortDomains(domains []Domain) {
	slices.SortFunc(domains, func(a, b Domain) int { return strings.Compare(a.Host, b.Host) })
}

// maxNameLen is the length of the longest DNS name in bytes.
const maxNameLen = 253

// find returns the domain that serves a host, or nil. If the domain has only a wildcard host that
// matches, wild is true.
func (t *table) find(host string) (d *Domain, wild bool) {
	if d := t.byHost[host]; d != nil {
		return d, false
	}
	if len(t.byHost) == 0 {
		return nil, false
	}
	var buf [maxNameLen]byte
	name := canonical(buf[:0], host)
	if name == nil {
		return nil, false
	}
	if d := t.byHost[string(name)]; d != nil {
		return d, false
	}
	dot := bytes.IndexByte(name, '.')
	if dot < 1 {
		return nil, false
	}
	name[dot-1] = store.WildcardLabel[0]
	return t.byHost[string(name[dot-1:])], true
}

// canonical appends the canonical form of a host to buf, or returns nil if the host cannot have a
// domain. The result fits into the capacity of buf.
func canonical(buf []byte, host string) []byte {
	if name := appendPlain(buf, host); name != nil {
		return name
	}
	name, err := store.CanonicalHost(host)
	if err != nil || len(name) == 0 || len(name) > cap(buf) {
		return nil
	}
	return append(buf, name...)
}

// appendPlain is canonical without allocations, for a plain name: it has only ASCII letters,
// digits, dots and single hyphens, and only letters in its last label. So it is neither an address
// nor punycode. appendPlain returns nil for any other host.
func appendPlain(buf []byte, host string) []byte {
	name, port, _ := strings.Cut(host, ":")
	if !validPort(port) {
		return nil
	}
	name = strings.TrimRight(name, ".")
	if name == "" || len(name) > cap(buf) {
		return nil
	}
	letters := false // whether the last label has only letters
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z':
			buf = append(buf, c)
		case c >= 'A' && c <= 'Z':
			buf = append(buf, c+'a'-'A')
		case c == '.':
			buf, letters = append(buf, c), true
		case c >= '0' && c <= '9', c == '-' && (i == 0 || name[i-1] != '-'):
			buf, letters = append(buf, c), false
		default:
			return nil
		}
	}
	if !letters {
		return nil
	}
	return buf
}

// validPort reports whether digits are a port from 0 to 65535, or empty.
func validPort(digits string) bool {
	n := 0
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
		if n = 10*n + int(digits[i]-'0'); n > 65535 {
			return false
		}
	}
	return true
}

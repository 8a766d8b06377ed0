package store

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// host is the host of a URL as browsers understand it. All spellings of a host have the
// same value, except for trailing dots of a domain name.
type host struct {
	name string     // a domain name in lower-case ASCII, or an address as in a URL
	addr netip.Addr // valid when the host is an address
}

// errHost is the reason for rejecting an invalid host.
var errHost = errors.New("must name a valid host, such as example.com")

// forbiddenInDomain is the printable ASCII part of the forbidden domain code points of the
// WHATWG URL Standard.
const forbiddenInDomain = " #%/:<>?@[\\]^|"

// maxHostLen is the longest host in bytes, as the user wrote it: maxNameLen with room for
// percent-encoding. The limit is needed because punycode takes quadratic time.
const maxHostLen = 1024

// domainParser reads hosts. It is safe for concurrent use.
type domainParser struct {
	profile *idna.Profile
}

// newDomainParser returns a parser with the settings for domains of the WHATWG
// URL Standard: UTS #46, non-transitional, any ASCII, any length.
func newDomainParser() domainParser {
	return domainParser{idna.New(
		idna.MapForLookup(),
		idna.BidiRule(),
		idna.CheckHyphens(false),
		idna.CheckJoiners(true),
		idna.StrictDomainName(false),
		idna.Transitional(false),
		idna.VerifyDNSLength(false),
	)}
}

// parse reads the host of an http URL without its port. Its error text is a reason for the
// user.
func (p domainParser) parse(s string) (host, error) {
	if len(s) > maxHostLen {
		return host{}, errHost
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		return parseIPv6(inner)
	}
	if isPlainDomain(s) {
		return host{name: strings.ToLower(s)}, nil
	}
	return p.parseDomain(s)
}

// Greatest lengths of a label and of a name in DNS, in bytes (RFC 1035, section 2.3.4). The
// length of a name is without a final dot.
const (
	maxLabelLen = 63
	maxNameLen  = 253
)

// checkDNS returns an error for a domain name that DNS cannot carry. A name may end with one
// dot. Its error text is a reason for the user.
func (h host) checkDNS() error {
	if h.addr.IsValid() {
		return nil
	}
	name := strings.TrimSuffix(h.name, ".")
	if len(name) > maxNameLen {
		return fmt.Errorf("must name a host of at most %d bytes", maxNameLen)
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return errHost
		case len(label) > maxLabelLen:
			return fmt.Errorf("must name a host whose parts between dots have at most %d bytes", maxLabelLen)
		}
	}
	return nil
}

// parseDomain reads a domain or an IPv4 address.
func (p domainParser) parseDomain(s string) (host, error) {
	decoded, err := url.PathUnescape(s)
	if err != nil || !utf8.ValidString(decoded) {
		return host{}, errHost
	}
	name, err := p.profile.ToASCII(decoded)
	if err != nil || strings.Trim(name, ".") == "" || hasEmptyPunycode(decoded) ||
		strings.ContainsAny(name, forbiddenInDomain) || strings.ContainsFunc(name, isASCIIControl) {
		return host{}, errHost
	}
	if !endsInNumber(name) {
		return host{name: name}, nil
	}
	addr, ok := parseIPv4(strings.TrimSuffix(name, "."))
	if !ok {
		return host{}, errors.New("must name a valid IPv4 address, such as 192.0.2.1")
	}
	return host{name: addr.String(), addr: addr}, nil
}

// isPlainDomain reports whether s is like most domains: ASCII letters, digits, dots and
// single hyphens, with only letters after the last dot. UTS #46 only converts such a name
// to lower case, and no parser takes it for an address.
func isPlainDomain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case isASCIILetter(c), c >= '0' && c <= '9', c == '.':
		case c == '-' && (i == 0 || s[i-1] != '-'): // two hyphens may be punycode
		default:
			return false
		}
	}
	last := s[strings.LastIndexByte(s, '.')+1:]
	for i := range len(last) {
		if !isASCIILetter(last[i]) {
			return false
		}
	}
	return last != ""
}

func isASCIILetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// hasEmptyPunycode reports whether a label is only "xn--". x/net/idna takes it for an empty
// label, and browsers reject it.
func hasEmptyPunycode(domain string) bool {
	for label := range strings.SplitSeq(strings.ToLower(domain), ".") {
		if label == "xn--" {
			return true
		}
	}
	return false
}

// parseIPv6 reads an IPv6 address after the opening bracket.
func parseIPv6(s string) (host, error) {
	inner, closed := strings.CutSuffix(s, "]")
	addr, err := netip.ParseAddr(inner)
	if !closed || err != nil || !addr.Is6() || addr.Zone() != "" {
		return host{}, errors.New("must name a valid IPv6 address, such as [2001:db8::1]")
	}
	return host{name: "[" + addr.String() + "]", addr: addr}, nil
}

// endsInNumber reports whether browsers read name as an IPv4 address because its last label
// is a decimal or hexadecimal number.
func endsInNumber(name string) bool {
	name = strings.TrimSuffix(name, ".")
	last := name[strings.LastIndexByte(name, '.')+1:]
	if digits, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// parseIPv4 reads an address of one to four numbers, each decimal, octal or hexadecimal.
// The last number fills all remaining bytes.
func parseIPv4(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var bytes [4]byte
	last := len(parts) - 1
	for i, part := range parts[:last] {
		n, err := parseIPv4Number(part)
		if err != nil || n > 0xFF {
			return netip.Addr{}, false
		}
		bytes[i] = byte(n)
	}
	n, err := parseIPv4Number(parts[last])
	if err != nil || n >= 1<<(8*(4-last)) {
		return netip.Addr{}, false
	}
	for i := 3; i >= last; i-- {
		bytes[i] = byte(n)
		n >>= 8
	}
	return netip.AddrFrom4(bytes), true
}

func parseIPv4Number(s string) (uint64, error) {
	if s == "0x" {
		return 0, nil
	}
	if digits, ok := strings.CutPrefix(s, "0x"); ok {
		return strconv.ParseUint(digits, 16, 64)
	}
	if len(s) > 1 && s[0] == '0' {
		return strconv.ParseUint(s[1:], 8, 64)
	}
	return strconv.ParseUint(s, 10, 64)
}

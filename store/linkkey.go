package store

import "strings"

// The lengths of a domain id in bytes: those of minted codes.
const (
	minDomainIDLen = 9
	maxDomainIDLen = 10
)

// MaxKeyLen is the length of the longest key of a link, in bytes.
const MaxKeyLen = maxDomainIDLen + 1 + MaxCodeLen

// LinkKey returns the key of the link with a code on a domain: the code itself on the default
// domain, whose id is empty, and "<domain id>/<code>" on any other domain. No code contains a
// slash, so the keys of two domains are never equal.
func LinkKey(domainID, code string) string {
	if domainID == "" {
		return code
	}
	return domainID + "/" + code
}

// SplitKey returns the domain id and the code of a key. The id is empty on the default domain.
// Both share the memory of key. SplitKey is the inverse of LinkKey and does not check its
// parts, see ValidKey.
func SplitKey(key string) (domainID, code string) {
	id, code, custom := strings.Cut(key, "/")
	if !custom {
		return "", key
	}
	return id, code
}

// ValidKey reports whether s has the syntax of a key: a code, or a domain id, a slash and a
// code. The path of a visit and the alias of a create are codes, never keys: check them with
// ValidCode.
func ValidKey(s string) bool {
	id, code, custom := strings.Cut(s, "/")
	if !custom {
		return ValidCode(s)
	}
	return ValidDomainID(id) && ValidCode(code)
}

// ValidDomainID reports whether s has the syntax of the id of a domain, which is a minted code:
// 9 or 10 bytes of [0-9A-Za-z]. The empty id of the default domain is not valid.
func ValidDomainID(s string) bool {
	return len(s) >= minDomainIDLen && len(s) <= maxDomainIDLen && ValidCode(s) && !strings.ContainsAny(s, "-_")
}

// DomainID returns the id of the domain of l. It is empty for the default domain.
func (l *Link) DomainID() string {
	id, _ := SplitKey(l.Code)
	return id
}

// BareCode returns the code of l without its domain, as it is in the path of the short URL.
func (l *Link) BareCode() string {
	_, code := SplitKey(l.Code)
	return code
}

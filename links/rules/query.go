package rules

import "strings"

// maxParameters is how many parameters of a visit are read.
const maxParameters = 256

// parameter is a parameter that a visit must have.
type parameter struct {
	name   string
	values []string // empty: any value
}

// isIn reports whether a query has the parameter with one of its values.
func (p *parameter) isIn(query string) bool {
	for range maxParameters {
		pair, rest, more := strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		if decodesTo(name, p.name) && p.accepts(value) {
			return true
		}
		if !more {
			return false
		}
		query = rest
	}
	return false
}

func (p *parameter) accepts(value string) bool {
	if len(p.values) == 0 {
		return true
	}
	for _, want := range p.values {
		if decodesTo(value, want) {
			return true
		}
	}
	return false
}

// decodesTo reports whether a part of a query has the given decoded form. "+" is a space. "%" without
// two hexadecimal digits is itself.
func decodesTo(encoded, want string) bool {
	at := 0
	for i := 0; i < len(encoded); i++ {
		c := encoded[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(encoded) && isHex(encoded[i+1]) && isHex(encoded[i+2]):
			c = fromHex(encoded[i+1])<<4 | fromHex(encoded[i+2])
			i += 2
		}
		if at >= len(want) || want[at] != c {
			return false
		}
		at++
	}
	return at == len(want)
}

func isHex(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

func fromHex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// refererHost returns the host of a Referer without port, user and brackets, in its own case. It is
// empty if the Referer is not of an http or https page.
func refererHost(referrer string) string {
	scheme, rest, ok := strings.Cut(referrer, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return ""
	}
	if end := strings.IndexAny(rest, `/?#\`); end >= 0 {
		rest = rest[:end]
	}
	host := rest[strings.LastIndexByte(rest, '@')+1:]
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host, _, _ = strings.Cut(inner, "]")
		return host
	}
	host, _, _ = strings.Cut(host, ":")
	return strings.TrimSuffix(host, ".")
}

// isBelow reports whether a host is a canonical host or a name below it, ignoring case.
func isBelow(host, above string) bool {
	cut := len(host) - len(above)
	return cut >= 0 && strings.EqualFold(host[cut:], above) && (cut == 0 || host[cut-1] == '.')
}

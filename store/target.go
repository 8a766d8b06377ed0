package store

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// MaxURLLen is the longest target in bytes, as it is sent and as it is stored.
const MaxURLLen = 8192

// Target returns raw in the form that is stored and sent in Location. The result is what the
// user wrote, byte for byte, except for what every browser would rewrite to printable ASCII:
// surrounding spaces are dropped, a host that is not ASCII becomes punycode, and characters
// that a URL must not contain are percent-encoded. Target(Target(raw)) equals Target(raw).
//
// It returns a *FieldError for "url" if raw is not a plain http or https URL, if browsers
// would have to repair it, if it leads to our own hosts or to a blocked host, if DNS cannot
// carry its host, or if two clients could read different hosts from it.
//
// The grammar and the encoding are those of the WHATWG URL Standard.
func (r *Rules) Target(raw string) (string, error) {
	out, err := r.rewrite(raw, false)
	if err != nil {
		return "", &FieldError{Field: "url", Reason: err.Error()}
	}
	return out, nil
}

// rewrite is Target with an error that contains only the reason. If mayBeOwn is true, the target
// may lead to our own hosts.
func (r *Rules) rewrite(raw string, mayBeOwn bool) (string, error) {
	t, err := splitTarget(raw)
	if err != nil {
		return "", err
	}
	h, err := r.domains.parse(t.host)
	if err != nil {
		return "", err
	}
	port, err := t.effectivePort()
	if err != nil {
		return "", err
	}
	if !mayBeOwn && (r.own.contains(h, port) || r.served != nil && r.served.Serves(h.key())) {
		return "", errors.New("must not lead to this URL shortener itself")
	}
	if r.blocked != nil && r.blocked.Blocks(h.key()) {
		return "", errors.New("must not lead to a host that is blocked here")
	}
	if err := h.checkDNS(); err != nil {
		return "", err
	}
	if !isASCII(t.host) {
		t.host = h.name
	}
	out := t.encode()
	if len(out) > MaxURLLen {
		return "", fmt.Errorf("must be at most %d bytes long, with its special characters percent-encoded", MaxURLLen)
	}
	// All parsers read the same plain name. It stands between // and the next / ? # or port.
	// splitTarget has refused a user name before it and any other separator.
	if !isPlainDomain(t.host) && !r.agreed(out, h) {
		return "", errors.New("must name a host that all clients understand alike")
	}
	return out, nil
}

// agreed reports whether two other parsers find the same host in out: one that parses as
// browsers do, and one that parses as many programs do. The second may reject out, because
// some of what browsers accept is not valid in RFC 3986.
func (r *Rules) agreed(out string, h host) bool {
	b, err := r.browser.Parse(out)
	if err != nil {
		return false
	}
	if same, err := r.domains.parse(b.Hostname()); err != nil || same != h {
		return false
	}
	u, err := url.Parse(out)
	if err != nil {
		return true
	}
	name := u.Hostname()
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	same, err := r.domains.parse(name)
	return err == nil && same == h
}

// target is a URL split into parts. The parts in order are the whole text.
type target struct {
	scheme   string // "http://" or "https://", in the caller's case
	host     string // never empty
	port     string // empty, or ":" and maybe digits
	path     string // empty, or begins with "/"
	query    string // empty, or begins with "?"
	fragment string // empty, or begins with "#"
}

// splitTarget splits raw into parts. It refuses a URL that browsers would have to repair.
func splitTarget(raw string) (target, error) {
	switch {
	case strings.Trim(raw, " ") == "":
		return target{}, errors.New("must not be empty")
	case len(raw) > MaxURLLen:
		return target{}, fmt.Errorf("must be at most %d bytes long", MaxURLLen)
	case !utf8.ValidString(raw):
		return target{}, errors.New("must be valid UTF-8")
	case strings.ContainsFunc(raw, isASCIIControl):
		return target{}, errors.New("must not contain line breaks, tabs or other control characters")
	}
	raw = strings.Trim(raw, " ")
	n := schemeLen(raw)
	if n == 0 {
		return target{}, errors.New("must begin with http:// or https://")
	}
	t := target{scheme: raw[:n]}
	rest := raw[n:]
	rest, t.fragment = cut(rest, "#")
	rest, t.query = cut(rest, "?")
	if strings.Contains(rest, `\`) {
		return target{}, errors.New(`must have / instead of \ in front of the query`)
	}
	rest, t.path = cut(rest, "/")
	if strings.Contains(rest, "@") {
		return target{}, errors.New("must not contain a user name or password (an @ in front of the host)")
	}
	t.host, t.port = cutPort(rest)
	if t.host == "" {
		return target{}, errors.New("must name a host behind http:// or https://")
	}
	return t, nil
}

// schemeLen returns the length of "http://" or "https://" at the beginning of s, ignoring
// case, or 0.
func schemeLen(s string) int {
	for _, scheme := range []string{"http://", "https://"} {
		if n := len(scheme); len(s) >= n && strings.EqualFold(s[:n], scheme) {
			return n
		}
	}
	return 0
}

// cut splits s before the first separator. Without one, tail is empty.
func cut(s, separator string) (head, tail string) {
	if i := strings.Index(s, separator); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// effectivePort returns the port that clients dial.
func (t *target) effectivePort() (uint16, error) {
	if digits := strings.TrimPrefix(t.port, ":"); digits != "" {
		return parsePort(digits)
	}
	if len(t.scheme) == len("https://") {
		return httpsPort, nil
	}
	return httpPort, nil
}

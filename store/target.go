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

// Target returns raw as it is stored and sent in Location. The result is what
// the user wrote, byte for byte, except for what every browser would rewrite to
// make it printable ASCII: spaces around it are dropped, a host that is not
// ASCII becomes its punycode, and characters that may not stand in a URL are
// percent-encoded. Target(Target(raw)) equals Target(raw).
//
// It refuses, with a *FieldError that names "url", whatever is not a plain http
// or https URL, whatever browsers repair by guessing, whatever leads back to our
// own hosts or to one that is blocked, and whatever two clients could take for different hosts.
//
// The grammar and the encoding are those of the WHATWG URL Standard.
func (r *Rules) Target(raw string) (string, error) {
	out, err := r.rewrite(raw)
	if err != nil {
		return "", &FieldError{Field: "url", Reason: err.Error()}
	}
	return out, nil
}

// rewrite is Target; the text of its error is the reason alone.
func (r *Rules) rewrite(raw string) (string, error) {
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
	if r.own.contains(h, port) {
		return "", errors.New("must not lead to this URL shortener itself")
	}
	if r.blocked != nil && r.blocked.Blocks(h.key()) {
		return "", errors.New("must not lead to a host that is blocked here")
	}
	if !isASCII(t.host) {
		t.host = h.name
	}
	out := t.encode()
	if len(out) > MaxURLLen {
		return "", fmt.Errorf("must be at most %d bytes long, with its special characters percent-encoded", MaxURLLen)
	}
	// A plain name is read alike by everybody: it is what stands between // and the
	// next / ? # or the port, as nothing in front of it, such as a user, and no other
	// separator got past splitTarget.
	if !isPlainDomain(t.host) && !r.agreed(out, h) {
		return "", errors.New("must name a host that all clients understand alike")
	}
	return out, nil
}

// agreed reports whether other parsers find the same host in out as we do: one
// that works as browsers do, and one that works as many programs do. The latter
// may refuse out, as some of what browsers take is not valid in RFC 3986.
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

// target is a URL taken apart. Its parts in their order make up the text again.
type target struct {
	scheme   string // "http://" or "https://", in the caller's case
	host     string // never empty
	port     string // empty, or ":" and maybe digits
	path     string // empty, or begins with "/"
	query    string // empty, or begins with "?"
	fragment string // empty, or begins with "#"
}

// splitTarget takes raw apart, and refuses what browsers would have to repair
// before they could.
func splitTarget(raw string) (target, error) {
	switch {
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

// schemeLen returns the length of the "http://" or "https://" with which s
// begins in capitals or not, or 0.
func schemeLen(s string) int {
	for _, scheme := range []string{"http://", "https://"} {
		if n := len(scheme); len(s) >= n && strings.EqualFold(s[:n], scheme) {
			return n
		}
	}
	return 0
}

// cut splits s in front of the first separator; tail is empty when there is none.
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

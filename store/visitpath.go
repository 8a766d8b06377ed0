package store

import (
	"net/url"
	"strings"
)

// CutPath splits the path of a visit at its second slash: "/code/a/b" into "code" and "/a/b". rest is
// empty if nothing but a slash follows the code. Rest keeps its bytes and escapes, except that
// bytes that browsers encode in a path, and backslashes, are percent-encoded. An encoded slash does not
// split the path. The code is decoded, and may have no valid syntax.
func CutPath(u *url.URL) (code, rest string) {
	raw := u.RawPath
	if raw == "" {
		raw = u.EscapedPath()
	}
	code, rest, _ = strings.Cut(strings.TrimPrefix(raw, "/"), "/")
	if decoded, err := url.PathUnescape(code); err == nil {
		code = decoded
	}
	if rest == "" {
		return code, ""
	}
	var b strings.Builder
	b.Grow(1 + len(rest))
	b.WriteByte('/')
	writeEncoded(&b, rest, encodedInRest)
	return code, b.String()
}

// JoinPath adds the rest of a visit's path to the path of a target. The result has the scheme, the host,
// the query and the fragment of the target. An empty rest changes nothing. A slash at the end of the
// target's path is not doubled.
func JoinPath(target, rest string) string {
	if rest == "" {
		return target
	}
	path, after := target, ""
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		path, after = target[:i], target[i:]
	}
	return strings.TrimSuffix(path, "/") + rest + after
}

// Climbs reports whether rest, of CutPath, has a segment that browsers or servers may read as "..": also if
// its dots, or the slashes around it, are encoded or are backslashes, or if parameters follow, as in "..;x".
func Climbs(rest string) bool {
	decoded, err := url.PathUnescape(rest)
	if err != nil {
		return true
	}
	for segment := range strings.FieldsFuncSeq(decoded, func(r rune) bool { return r == '/' || r == '\\' }) {
		if name, _, _ := strings.Cut(segment, ";"); name == ".." {
			return true
		}
	}
	return false
}

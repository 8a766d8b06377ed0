package store

import (
	"strings"
	"unicode"
)

// MaxCodeLen is the longest code, and so the longest alias, in bytes.
const MaxCodeLen = 64

// ValidCode reports whether s has the syntax of a code:
// 1 to MaxCodeLen bytes of [0-9A-Za-z_-].
func ValidCode(s string) bool {
	if s == "" || len(s) > MaxCodeLen {
		return false
	}
	for i := range len(s) {
		if !codeByte[s[i]] {
			return false
		}
	}
	return true
}

// TrailingPunctuation are the characters that a visit ignores at the end of a path, because mail
// and chat programs add them to a URL. No alias ends with one of them: its URL would lead to
// another link until an alias with this end exists.
const TrailingPunctuation = ".,;:!?'\")]}>*_…”’»"

// TrimCode removes punctuation, slashes, white space and invisible characters from the end of the
// path of a visit. If no link has the code path, the visit is for the link TrimCode(path).
func TrimCode(path string) string {
	return strings.TrimRightFunc(path, func(r rune) bool {
		return r == '/' || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(TrailingPunctuation, r)
	})
}

// codeByte reports for each byte whether it is allowed in a code.
var codeByte = func() (set [256]bool) {
	for _, c := range []byte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-") {
		set[c] = true
	}
	return set
}()

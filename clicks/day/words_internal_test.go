package day

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestWordsStay checks that words keep their positions, which stored days contain. After words were
// added at the end, the number and the sum may be changed to protect them too.
func TestWordsStay(t *testing.T) {
	t.Parallel()
	const fixed, want = 140, "9480087d15756238"
	sum := sha256.Sum256([]byte(strings.Join(words[:fixed], "\n")))
	if got := hex.EncodeToString(sum[:8]); got != want {
		t.Errorf("the first %d words have the sum %s, want %s", fixed, got, want)
	}
	for i, w := range words {
		if slices.Contains(words[:i], w) || w == "" || len(w) > MaxValueLen || !utf8.ValidString(w) {
			t.Errorf("word %q is there twice, or is no value", w)
		}
	}
}

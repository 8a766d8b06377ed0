package idgen_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/terse/terse/idgen"
)

const (
	pow9  = 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62
	pow10 = pow9 * 62
)

// newCipher returns a cipher with a key of equal bytes b.
func newCipher(tb rapid.TB, b byte) *idgen.Cipher {
	tb.Helper()
	c, err := idgen.NewCipher(bytes.Repeat([]byte{b}, idgen.KeySize))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// codeOf returns the code of id. It checks the width and that ID reverses it.
func codeOf(tb rapid.TB, c *idgen.Cipher, id idgen.ID) string {
	tb.Helper()
	code, err := c.Code(id)
	if err != nil {
		tb.Fatalf("Code(%d) = %v, want a code", id, err)
	}
	width := 9
	if id >= pow9 {
		width = 10
	}
	if len(code) != width || width == 10 && code[0] == '0' {
		tb.Fatalf("Code(%d) = %q, want %d digits", id, code, width)
	}
	if back, err := c.ID(code); back != id || err != nil {
		tb.Fatalf("ID(Code(%d)) = %d, %v, want the same id", id, back, err)
	}
	return code
}

func TestCipherGolden(t *testing.T) {
	t.Parallel()
	var file struct {
		Key     string `json:"key"`
		Vectors []struct {
			ID   idgen.ID `json:"id,string"`
			Code string   `json:"code"`
		} `json:"vectors"`
	}
	golden(t, "cipher.json", &file)
	key, err := hex.DecodeString(file.Key)
	if err != nil || len(file.Vectors) == 0 {
		t.Fatalf("key %q, %d vectors: %v", file.Key, len(file.Vectors), err)
	}
	c, err := idgen.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range file.Vectors {
		if got := codeOf(t, c, v.ID); got != v.Code {
			t.Errorf("Code(%d) = %q, want %q", v.ID, got, v.Code)
		}
	}
}

func TestNewCipherKeySize(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 16, 24, 31, 33, 64} {
		if c, err := idgen.NewCipher(make([]byte, size)); err == nil {
			t.Errorf("NewCipher(%d bytes) = %v, want an error", size, c)
		}
	}
}

func TestCodeRange(t *testing.T) {
	t.Parallel()
	c := newCipher(t, 1)
	for _, id := range []idgen.ID{-1 << 63, -1, pow10, 1<<63 - 1} {
		if got, err := c.Code(id); !errors.Is(err, idgen.ErrIDRange) {
			t.Errorf("Code(%d) = %q, %v, want %v", id, got, err, idgen.ErrIDRange)
		}
	}
}

func TestIDRefuses(t *testing.T) {
	t.Parallel()
	c := newCipher(t, 1)
	for _, code := range []string{"", "a", "12345678", "00000000001", "0zzzzzzzzz", "0000000000", "abc-efghi", "abcdefgh ", "abcdefghé"} {
		if got, err := c.ID(code); !errors.Is(err, idgen.ErrCode) {
			t.Errorf("ID(%q) = %d, %v, want %v", code, got, err, idgen.ErrCode)
		}
	}
}

func TestCipherProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newCipher(t, rapid.Byte().Draw(t, "key"))
		ids := rapid.OneOf(
			rapid.Int64Range(0, pow9-1),
			rapid.Int64Range(pow9, pow10-1),
			rapid.SampledFrom([]int64{0, 1, pow9 - 1, pow9, pow10 - 1}),
		)
		a, b := idgen.ID(ids.Draw(t, "a")), idgen.ID(ids.Draw(t, "b"))
		codeA, codeB := codeOf(t, c, a), codeOf(t, c, b)
		if (a == b) != (codeA == codeB) {
			t.Errorf("Code(%d) = %q and Code(%d) = %q, want different codes for different ids only", a, codeA, b, codeB)
		}
		if again := codeOf(t, c, a); again != codeA {
			t.Errorf("Code(%d) = %q, then %q, want the same code", a, codeA, again)
		}
	})
}

// TestCipherMillion checks a million ids, at the edges of both ranges and at random.
// No code may occur twice.
func TestCipherMillion(t *testing.T) {
	t.Parallel()
	const each = 200_000
	c := newCipher(t, 2)
	rng := rand.New(rand.NewPCG(1, 2))
	ids := make([]idgen.ID, 0, 5*each)
	for i := range idgen.ID(each) {
		ids = append(ids, i, pow9-each+i, pow9+i,
			each+idgen.ID(rng.Int64N(pow9-2*each)),
			pow9+each+idgen.ID(rng.Int64N(pow10-pow9-each)))
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	codes := make([]string, len(ids))
	for i, id := range ids {
		codes[i] = codeOf(t, c, id)
	}
	slices.Sort(codes)
	if distinct := len(slices.Compact(codes)); distinct != len(ids) {
		t.Errorf("%d ids have %d codes, want one code for each id", len(ids), distinct)
	}
}

// TestNeighboursShareNothing looks for patterns in the codes of consecutive ids: an
// order, equal digits, or digits that occur too often.
func TestNeighboursShareNothing(t *testing.T) {
	t.Parallel()
	const n = 20_000
	for _, first := range []idgen.ID{0, 1 << 50, pow9, pow10 - n} {
		c := newCipher(t, 3)
		rises, equal := 0, 0
		var last [62]int // number of codes with each last digit
		before := ""
		for i := range idgen.ID(n) {
			code := codeOf(t, c, first+i)
			if code > before {
				rises++
			}
			for j := range before {
				if before[j] == code[j] {
					equal++
				}
			}
			digit, err := idgen.DecodeBase62(code[len(code)-1:])
			if err != nil {
				t.Fatal(err)
			}
			last[digit]++
			before = code
		}
		// Each bound is more than six standard deviations from the expected value.
		if rises < n*46/100 || rises > n*54/100 {
			t.Errorf("from %d: %d of %d codes sort after the previous code, want about half", first, rises, n)
		}
		if want := n * len(before) / 62; equal > want*13/10 {
			t.Errorf("from %d: neighbours have %d equal digits, want about %d", first, equal, want)
		}
		if lo, hi := slices.Min(last[:]), slices.Max(last[:]); lo < n/62*6/10 || hi > n/62*14/10 {
			t.Errorf("from %d: last digits occur %d to %d times, want about %d", first, lo, hi, n/62)
		}
	}
}

func TestKeysAreUnrelated(t *testing.T) {
	t.Parallel()
	a, b := newCipher(t, 4), newCipher(t, 5)
	for id := range idgen.ID(1000) {
		if code := codeOf(t, a, id); code == codeOf(t, b, id) {
			t.Errorf("Code(%d) = %q with both keys, want different codes", id, code)
		}
	}
}

// FuzzCode checks that ID accepts only texts that Code returns.
func FuzzCode(f *testing.F) {
	for _, s := range []string{"000000000", "zzzzzzzzz", "1000000000", "zzzzzzzzzz", "0zzzzzzzzz", "abc", ""} {
		f.Add(s)
	}
	c := newCipher(f, 6)
	f.Fuzz(func(t *testing.T, s string) {
		id, err := c.ID(s)
		if err != nil {
			return
		}
		if got, err := c.Code(id); got != s || err != nil {
			t.Errorf("Code(ID(%q)) = %q, %v, want the same code", s, got, err)
		}
	})
}

func TestCodeAllocs(t *testing.T) {
	c := newCipher(t, 7)
	got := testing.AllocsPerRun(1000, func() { _, _ = c.Code(123456789) })
	if got > 2 {
		t.Errorf("Code() allocates %v times, want at most 2: one for the network, one for the code", got)
	}
}

func BenchmarkCode(b *testing.B) {
	c := newCipher(b, 8)
	for _, bb := range []struct {
		name  string
		first idgen.ID
	}{{"9 digits", 1 << 40}, {"10 digits", pow9}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			id := bb.first
			for b.Loop() {
				if _, err := c.Code(id); err != nil {
					b.Fatal(err)
				}
				id++
			}
		})
	}
}

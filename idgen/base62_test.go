package idgen_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/terse/terse/idgen"
)

func TestBase62Golden(t *testing.T) {
	t.Parallel()
	var file struct {
		Vectors []struct {
			Number uint64 `json:"number,string"`
			Width  int    `json:"width"`
			Text   string `json:"text"`
		} `json:"vectors"`
	}
	golden(t, "base62.json", &file)
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Vectors {
		if got, err := idgen.EncodeBase62(v.Number, v.Width); got != v.Text || err != nil {
			t.Errorf("EncodeBase62(%d, %d) = %q, %v, want %q", v.Number, v.Width, got, err, v.Text)
		}
		if got, err := idgen.DecodeBase62(v.Text); got != v.Number || err != nil {
			t.Errorf("DecodeBase62(%q) = %d, %v, want %d", v.Text, got, err, v.Number)
		}
	}
}

func TestEncodeBase62Width(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n     uint64
		width int
	}{
		{0, 0},
		{0, -1},
		{0, idgen.MaxBase62Width + 1},
		{62, 1},
		{62 * 62, 2},
		{pow9, 9},
		{pow10, 10},
		{1<<64 - 1, 10},
	} {
		if got, err := idgen.EncodeBase62(tt.n, tt.width); !errors.Is(err, idgen.ErrBase62Width) {
			t.Errorf("EncodeBase62(%d, %d) = %q, %v, want %v", tt.n, tt.width, got, err, idgen.ErrBase62Width)
		}
	}
}

func TestDecodeBase62Strict(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "00000000000", "-1", "+1", " 1", "1 ", "1\n", "1_0", "a-b", "/", ":", "@", "[", "`", "{", "1\x00", "é", "\xff", "１",
	} {
		if got, err := idgen.DecodeBase62(s); !errors.Is(err, idgen.ErrBase62Text) {
			t.Errorf("DecodeBase62(%q) = %d, %v, want %v", s, got, err, idgen.ErrBase62Text)
		}
	}
}

func TestBase62Properties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Uint64Range(0, pow10-1).Draw(t, "a")
		b := rapid.Uint64Range(0, pow10-1).Draw(t, "b")
		textA, errA := idgen.EncodeBase62(a, 10)
		textB, errB := idgen.EncodeBase62(b, 10)
		if errA != nil || errB != nil {
			t.Fatalf("EncodeBase62() = %v, %v, want nil", errA, errB)
		}
		if len(textA) != 10 || (a < b) != (textA < textB) {
			t.Errorf("%d is %q and %d is %q, want 10 digits that sort like the numbers", a, textA, b, textB)
		}
		if got, err := idgen.DecodeBase62(textA); got != a || err != nil {
			t.Errorf("DecodeBase62(%q) = %d, %v, want %d", textA, got, err, a)
		}
	})
}

// FuzzBase62 checks that DecodeBase62 accepts only texts that EncodeBase62 writes.
func FuzzBase62(f *testing.F) {
	for _, s := range []string{"", "0", "zzzzzzzzzz", "0000000000", "00000000000", "a b", "-", "Az9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := idgen.DecodeBase62(s)
		if err != nil {
			return
		}
		if got, err := idgen.EncodeBase62(n, len(s)); got != s || err != nil {
			t.Errorf("EncodeBase62(DecodeBase62(%q)) = %q, %v, want the same text", s, got, err)
		}
	})
}

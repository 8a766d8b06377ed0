package store_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

func TestPackClickDays(t *testing.T) {
	t.Parallel()
	small := []store.ClickDay{{Key: "a", Day: 0, Data: []byte{}}, {Key: "domain123/b", Day: store.MaxClickDay, Data: []byte{0, 1}}, {Key: "a", Day: 1, Data: []byte{2}}}
	large := append([]store.ClickDay{{Key: "large", Day: 7, Data: bytes.Repeat([]byte("clicks"), 1<<12)}}, small...)
	for name, days := range map[string][]store.ClickDay{"none": nil, "small": small, "large": large} {
		packed, size, err := store.PackClickDays(days)
		if err != nil {
			t.Fatalf("PackClickDays(%s) = %v, want nil", name, err)
		}
		got, err := store.UnpackClickDays(packed)
		if err != nil || !reflect.DeepEqual(got, days) {
			t.Errorf("UnpackClickDays(%s) = %v, %v, want %v", name, got, err, days)
		}
		if name == "large" && (len(packed) >= size/2 || size < len(large[0].Data)) {
			t.Errorf("PackClickDays(%s) = %d bytes for %d, want at most half", name, len(packed), size)
		}
	}
}

func TestPackClickDaysRefuses(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]store.ClickDay{
		"a row that is no link's": {Kind: store.ClickAll},
		"no key":                  {},
		"a key that is too long":  {Key: strings.Repeat("a", 65)},
		"a zero byte":             {Key: "a\x00b"},
		"no UTF-8":                {Key: "\xff"},
		"a day before 1970":       {Key: "a", Day: -1},
		"a day after 2099":        {Key: "a", Day: store.MaxClickDay + 1},
		"too much":                {Key: "a", Data: make([]byte, store.MaxClickBatch)},
	} {
		if _, _, err := store.PackClickDays([]store.ClickDay{{Key: "valid"}, d}); !errors.Is(err, store.ErrClickDay) {
			t.Errorf("PackClickDays() of %s = %v, want %v", name, err, store.ErrClickDay)
		}
	}
}

// FuzzUnpackClickDays checks that the days of any bytes can be packed again without a change.
func FuzzUnpackClickDays(f *testing.F) {
	for _, days := range [][]store.ClickDay{nil, {{Key: "a", Day: 1, Data: []byte("x")}}, {{Key: "a", Data: make([]byte, 5000)}}} {
		packed, _, err := store.PackClickDays(days)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Add([]byte{1, 5, 'a'})
	f.Add([]byte{1, 1, 'a', 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{3})
	f.Fuzz(func(t *testing.T, packed []byte) {
		days, err := store.UnpackClickDays(packed)
		if err != nil {
			return
		}
		again, _, err := store.PackClickDays(days)
		if err != nil {
			return // keys that no batch may contain
		}
		if got, err := store.UnpackClickDays(again); err != nil || !reflect.DeepEqual(got, days) {
			t.Errorf("UnpackClickDays() = %v, %v, want %v", got, err, days)
		}
	})
}

package day_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/terse/terse/clicks/day"
)

// goldenDays are the days that testdata has in packed form.
func goldenDays() map[string]*day.Day {
	one := new(day.Day)
	one.Add(day.Click{Quarter: 40, N: 1, Visitor: mix(1), Values: [day.Dimensions]string{
		day.Class: day.Person, day.Country: "DE", day.Referrer: "news.example", day.Device: "mobile",
		day.Browser: "Chrome", day.OS: "Android", day.Language: "de", day.Source: "qr", day.Rule: "ios",
	}})
	few := new(day.Day)
	for i := range 30 {
		c := day.Click{Quarter: i * 3, N: int64(1 + i%4), Visitor: mix(uint64(i)), Values: [day.Dimensions]string{
			day.Class: []string{day.Person, "crawler", ""}[i%3], day.Country: []string{"US", "", "FR"}[i/2%3], day.UTMTerm: "ü, \"quoted\"",
		}}
		few.Add(c)
	}
	many := new(day.Day)
	for i := range 40_000 {
		c := day.Click{Quarter: int(mix(uint64(i)) % day.Quarters), N: 1, Visitor: mix(uint64(i % 25_000)), Values: [day.Dimensions]string{
			day.Class: day.Person, day.Country: "US", day.Referrer: fmt.Sprintf("site%d.example", int(mix(uint64(i))>>8%1000)*i%150), day.UTMContent: "\xff",
		}}
		many.Add(c)
	}
	hours := parse(&testing.T{}, few.Append(nil))
	hours.ToHours()
	values := parse(&testing.T{}, few.Append(nil))
	values.Coarsen(day.ByQuarter, day.ByDay)
	return map[string]*day.Day{"empty": {}, "one": one, "few": few, "many": many, "hours": hours, "values-by-day": values}
}

// TestGolden checks that stored days stay readable: the packed form of known clicks is as it was
// when the format was fixed. Compressed days are compared by their content, since another version
// of the compressor may find a shorter form.
//
// With TERSE_GOLDEN=new, it writes the files of a new version of the format.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, d := range goldenDays() {
		file := filepath.Join("testdata", "day-"+name+".hex")
		packed := d.Append(nil)
		if os.Getenv("TERSE_GOLDEN") == "new" {
			if err := os.WriteFile(file, []byte(hex.EncodeToString(packed)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if stored := parse(t, want); !bytes.Equal(stored.Append(nil), packed) {
			t.Errorf("%s: the stored day has other clicks", name)
		}
		if want[0] == 1 && !bytes.Equal(packed, want) {
			t.Errorf("%s: packed as %x, want %x", name, packed, want)
		}
	}
}

// TestParseMalformed checks that each wrong part of a packed day is refused.
func TestParseMalformed(t *testing.T) {
	t.Parallel()
	bomb, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	zeros := bomb.EncodeAll(make([]byte, 1<<28), []byte{2})
	nested := bomb.EncodeAll(bomb.EncodeAll([]byte{1, 0, 0, 0, 0}, []byte{2}), []byte{2})
	for name, b := range map[string][]byte{
		"nothing":                 {},
		"version":                 {3, 0, 0, 0, 0},
		"resolution":              {1, 3, 0, 0, 0},
		"values finer than times": {1, 0x01, 0, 0, 0},
		"no end":                  {1, 0, 0, 0},
		"bytes after the end":     {1, 0, 0, 0, 0, 0},
		"97 points":               append([]byte{1, 0, 97}, make([]byte, 99)...),
		"time after the day":      {1, 0, 1, 0x80, 3, 0, 0},
		"count of zero":           {1, 0, 1, 3, 0, 0, 0, 0},
		"count too large":         {1, 0, 1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0},
		"unknown dimension":       {1, 0, 1, 0, 0x80, 0x80, 1, 1, 3, 0},
		"values without clicks":   {1, 0, 0, 1, 1, 3, 0},
		"no values":               {1, 0, 1, 0, 1, 0, 0},
		"unknown word":            {1, 0, 1, 0, 1, 1, 0xff, 0x7f, 0},
		"empty value":             {1, 0, 1, 0, 1, 1, 2, 0},
		"value past the end":      {1, 0, 1, 0, 1, 1, 2 + 2*50, 'a'},
		"value is not UTF-8":      {1, 0, 1, 0, 1, 1, 4, 0xff, 0},
		"value twice":             {1, 0, 1, 2, 0, 1, 2, 4, 'a', 4, 'a', 1, 0, 0},
		"more than the day has":   {1, 0, 1, 0, 1, 2, 4, 'a', 4, 'b', 1, 2, 0, 0},
		"nothing left for first":  {1, 0, 1, 0, 1, 2, 4, 'a', 4, 'b', 1, 0, 0},
		"value without clicks":    {1, 0, 1, 2, 0, 1, 2, 4, 'a', 4, 'b', 0, 0},
		"values out of order":     {1, 0, 1, 2, 1, 1, 3, 4, 'a', 4, 'c', 1, 0, 4, 'b', 1, 0, 0},
		"visitors cut off":        {1, 0, 0, 0, 1, 0},
		"visitors malformed":      {1, 0, 0, 0, 3, 0x80, 0x80},
		"compressed nothing":      {2},
		"compressed twice":        nested,
		"bomb":                    zeros,
	} {
		if d, err := day.Parse(b); !errors.Is(err, day.ErrFormat) {
			t.Errorf("%s: Parse = %v, %v, want ErrFormat", name, d, err)
		}
	}
}

// FuzzParse checks that arbitrary bytes are refused or are a day that adds up and that survives
// another round, and that they take little memory.
func FuzzParse(f *testing.F) {
	for _, d := range goldenDays() {
		f.Add(d.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d, err := day.Parse(b)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
			t.Fatalf("Parse of %d bytes took %d bytes", len(b), used)
		}
		if err != nil {
			if !errors.Is(err, day.ErrFormat) {
				t.Fatalf("Parse = %v, want ErrFormat", err)
			}
			return
		}
		total := d.Total()
		for dim := range day.Dimension(day.Dimensions) {
			var all day.Count
			for _, s := range d.Values(dim) {
				all = sum(all, s.Sum())
			}
			if all != total {
				t.Fatalf("%v adds up to %v, want %v", dim, all, total)
			}
		}
		packed := d.Append(nil)
		if again := parse(t, packed).Append(nil); !bytes.Equal(again, packed) {
			t.Fatalf("packed again: %x, want %x", again, packed)
		}
		var merged day.Day
		merged.Merge(d)
		if got := merged.Append(nil); !bytes.Equal(got, packed) {
			t.Fatalf("merged: %x, want %x", got, packed)
		}
	})
}

package api

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rsc.io/qr"
)

// shortURLs are texts of QR codes: a usual short URL, the longest usual one, and 2,000 bytes.
var shortURLs = map[string]string{
	"short": "https://sho.rt/k7Qx9mB2a",
	"alias": "https://links.a-long-company-name.example/" + strings.Repeat("aZ_9", 16),
	"2000":  "https://sho.rt/" + strings.Repeat("x", 1985),
}

// TestReadersReadEverySize draws QR codes at the smallest accepted sizes and others, and reads
// each with zbarimg.
func TestReadersReadEverySize(t *testing.T) {
	t.Parallel()
	zbarimg, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Fatal("zbarimg is missing: .ci/install zbarimg")
	}
	for name, text := range shortURLs {
		code, err := qr.Encode(text, qr.M)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"png", "svg"} {
			least := minSize(code, format)
			sizes := []int{least, least + 1, least + 13, 777}
			for size := max(64, least); size < 1024 && len(text) < 1000; size += 197 {
				sizes = append(sizes, size)
			}
			t.Run(name+" as "+format, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				args := []string{"--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"}
				for _, size := range sizes {
					drawn, err := draw(drawingKey{text, format, size})
					if err != nil {
						t.Fatalf("draw with %d pixels = %v", size, err)
					}
					path := filepath.Join(dir, fmt.Sprintf("%04d.%s", size, format))
					if err := os.WriteFile(path, drawn, 0o600); err != nil {
						t.Fatal(err)
					}
					args = append(args, path)
				}
				got, err := exec.CommandContext(t.Context(), zbarimg, args...).Output()
				if err != nil || string(got) != strings.Repeat(text+"\n", len(sizes)) {
					t.Errorf("zbarimg of the sizes %v = %d lines, %v, want %d", sizes, bytes.Count(got, []byte("\n")), err, len(sizes))
				}
			})
		}
	}
}

// TestPicturesAreExact checks each pixel of a PNG: it is as large as asked, its modules are
// whole, and its border is at least the quiet zone.
func TestPicturesAreExact(t *testing.T) {
	t.Parallel()
	for name, text := range shortURLs {
		code, err := qr.Encode(text, qr.M)
		if err != nil {
			t.Fatal(err)
		}
		least := minSize(code, "png")
		for _, size := range []int{least, least + 1, max(least, 500), 777, 1023, 1024} {
			drawn, err := draw(drawingKey{text, "png", size})
			if err != nil {
				t.Fatal(err)
			}
			picture, err := png.Decode(bytes.NewReader(drawn))
			if err != nil {
				t.Fatal(err)
			}
			if got := picture.Bounds().Max; got != image.Pt(size, size) {
				t.Errorf("%s: the PNG of %d pixels is %v", name, size, got)
			}
			g := newGrid(code, size)
			if g.border < quietZone*g.module || g.module*code.Size+2*g.border > size {
				t.Errorf("%s with %d pixels: border %d, module %d", name, size, g.border, g.module)
			}
			for y := range size {
				for x := range size {
					inside := x >= g.border && y >= g.border
					black := inside && code.Black((x-g.border)/g.module, (y-g.border)/g.module)
					if grey, _, _, _ := picture.At(x, y).RGBA(); (grey == 0) != black {
						t.Fatalf("%s with %d pixels: pixel %d, %d is %d, want black = %v", name, size, x, y, grey, black)
					}
				}
			}
		}
	}
}

// TestSmallSizes checks that a size with too few pixels for each module is rejected.
func TestSmallSizes(t *testing.T) {
	t.Parallel()
	for name, text := range shortURLs {
		code, err := qr.Encode(text, qr.M)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"png", "svg"} {
			size := minSize(code, format) - 1
			_, err := draw(drawingKey{text, format, size})
			if p, ok := errors.AsType[*problem](err); !ok || p.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Location != "query.size" {
				t.Errorf("%s of %s with %d pixels = %v, want 422 for query.size", format, name, size, err)
			}
		}
	}
}

// TestDrawingsAreBounded checks that the drawings in memory stay below their bound.
func TestDrawingsAreBounded(t *testing.T) {
	t.Parallel()
	var d drawings
	for i := range 3000 {
		key := drawingKey{text: fmt.Sprint(i % 2000), size: i}
		d.put(key, make([]byte, 1000))
		d.put(key, make([]byte, 2000))
		if got := d.get(key); d.bytes > maxDrawings || len(d.byKey) > maxDrawings/2000 || got != nil && len(got) != 2000 {
			t.Fatalf("%d drawings of %d bytes", len(d.byKey), d.bytes)
		}
	}
	if len(d.byKey) < maxDrawings/2000-1 {
		t.Errorf("%d drawings stay, want about %d", len(d.byKey), maxDrawings/2000)
	}
}

func BenchmarkDraw(b *testing.B) {
	for _, key := range []drawingKey{
		{shortURLs["short"], "svg", 256}, {shortURLs["short"], "png", 256}, {shortURLs["short"], "png", 1024}, {shortURLs["alias"], "png", 1024},
	} {
		b.Run(fmt.Sprintf("%d bytes as %s of %d pixels", len(key.text), key.format, key.size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := draw(key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

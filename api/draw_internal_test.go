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

	"github.com/terse/terse/store"
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
			least := minSize(code, &drawingKey{format: format, margin: quietZone})
			sizes := []int{least, least + 1, least + 13, 777}
			for size := max(64, least); size < 1024 && len(text) < 1000; size += 197 {
				sizes = append(sizes, size)
			}
			t.Run(name+" as "+format, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				args := []string{"--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"}
				for _, size := range sizes {
					drawn, err := draw(drawingKey{text, format, size, quietZone, plainInks})
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
		least := minSize(code, &drawingKey{format: "png", margin: quietZone})
		for _, size := range []int{least, least + 1, max(least, 500), 777, 1023, 1024} {
			drawn, err := draw(drawingKey{text, "png", size, quietZone, plainInks})
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
			g := newGrid(code, &drawingKey{size: size, margin: quietZone})
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

// TestInksAndMargins draws QR codes in colors, and without a border. It checks the colors of pixels, and
// reads the codes that have a border.
func TestInksAndMargins(t *testing.T) {
	t.Parallel()
	zbarimg, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Fatal("zbarimg is missing: .ci/install zbarimg")
	}
	text := shortURLs["short"]
	for _, tt := range []struct{ color, background string }{{"", ""}, {"#1A2B3c", "ffe0d0"}, {"777777", "FFFFFF"}} {
		colors, err := newInks(tt.color, tt.background)
		if err != nil {
			t.Fatalf("newInks(%q, %q) = %v, want nil", tt.color, tt.background, err)
		}
		for _, margin := range []int{0, 4, 16} {
			drawn, err := draw(drawingKey{text, "png", 500, margin, colors})
			if err != nil {
				t.Fatal(err)
			}
			picture, err := png.Decode(bytes.NewReader(drawn))
			if err != nil {
				t.Fatal(err)
			}
			code, err := qr.Encode(text, qr.M)
			if err != nil {
				t.Fatal(err)
			}
			g := newGrid(code, &drawingKey{size: 500, margin: margin})
			want := colors.background // of the first row
			if g.border == 0 {
				want = colors.color
			}
			if red, green, blue, _ := picture.At(g.border, 0).RGBA(); !bytes.Equal([]byte{byte(red >> 8), byte(green >> 8), byte(blue >> 8)}, want.rgb()) {
				t.Errorf("margin %d: the first row has another color than %s above the code", margin, want)
			}
			for at, want := range map[int]ink{g.border: colors.color, g.border + g.module: colors.background} { // the frame of a corner
				red, green, blue, _ := picture.At(at, g.border+g.module).RGBA()
				if got := []byte{byte(red >> 8), byte(green >> 8), byte(blue >> 8)}; !bytes.Equal(got, want.rgb()) {
					t.Errorf("margin %d: the pixel at %d is %x, want %s", margin, at, got, want)
				}
			}
			svg, err := draw(drawingKey{text, "svg", 500, margin, colors})
			if err != nil || !bytes.Contains(svg, []byte(`fill="`+colors.color+`"`)) || !bytes.Contains(svg, []byte(`fill="`+colors.background+`"`)) {
				t.Errorf("the SVG is %s, %v", svg, err)
			}
			if margin < quietZone {
				continue
			}
			path := filepath.Join(t.TempDir(), "code.png")
			if err := os.WriteFile(path, drawn, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := exec.CommandContext(t.Context(), zbarimg, "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", path).Output()
			if err != nil || string(got) != text+"\n" {
				t.Errorf("zbarimg of %+v with the margin %d = %q, %v", colors, margin, got, err)
			}
		}
	}
	for _, tt := range []struct{ color, background string }{{"red", ""}, {"", "12345"}, {"#12345g", ""}, {"ffffff", "000000"}, {"aaaaaa", ""}, {"", "000000"}, {"##12345", ""}} {
		if _, err := newInks(tt.color, tt.background); !store.IsInvalid(err) {
			t.Errorf("newInks(%q, %q) = %v, want a FieldError", tt.color, tt.background, err)
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
			size := minSize(code, &drawingKey{format: format, margin: quietZone}) - 1
			_, err := draw(drawingKey{text, format, size, quietZone, plainInks})
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
		{shortURLs["short"], "svg", 256, quietZone, plainInks},
		{shortURLs["short"], "png", 256, quietZone, plainInks},
		{shortURLs["short"], "png", 1024, quietZone, plainInks},
		{shortURLs["alias"], "png", 1024, quietZone, plainInks},
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

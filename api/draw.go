package api

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"sync"

	"rsc.io/qr"
)

// quietZone is the blank border of a QR code in modules (ISO/IEC 18004 section 5.3.8). Readers may fail
// with less.
const quietZone = 4

// minModule returns the smallest width of a module in pixels. Readers fail below it. Programs
// that turn an SVG into pixels blur the edges of its modules.
func minModule(format string) int {
	if format == "png" {
		return 2
	}
	return 3
}

// grid is a QR code on a square of pixels. Every module has the same whole number of pixels.
// The blank border has at least the modules of the margin.
type grid struct {
	code   *qr.Code
	size   int // width and height of the square in pixels
	module int // width and height of a module in pixels
	border int // pixels to the left of the code and above it
	inks   inks
}

// newGrid returns the grid of a drawing, whose size must be at least minSize.
func newGrid(code *qr.Code, key *drawingKey) grid {
	module := key.size / (code.Size + 2*key.margin)
	return grid{code: code, size: key.size, module: module, border: (key.size - module*code.Size) / 2, inks: key.inks}
}

// minSize returns the smallest width and height of a code in pixels.
func minSize(code *qr.Code, key *drawingKey) int {
	return minModule(key.format) * (code.Size + 2*key.margin)
}

// svg draws each row of black modules as a few rectangles of one path. It says that there is no
// stroke, which is the default: the renderer of ImageMagick draws one otherwise.
func (g grid) svg(title string) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" shape-rendering="crispEdges"><title>`,
		g.size, g.size, g.size, g.size)
	if err := xml.EscapeText(&b, []byte(title)); err != nil {
		return nil, fmt.Errorf("draw QR: %w", err)
	}
	fmt.Fprintf(&b, `</title><path fill="%s" stroke="none" d="M0 0h%dv%dH0z"/><path fill="%s" stroke="none" transform="translate(%d %d) scale(%d)" d="`,
		g.inks.background, g.size, g.size, g.inks.color, g.border, g.border, g.module)
	path := b.AvailableBuffer()
	for y := range g.code.Size {
		for x := 0; x < g.code.Size; x++ {
			start := x
			for g.code.Black(x, y) {
				x++
			}
			if x == start {
				continue
			}
			path = strconv.AppendInt(append(path, 'M'), int64(start), 10)
			path = strconv.AppendInt(append(path, ' '), int64(y), 10)
			path = strconv.AppendInt(append(path, 'h'), int64(x-start), 10)
			path = strconv.AppendInt(append(path, "v1h-"...), int64(x-start), 10)
			path = append(path, 'z')
		}
	}
	b.Write(path)
	b.WriteString(`"/></svg>`)
	return b.Bytes(), nil
}

// Filters of a row of a PNG (section 9.2 of its specification).
const (
	filterNone = 0
	filterUp   = 2 // the difference from the row above
)

// compressors are idle *zlib.Writer. A new one allocates more than a megabyte.
var compressors = sync.Pool{New: func() any {
	z, err := zlib.NewWriterLevel(nil, zlib.BestSpeed)
	if err != nil {
		panic(err) // the level is invalid
	}
	return z
}}

// png draws a picture with one bit for each pixel (https://www.w3.org/TR/png/). It draws the
// first row of each module. The other rows of the module repeat it, which takes nearly no time
// to compress.
func (g grid) png() ([]byte, error) {
	row := make([]byte, 1+(g.size+7)/8) // the filter, then the pixels; 1 is the background
	same := make([]byte, len(row))
	same[0] = filterUp
	var data bytes.Buffer
	z := compressors.Get().(*zlib.Writer)
	defer compressors.Put(z)
	z.Reset(&data)
	for y := 0; y < g.size; y++ {
		line := same
		if from := y - g.border; y == 0 || from >= 0 && from <= g.module*g.code.Size && from%g.module == 0 {
			module := -1 // the border
			if from >= 0 {
				module = from / g.module
			}
			g.draw(row, module)
			line = row
		}
		if _, err := z.Write(line); err != nil {
			return nil, fmt.Errorf("draw QR: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("draw QR: %w", err)
	}
	header := binary.BigEndian.AppendUint32(nil, uint32(g.size))   //nolint:gosec // at most a few thousand
	header = binary.BigEndian.AppendUint32(header, uint32(g.size)) //nolint:gosec // as above
	header = append(header, 1, 3, 0, 0, 0)                         // one bit for a palette, the only compression, filters and order
	var b bytes.Buffer
	b.WriteString("\x89PNG\r\n\x1a\n")
	writeChunk(&b, "IHDR", header)
	writeChunk(&b, "PLTE", append(g.inks.color.rgb(), g.inks.background.rgb()...))
	writeChunk(&b, "IDAT", data.Bytes())
	writeChunk(&b, "IEND", nil)
	return b.Bytes(), nil
}

// draw draws the modules of a row of the code into a row of pixels. Rows outside of the code
// have the color of the background.
func (g grid) draw(row []byte, y int) {
	row[0] = filterNone
	pixels := row[1:]
	for i := range pixels {
		pixels[i] = 0xff
	}
	for x := range g.code.Size {
		if !g.code.Black(x, y) {
			continue
		}
		for p := g.border + x*g.module; p < g.border+(x+1)*g.module; p++ {
			pixels[p/8] &^= 0x80 >> (p % 8)
		}
	}
}

// writeChunk writes a chunk of a PNG: its length, its name, its data and their checksum.
func writeChunk(b *bytes.Buffer, name string, data []byte) {
	length := binary.BigEndian.AppendUint32(nil, uint32(len(data))) //nolint:gosec // far below 4 GiB
	b.Write(length)
	sum := crc32.NewIEEE()
	_, _ = io.WriteString(io.MultiWriter(b, sum), name) // neither fails
	_, _ = io.MultiWriter(b, sum).Write(data)
	b.Write(sum.Sum(nil))
}

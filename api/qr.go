package api

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"strings"

	"rsc.io/qr"

	"github.com/terse/terse/store"
)

// quietZone is the blank border of a QR code in modules (ISO/IEC 18004 section 5.3.8).
const quietZone = 4

type qrInput struct {
	CodeParam
	Format string `query:"format" enum:"svg,png" default:"svg"`
	Size   int    `query:"size" minimum:"64" maximum:"1024" default:"256" doc:"Width and height in pixels. A PNG uses whole pixels for each module, so it may be a little smaller."`
}

type qrOutput struct {
	ContentType  string `header:"Content-Type"`
	CacheControl string `header:"Cache-Control"`
	Disposition  string `header:"Content-Disposition"`
	SurrogateKey string `header:"Surrogate-Key"` // a takedown purges the answer from a CDN
	CacheTag     string `header:"Cache-Tag"`
	Body         []byte
}

// qrCode draws the short URL of a link as a QR code. It needs no key: anyone who knows the
// code can draw it with another program.
func (a *API) qrCode(ctx context.Context, in *qrInput) (*qrOutput, error) {
	if !store.ValidCode(in.Code) {
		return nil, a.problem(ctx, store.ErrNotFound)
	}
	who := callerOf(ctx)
	l, known, err := a.opts.Visits.Peek(in.Code)
	if !known {
		l, err = a.ask(ctx, who.addr, in.Code)
	}
	var state store.State
	if err == nil {
		state, _, err = a.state(&l)
	}
	hidden := err == nil && state == store.NotStarted && !who.Sees(&l)
	if hidden || errors.Is(err, store.ErrNotFound) {
		return nil, a.unknownCode(ctx, who.addr)
	}
	switch {
	case err == nil && state == store.Deleted:
		err = store.ErrGone
	case err == nil && state == store.Disabled:
		err = newProblem(http.StatusUnavailableForLegalReasons, "This link was disabled.")
	}
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	code, err := qr.Encode(a.shortURL(in.Code), qr.M)
	if err != nil {
		return nil, a.problem(ctx, fmt.Errorf("encode QR of %q: %w", in.Code, err))
	}
	select {
	case a.drawing <- struct{}{}:
		defer func() { <-a.drawing }()
	case <-ctx.Done():
		return nil, a.problem(ctx, ctx.Err())
	}
	out := &qrOutput{
		ContentType:  "image/svg+xml",
		CacheControl: "public, max-age=86400",
		Disposition:  fmt.Sprintf(`inline; filename="%s.%s"`, in.Code, in.Format),
		SurrogateKey: linkTag(in.Code), CacheTag: linkTag(in.Code),
	}
	if who.Key != nil {
		out.CacheControl = "private, max-age=86400"
	}
	if in.Format == "png" {
		out.ContentType = "image/png"
		out.Body, err = qrPNG(code, in.Size)
	} else {
		out.Body, err = qrSVG(code, in.Size, a.shortURL(in.Code))
	}
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return out, nil
}

// qrSVG draws the QR code as one path of unit squares.
func qrSVG(code *qr.Code, size int, title string) ([]byte, error) {
	side := code.Size + 2*quietZone
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" shape-rendering="crispEdges"><title>`,
		size, size, side, side)
	if err := xml.EscapeText(&b, []byte(title)); err != nil {
		return nil, fmt.Errorf("draw QR: %w", err)
	}
	fmt.Fprintf(&b, `</title><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="`, side, side)
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+quietZone, y+quietZone)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.Bytes(), nil
}

// qrPNG draws the QR code in black and white, with whole pixels for each module.
func qrPNG(code *qr.Code, size int) ([]byte, error) {
	modules := code.Size + 2*quietZone
	scale := max(1, size/modules)
	side := modules * scale
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if code.Black(x/scale-quietZone, y/scale-quietZone) {
				img.SetColorIndex(x, y, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("draw QR: %w", err)
	}
	return b.Bytes(), nil
}

// qrPath returns the path of a link's QR code.
func qrPath(code string) string { return strings.Replace(linkPath, "{code}", code, 1) + "/qr" }

package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"rsc.io/qr"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/store"
)

// drawLimit bounds the QR codes that are drawn for one client or API key. Drawings that are
// still in memory are not counted.
var drawLimit = ratelimit.Limit{Count: 200, Window: 10 * time.Second}

type qrInput struct {
	CodeParam
	Format string `query:"format" enum:"svg,png" default:"svg" doc:"The format of the picture."`
	Size   int    `query:"size" minimum:"64" maximum:"1024" default:"256" doc:"Width and height in pixels. Every module has the same whole number of pixels, at least 2 in a PNG and 3 in an SVG. The rest is a blank border. The answer is 422 if the code does not fit."`
	Margin int    `query:"margin" minimum:"0" maximum:"16" default:"4" doc:"Width of the blank border in modules. Readers may fail with less than 4, unless the code stands on a surface with the color of the background."`
	Scans  bool   `query:"scans" doc:"Whether statistics count scans of the code separately, as the source qr. The code then has the short URL with the query ?qr=1. The server never forwards this parameter to the target."`

	Color      string `query:"color" maxLength:"7" doc:"The color of the modules: six hexadecimal digits. The default is black." example:"1a2b3c"`
	Background string `query:"background" maxLength:"7" doc:"The color of the background: six hexadecimal digits. The default is white. The answer is 422 if the contrast with color is less than 3 to 1."`
}

type qrOutput struct {
	ContentType  string `header:"Content-Type" doc:"The format of the picture."`
	CacheControl string `header:"Cache-Control" doc:"How long caches may keep the picture."`
	Disposition  string `header:"Content-Disposition" doc:"A name for the file."`
	SurrogateKey string `header:"Surrogate-Key" doc:"A name of the link, for purges of a CDN."` // a takedown purges the answer from a CDN
	CacheTag     string `header:"Cache-Tag" doc:"A name of the link, for purges of a CDN."`
	Body         []byte
}

// qrCode draws the short URL of a link as a QR code. It needs no key: anyone who knows the
// code can draw it with another program.
func (a *API) qrCode(ctx context.Context, in *qrInput) (*qrOutput, error) {
	who := callerOf(ctx)
	colors, err := newInks(in.Color, in.Background)
	if err != nil {
		return nil, a.problem(ctx, ofQuery(err))
	}
	key, err := a.opts.Links.Key(&who.Caller, in.Domain, in.Code)
	if err == nil && key == "" {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, a.problem(ctx, ofQuery(err))
	}
	l, known, err := a.opts.Visits.Peek(key)
	if !known {
		l, err = a.ask(ctx, who.addr, key)
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
	out := &qrOutput{
		ContentType:  "image/svg+xml",
		CacheControl: "public, max-age=86400",
		Disposition:  fmt.Sprintf(`inline; filename="%s.%s"`, in.Code, in.Format),
	}
	out.SurrogateKey, out.CacheTag = linkTags(key)
	if who.Key != nil {
		out.CacheControl = "private, max-age=86400"
	}
	if in.Format == "png" {
		out.ContentType = "image/png"
	}
	text := a.shortURL(key)
	if in.Scans {
		text += "?" + visit.QRQuery
	}
	if out.Body, err = a.drawing(ctx, who, drawingKey{text, in.Format, in.Size, in.Margin, colors}); err != nil {
		return nil, a.problem(ctx, err)
	}
	return out, nil
}

// drawing returns a QR code from memory, or draws it. It returns a 429 if the caller's limit is
// reached.
func (a *API) drawing(ctx context.Context, who *caller, key drawingKey) ([]byte, error) {
	if drawn := a.drawings.get(key); drawn != nil {
		return drawn, nil
	}
	if taken := a.takeCaller(ctx, "draw", who, drawLimit, 1); taken.Allowed == 0 {
		return nil, tooMany("You requested too many QR codes in a short time.", taken, rateHeaders("draw", drawLimit, taken))
	}
	select {
	case a.drawers <- struct{}{}:
		defer func() { <-a.drawers }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	drawn, err := draw(key)
	if err == nil {
		a.drawings.put(key, drawn)
	}
	return drawn, err
}

// drawingKey says what to draw.
type drawingKey struct {
	text   string
	format string // svg or png
	size   int    // in pixels
	margin int    // in modules
	inks   inks
}

// draw draws a QR code. It returns a 422 if a reader could not read the size.
func draw(key drawingKey) ([]byte, error) {
	code, err := qr.Encode(key.text, qr.M)
	if err != nil {
		return nil, fmt.Errorf("encode QR of %q: %w", key.text, err)
	}
	if least := minSize(code, &key); key.size < least {
		p := newProblem(http.StatusUnprocessableEntity, "A parameter is invalid. See errors.")
		p.Errors = []*huma.ErrorDetail{{Location: "query.size", Message: fmt.Sprintf("must be at least %d for a readable %s of this short URL", least, strings.ToUpper(key.format))}}
		return nil, p
	}
	if key.format == "png" {
		return newGrid(code, &key).png()
	}
	return newGrid(code, &key).svg(key.text)
}

// maxDrawings is the most bytes of drawings in memory: several hundred QR codes.
const maxDrawings = 1 << 20

// drawings are QR codes in memory. The zero value is empty and ready. Safe for concurrent use.
type drawings struct {
	mu    sync.Mutex
	byKey map[drawingKey][]byte
	bytes int
}

// get returns a drawing, or nil. Callers must not change it.
func (d *drawings) get(key drawingKey) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byKey[key]
}

// put keeps a drawing, and removes others if there is no room.
func (d *drawings) put(key drawingKey, drawn []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byKey == nil {
		d.byKey = map[drawingKey][]byte{}
	}
	d.bytes += len(drawn) - len(d.byKey[key])
	d.byKey[key] = drawn
	for other, removed := range d.byKey { // in random order
		if d.bytes <= maxDrawings {
			return
		}
		delete(d.byKey, other)
		d.bytes -= len(removed)
	}
}

// qrPath returns the path of a link's QR code.
func qrPath(code string) string { return strings.Replace(linkPath, "{code}", code, 1) + "/qr" }

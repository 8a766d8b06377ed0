// Package country finds the country of a client: from the header of a trusted proxy, from a file
// in the MaxMind DB format, and from a table in the binary (github.com/phuslu/iploc). It downloads
// nothing.
package country

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
	"github.com/phuslu/iploc"
	"github.com/prometheus/client_golang/prometheus"
)

// checkEvery is the time between two checks of the file.
const checkEvery = 10 * time.Second

// Options configure a Finder.
type Options struct {
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	File       string        // path of a file in the MaxMind DB format; default: no file
	CheckEvery time.Duration // time between two checks of the file; default 10 s
}

func (o *Options) validate() error {
	var errs []error
	if o.Registerer == nil {
		errs = append(errs, errors.New("country: Options.Registerer is required"))
	}
	if o.Logger == nil {
		errs = append(errs, errors.New("country: Options.Logger is required"))
	}
	if o.CheckEvery < 0 {
		errs = append(errs, errors.New("country: Options.CheckEvery must be positive"))
	}
	return errors.Join(errs...)
}

// Finder finds the country of addresses. Safe for concurrent use.
type Finder struct {
	opts    Options
	db      atomic.Pointer[maxminddb.Reader] // nil without a file
	metrics *metrics

	// Only Run uses these.
	seen    os.FileInfo // the last file that was read, with or without success; nil: the file must be read again
	bad     error       // the error of the last read
	failing bool        // whether the latest check failed
}

// New reads the file, if there is one. Its error joins every problem of opts.
func New(opts Options) (*Finder, error) {
	if opts.CheckEvery == 0 {
		opts.CheckEvery = checkEvery
	}
	if err := opts.validate(); err != nil {
		return nil, err
	}
	f := &Finder{opts: opts}
	if opts.File == "" {
		return f, nil
	}
	var err error
	if f.metrics, err = newMetrics(opts.Registerer); err != nil {
		return nil, err
	}
	return f, f.refresh()
}

// Of returns the country of an address as an ISO 3166-1 code of two capital letters, or an empty
// text if it is unknown. Addresses that the file does not know are looked up in the table.
func (f *Finder) Of(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if !isPublic(addr) {
		return ""
	}
	if db := f.db.Load(); db != nil {
		if code := lookUp(db, addr); code != "" {
			return code
		}
	}
	return valid(iploc.IPCountry(addr))
}

// Header returns the country in a header of a proxy, as Of does. Codes that stand for an unknown
// country, such as XX and T1 of Cloudflare, give an empty text.
func Header(value string) string { return valid(value) }

// valid returns code in capital letters if it may be the code of a country. XX, ZZ and AA are
// reserved for private use, and stand for an unknown country.
func valid(code string) string {
	if len(code) != 2 || !isLetter(code[0]) || !isLetter(code[1]) {
		return ""
	}
	code = strings.ToUpper(code)
	if code == "XX" || code == "ZZ" || code == "AA" {
		return ""
	}
	return code
}

func isLetter(b byte) bool { return 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z' }

// isPublic reports whether an address may belong to a client in the Internet. The table has only
// such addresses.
func isPublic(addr netip.Addr) bool {
	if addr.Is4() {
		return addr.IsGlobalUnicast() && !addr.IsPrivate() && addr.As4()[0] != 0
	}
	return addr.Is6() && addr.As16()[0]>>5 == 1 // 2000::/3
}

// Run reads the file again whenever it changes, until ctx ends. After an error, Of uses the old
// content.
func (f *Finder) Run(ctx context.Context) {
	if f.opts.File == "" {
		return
	}
	tick := time.NewTicker(f.opts.CheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.note(ctx, f.refresh())
		}
	}
}

// note logs when reading begins to fail and when it succeeds again.
func (f *Finder) note(ctx context.Context, err error) {
	switch {
	case err != nil && !f.failing:
		f.opts.Logger.ErrorContext(ctx, "file of countries cannot be read, the old content stays in use", "err", err)
	case err == nil && f.failing:
		f.opts.Logger.InfoContext(ctx, "file of countries is read again")
	}
	f.failing = err != nil
	if err != nil {
		f.metrics.failures.Inc()
	}
}

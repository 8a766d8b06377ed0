// Package logs counts the clicks in access logs of caches and proxies. It reads the lines of several
// formats, turns each redirect to a link into a click, and adds the clicks of a log to the database
// once, even if the log is read several times.
package logs

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/useragent"
)

// Answer is who answered a request.
type Answer uint8

// The values of Answer.
const (
	Unknown   Answer = iota // the log does not show it
	Cache                   // a cache: the origin has not seen the request
	Origin                  // the origin, for this request
	Proxy                   // the proxy by a rule of its own, such as a redirect to HTTPS
	Elsewhere               // another line of the logs has the same request
)

// Entry is one line of a log.
type Entry struct {
	At     time.Time
	Method string // empty: the request is malformed
	Host   string // empty: the log does not have it
	URI    string // as the client has sent it
	Status int
	Answer Answer
	HasID  bool // the line has the id of its request, so no other request has an equal line

	Private bool          // the client asked not to be tracked
	Visit   visit.Request // without Head, QR, Query and TargetQuery
}

// ErrFormat is returned for a line that is not in the format of the log.
var ErrFormat = errors.New("the line is not in this format")

// Format is the format of a log.
type Format struct {
	name  string
	parse func(line []byte) (Entry, error)
}

var formats = []Format{
	{"combined", parseCombined},
	{"nginx", fieldsParser(nginxAnswer)},
	{"varnish", fieldsParser(varnishAnswer)},
	{"fastly", fieldsParser(fastlyAnswer)},
	{"cloudflare", parseLogpush},
}

// FormatNames returns the names of all formats.
func FormatNames() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.name
	}
	return names
}

// ParseFormat returns the format with a name.
func ParseFormat(name string) (Format, error) {
	for _, f := range formats {
		if f.name == name {
			return f, nil
		}
	}
	return Format{}, fmt.Errorf("%.50q must be one of %s", name, strings.Join(FormatNames(), ", "))
}

// Parse reads a line without its line break. It returns an error that wraps ErrFormat if the line is
// not in the format. The Entry keeps no reference to the line.
func (f Format) Parse(line []byte) (Entry, error) {
	e, err := f.parse(line)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return e, nil
}

// The times that a log may have. Other times are malformed.
var (
	earliest = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2099, time.December, 31, 0, 0, 0, 0, time.UTC)
)

var errTime = errors.New("the time is invalid")

// parseTime reads a time of RFC 3339, or a number of seconds, milliseconds, microseconds or
// nanoseconds since 1970. It derives the unit from the size of the number.
func parseTime(s string) (time.Time, error) {
	if strings.IndexByte(s, 'T') >= 0 {
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return time.Time{}, errTime
		}
		return validTime(at)
	}
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, errTime
	}
	part := 0.0
	if fraction != "" {
		if part, err = strconv.ParseFloat("0."+fraction, 64); err != nil {
			return time.Time{}, errTime
		}
	}
	unit := time.Nanosecond
	switch {
	case n < 1e11:
		unit = time.Second
	case n < 1e14:
		unit = time.Millisecond
	case n < 1e17:
		unit = time.Microsecond
	}
	perSecond := int64(time.Second / unit)
	nanos := n%perSecond*int64(unit) + int64(math.Round(part*float64(unit)))
	return validTime(time.Unix(n/perSecond, nanos))
}

func validTime(at time.Time) (time.Time, error) {
	if at.Before(earliest) || at.After(latest) {
		return time.Time{}, errTime
	}
	return at.UTC(), nil
}

// parseStatus reads the status of an answer.
func parseStatus(s string) (int, error) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n <= 999 {
		return n, nil
	}
	return 0, errors.New("the status is not a number")
}

// parseAddr returns the zero Addr for other text, such as the name of a host.
func parseAddr(s string) netip.Addr {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

// isPrefetch reports whether the header Sec-Purpose says that the page is loaded in advance.
func isPrefetch(purpose string) bool {
	return purpose != "" && useragent.Prefetched(http.Header{"Sec-Purpose": {purpose}})
}

// isPrivate reports whether the headers Sec-GPC and DNT ask not to be tracked.
func isPrivate(gpc, dnt string) bool { return gpc == "1" || dnt == "1" }

// known returns s, or an empty text for "-", which stands for no value.
func known(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

package day

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// ErrFormat is returned for bytes that are not a packed day.
var ErrFormat = errors.New("malformed clicks")

// maxPlain is the largest plain form of a day. The format allows no larger one.
const maxPlain = 2 << 20

var decoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxPlain), zstd.WithDecoderMaxWindow(maxPlain))

// Parse returns the day with the packed form b. For other bytes it returns an error that wraps
// ErrFormat. It needs at most a few megabytes of memory. The Day keeps no reference to b.
func Parse(b []byte) (*Day, error) {
	if len(b) > 0 && b[0] == versionCompressed {
		plain, err := decoder.DecodeAll(b[1:], nil)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		b = plain
	}
	d, err := parsePlain(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return d, nil
}

func parsePlain(b []byte) (*Day, error) {
	if len(b) < 2 || len(b) > maxPlain || b[0] != versionPlain {
		return nil, errors.New("unknown version")
	}
	d := &Day{byTime: Resolution(b[1] & 15), byValue: Resolution(b[1] >> 4)}
	if d.byTime > d.byValue || d.byValue >= resolutions {
		return nil, errors.New("unknown resolution")
	}
	r := &reader{b: b, at: 2}
	r.text = string(b)
	step := d.byTime.Quarters()
	times := make([]uint8, 0, Quarters)
	for q := 0; q < Quarters; q += step {
		times = append(times, uint8(q))
	}
	d.total = r.points(times)

	all := d.valueTimes()
	times = times[:0]
	for _, p := range all {
		times = append(times, p.Quarter)
	}
	set := r.number()
	if set >= 1<<Dimensions || set != 0 && len(all) == 0 {
		r.fail("unknown dimension")
	}
	d.unknown = new([Dimensions]Series)
	for dim := Dimension(0); dim < Dimensions && r.err == nil; dim++ {
		if set&(1<<dim) == 0 {
			d.unknown[dim] = all
			continue
		}
		r.dimension(d, dim, all, times)
	}
	if r.err != nil {
		return nil, r.err
	}
	rest, err := d.visitors.read(b[r.at:])
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, errors.New("bytes after the end")
	}
	return d, nil
}

// reader reads the plain form. After an error, it returns zeros.
type reader struct {
	b    []byte
	text string // the same bytes; values are parts of it
	at   int
	err  error

	room Series // series are parts of it
}

func (r *reader) fail(problem string) {
	if r.err == nil {
		r.err = errors.New(problem)
	}
}

func (r *reader) number() uint64 {
	if r.err != nil {
		return 0
	}
	if r.at < len(r.b) && r.b[r.at] < 0x80 {
		r.at++
		return uint64(r.b[r.at-1])
	}
	n, size := binary.Uvarint(r.b[r.at:])
	if size <= 0 {
		r.fail("malformed number")
		return 0
	}
	r.at += size
	return n
}

// points reads a series. Its positions are positions in times.
func (r *reader) points(times []uint8) Series {
	n := r.number()
	if n > uint64(len(times)) {
		r.fail("too many points")
		return nil
	}
	s := r.series(int(n)) //nolint:gosec // at most 96
	at := uint64(0)
	for range n {
		head := r.number()
		at += head >> 2
		if at >= uint64(len(times)) {
			r.fail("time after the end of the day")
			return nil
		}
		var people, robots uint64
		switch head & 3 {
		case onePerson:
			people = 1
		case oneRobot:
			robots = 1
		case onlyPeople:
			people = min(r.number(), maxCount) + 2
		case both:
			people, robots = r.number(), r.number()
		}
		if people > maxCount || robots > maxCount || people+robots == 0 {
			r.fail("impossible count")
			return nil
		}
		s = append(s, Point{Count{int64(people), int64(robots)}, times[at]})
		at++
	}
	return s
}

// series returns an empty series with room for n points.
func (r *reader) series(n int) Series {
	if cap(r.room)-len(r.room) < n {
		r.room = make(Series, 0, max(n, min(1024, len(r.b)-r.at)))
	}
	end := len(r.room) + n
	s := r.room[len(r.room):len(r.room):end]
	r.room = r.room[:end]
	return s
}

// dimension reads the entries of a dimension. all are the clicks of the day, at times.
func (r *reader) dimension(d *Day, dim Dimension, all Series, times []uint8) {
	n := r.number()
	if n == 0 || n > MaxValues+2 {
		r.fail("impossible number of values")
		return
	}
	d.values[dim] = make([]value, 0, min(int(n), len(r.b)-r.at))
	left := append(r.series(len(all)), all...)
	first := r.name()
	before := ""
	for i := range n - 1 {
		name := r.name()
		if name == first || i > 0 && compareEntries(before, name) >= 0 {
			r.fail("values out of order")
		}
		before = name
		s := r.points(times)
		if len(s) == 0 || !take(left, s) {
			r.fail("values do not add up")
		}
		if r.err != nil {
			return
		}
		d.put(dim, value{name, s})
	}
	left = slices.DeleteFunc(left, func(p Point) bool { return p.Count == Count{} })
	if len(left) == 0 {
		r.fail("values do not add up")
	}
	d.put(dim, value{first, left})
	if len(d.values[dim]) > MaxValues {
		r.fail("impossible number of values")
	}
}

// put adds an entry.
func (d *Day) put(dim Dimension, v value) {
	switch v.name {
	case "":
		d.unknown[dim] = v.series
	case Other:
		d.more(dim).other = v.series
	default:
		d.values[dim] = append(d.values[dim], v)
		d.size += valueSize + len(v.name)
	}
}

// take subtracts s from left, and reports whether no number became negative.
func take(left, s Series) bool {
	i := 0
	for _, p := range s {
		for left[i].Quarter != p.Quarter {
			i++
		}
		left[i].subtract(p.Count)
		if left[i].People < 0 || left[i].Robots < 0 {
			return false
		}
	}
	return true
}

// name reads the head of an entry.
func (r *reader) name() string {
	head := r.number()
	switch head {
	case entryUnknown:
		return ""
	case entryOther:
		return Other
	}
	head -= entryValue
	if head&1 == 1 {
		if head>>1 >= uint64(len(words)) {
			r.fail("unknown word")
			return ""
		}
		return words[head>>1]
	}
	n := head >> 1
	if n == 0 || n > MaxValueLen || n > uint64(len(r.b)-r.at) { //nolint:gosec // positive
		r.fail("impossible length")
		return ""
	}
	s := r.text[r.at : r.at+int(n)]
	r.at += int(n)
	if !utf8.ValidString(s) {
		r.fail("value is not UTF-8")
	}
	return s
}

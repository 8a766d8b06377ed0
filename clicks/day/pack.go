package day

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// The packed format. All numbers are unsigned varints, except the first bytes.
//
//	plain        version 1
//	             byTime + 16 * byValue
//	             the points of the day
//	             a set of dimensions, bit 1 << number: the dimensions with a known value
//	             for each of these, by number: how many entries, and the entries
//	             visitors, see visitors.append
//	compressed   version 2, and then the plain form as one frame of zstd
//
//	points       how many, and for each: the number of times without a point since the previous
//	             point, times 4, plus a kind: 0 one person; 1 one robot; 2 people, the number minus 2 follows;
//	             3 the numbers of people and robots follow
//	entry        0 unknown; 1 Other; else 2 + n: n is 2 * position in words + 1, or 2 * length of a
//	             value, which follows. Then the points of the entry, which count only the times at
//	             which the day has clicks.
//
// The first entry of a dimension is stored without points: its clicks are the clicks of the day minus
// the clicks of the other entries. It is the entry with the most points. The others are sorted: unknown, Other, values.
const (
	versionPlain      = 1
	versionCompressed = 2

	compressFrom = 1000 // bytes of the plain form
)

const (
	onePerson = iota
	oneRobot
	onlyPeople
	both
)

const (
	entryUnknown = iota
	entryOther
	entryValue
)

// maxCount is the most clicks of one point.
const maxCount = 1 << 40

var encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderCRC(false))

// Append appends the packed form of d. The smallest values beyond MaxValues of each dimension become
// Other, in d too.
func (d *Day) Append(to []byte) []byte {
	start := len(to)
	to = d.appendPlain(to)
	if len(to)-start < compressFrom {
		return to
	}
	packed := encoder.EncodeAll(to[start:], []byte{versionCompressed})
	if len(packed) >= len(to)-start {
		return to
	}
	return append(to[:start], packed...)
}

func (d *Day) appendPlain(to []byte) []byte {
	to = append(to, versionPlain, byte(d.byTime)|byte(d.byValue)<<4)
	var times [Quarters]uint8 // position of each time of byTime
	for i := range times {
		times[i] = uint8(i / d.byTime.Quarters()) //nolint:gosec // below 96
	}
	to = appendPoints(to, d.total, &times)

	entries := make([][]value, 0, Dimensions)
	var set uint64
	for dim := range Dimension(Dimensions) {
		d.prune(dim)
		if len(d.values[dim]) > 0 || len(d.other(dim)) > 0 {
			set |= 1 << dim
			entries = append(entries, d.entries(dim))
		}
	}
	to = binary.AppendUvarint(to, set)
	var n uint8
	for _, p := range d.valueTimes() {
		times[p.Quarter] = n
		n++
	}
	for _, list := range entries {
		to = binary.AppendUvarint(to, uint64(len(list)))
		for i, e := range list {
			to = appendName(to, e.name)
			if i > 0 {
				to = appendPoints(to, e.series, &times)
			}
		}
	}
	return d.visitors.append(to)
}

// valueTimes returns the clicks of the day at the resolution of values.
func (d *Day) valueTimes() Series {
	times := make(Series, 0, len(d.total))
	for _, p := range d.total {
		times.add(d.byValue.Start(p.Quarter), p.Count)
	}
	return times
}

// entries returns the entries of a dimension in the order of the packed format.
func (d *Day) entries(dim Dimension) []value {
	list := make([]value, 0, len(d.values[dim])+2)
	for name, s := range d.Values(dim) {
		list = append(list, value{name, s})
	}
	slices.SortFunc(list, func(a, b value) int { return compareEntries(a.name, b.name) })
	first := 0
	for i := range list {
		if len(list[i].series) > len(list[first].series) {
			first = i
		}
	}
	largest := list[first]
	return slices.Insert(slices.Delete(list, first, first+1), 0, largest)
}

// compareEntries orders the names of entries: unknown, Other, values.
func compareEntries(a, b string) int {
	rank := func(name string) int {
		switch name {
		case "":
			return entryUnknown
		case Other:
			return entryOther
		}
		return entryValue
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
}

func appendName(to []byte, name string) []byte {
	switch name {
	case "":
		return append(to, entryUnknown)
	case Other:
		return append(to, entryOther)
	}
	if i, ok := wordPositions[name]; ok {
		return binary.AppendUvarint(to, uint64(entryValue+2*i+1)) //nolint:gosec // positive
	}
	to = binary.AppendUvarint(to, uint64(entryValue+2*len(name)))
	return append(to, name...)
}

func appendPoints(to []byte, s Series, times *[Quarters]uint8) []byte {
	to = binary.AppendUvarint(to, uint64(len(s)))
	next := uint8(0)
	for _, p := range s {
		skipped := uint64(times[p.Quarter]-next) << 2
		next = times[p.Quarter] + 1
		people, robots := uint64(p.People), uint64(p.Robots) //nolint:gosec // never negative
		switch {
		case robots == 0 && people == 1:
			to = binary.AppendUvarint(to, skipped+onePerson)
		case people == 0 && robots == 1:
			to = binary.AppendUvarint(to, skipped+oneRobot)
		case robots == 0:
			to = binary.AppendUvarint(to, skipped+onlyPeople)
			to = binary.AppendUvarint(to, people-2)
		default:
			to = binary.AppendUvarint(to, skipped+both)
			to = binary.AppendUvarint(to, people)
			to = binary.AppendUvarint(to, robots)
		}
	}
	return to
}

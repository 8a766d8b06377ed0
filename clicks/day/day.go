// Package day has the clicks of one link on one UTC day: people and robots by quarter-hour, by the
// values of each dimension, and the number of visitors. It packs them into bytes, packs the days of
// one flush into a batch, and folds batches into the stored days.
//
// The packed forms are data formats, which databases store. A change of a form needs a new version
// number, and all old versions must stay readable.
package day

import (
	"cmp"
	"hash/maphash"
	"iter"
	"slices"
	"unicode/utf8"
)

const (
	// MaxValues is how many values of a dimension are stored. The clicks of all smaller values are
	// stored together as Other.
	MaxValues = 100
	// MaxValueLen is the longest value in bytes.
	MaxValueLen = 128

	// Person is the value of Class for people. All clicks of other classes are clicks of robots.
	Person = "person"
	// Other stands for all values that are not stored by themselves. It is not UTF-8, so no value
	// of a request is equal to it.
	Other = "\xff"

	// maxHeld is how many values of a dimension are in memory before the smallest become Other. It
	// is more than MaxValues, so that a value that starts late still gets a place.
	maxHeld = 2 * MaxValues
	// scanned is the most values that are searched one by one. For more values there is an index.
	scanned = 16
)

// Click is N equal clicks.
type Click struct {
	Quarter int                // quarter-hour of the UTC day, 0 to 95
	Values  [Dimensions]string // "" is unknown
	Visitor uint64             // hash of the visitor; 0 means unknown
	N       int64              // number of clicks; at least 1
}

// Day is the clicks of one link, or of several links together, on one UTC day. The zero value has
// no clicks. Not safe for concurrent use.
//
// For each dimension, the clicks of all values together are the clicks of the day. Each value's
// count is exact as long as a dimension has at most MaxValues values, else it is a lower bound.
type Day struct {
	total    Series
	values   [Dimensions][]value
	rest     *[Dimensions]rest // nil until needed
	visitors visitors

	byTime  Resolution // of total
	byValue Resolution // of values; at least byTime

	unknown *[Dimensions]Series // of a parsed day without changes; nil: not known

	room *room
	size int
}

// value is one known value. The clicks without a value are not stored: they are the clicks of the
// day minus the clicks of all values.
type value struct {
	name   string
	series Series
}

// rest is the state that only dimensions with many values need.
type rest struct {
	other Series
	index map[string]int32 // positions in values; nil if not built
}

// room holds the first values of a day, so that most days of a flush need no other memory.
type room struct {
	values [9]value
	points [10]Point
	v, p   int
}

// Add counts a click. A value that is longer than MaxValueLen or not UTF-8 counts as Other. The Day
// keeps no reference to the strings of c.
func (d *Day) Add(c Click) {
	d.unknown = nil
	count := Count{Robots: c.N}
	if c.Values[Class] == Person {
		count = Count{People: c.N}
		if c.Visitor != 0 {
			d.visitors.add(c.Visitor)
		}
	}
	quarter := uint8(min(max(c.Quarter, 0), Quarters-1))
	if d.total == nil {
		d.total = d.point()
	}
	d.total.add(d.byTime.Start(quarter), count)
	quarter = d.byValue.Start(quarter)
	for dim := range Dimension(Dimensions) {
		if name := c.Values[dim]; name != "" {
			d.series(dim, name).add(quarter, count)
		}
	}
}

// series returns the series of a value, which it adds if it is missing.
func (d *Day) series(dim Dimension, name string) *Series {
	if i := d.find(dim, name); i >= 0 {
		return &d.values[dim][i].series
	}
	if len(name) > MaxValueLen || !utf8.ValidString(name) {
		return &d.more(dim).other
	}
	if len(d.values[dim]) >= maxHeld {
		d.prune(dim)
	}
	d.insert(dim, value{name: intern(name), series: d.point()})
	return &d.values[dim][len(d.values[dim])-1].series
}

// find returns the position of a value, or -1.
func (d *Day) find(dim Dimension, name string) int {
	values := d.values[dim]
	if len(values) <= scanned {
		for i := range values {
			if values[i].name == name {
				return i
			}
		}
		return -1
	}
	more := d.more(dim)
	if more.index == nil {
		more.index = make(map[string]int32, len(values))
		for i := range values {
			more.index[values[i].name] = int32(i)
		}
	}
	if i, ok := more.index[name]; ok {
		return int(i)
	}
	return -1
}

func (d *Day) insert(dim Dimension, v value) {
	if len(d.values[dim]) == 0 {
		d.values[dim] = d.slot()
	}
	if d.rest != nil && d.rest[dim].index != nil {
		d.rest[dim].index[v.name] = int32(len(d.values[dim])) //nolint:gosec // few
	}
	d.values[dim] = append(d.values[dim], v)
	d.size += valueSize + len(v.name)
}

func (d *Day) more(dim Dimension) *rest {
	if d.rest == nil {
		d.rest = new([Dimensions]rest)
	}
	return &d.rest[dim]
}

func (d *Day) other(dim Dimension) Series {
	if d.rest == nil {
		return nil
	}
	return d.rest[dim].other
}

// point returns an empty series with room for one point.
func (d *Day) point() Series {
	d.makeRoom()
	if i := d.room.p; i < len(d.room.points) {
		d.room.p++
		return d.room.points[i : i : i+1]
	}
	return make(Series, 0, 1)
}

// slot returns an empty slice with room for one value.
func (d *Day) slot() []value {
	d.makeRoom()
	if i := d.room.v; i < len(d.room.values) {
		d.room.v++
		return d.room.values[i : i : i+1]
	}
	return nil
}

func (d *Day) makeRoom() {
	if d.room == nil {
		d.room = new(room)
	}
}

// prune moves the clicks of all values but the MaxValues largest to Other. Among equal values it
// decides by lot, so that nobody can choose names that displace other values each time.
func (d *Day) prune(dim Dimension) {
	if len(d.values[dim]) <= MaxValues {
		return
	}
	type sized struct {
		value
		clicks int64
		lot    uint64
	}
	seed := maphash.MakeSeed()
	all := make([]sized, len(d.values[dim]))
	for i, v := range d.values[dim] {
		all[i] = sized{v, v.series.Sum().All(), maphash.String(seed, v.name)}
	}
	slices.SortFunc(all, func(a, b sized) int {
		return cmp.Or(cmp.Compare(b.clicks, a.clicks), cmp.Compare(a.lot, b.lot))
	})
	d.values[dim] = make([]value, 0, maxHeld)
	for _, v := range all[:MaxValues] {
		d.values[dim] = append(d.values[dim], v.value)
	}
	more := d.more(dim)
	more.index = nil
	for _, v := range all[MaxValues:] {
		more.other.merge(v.series)
		d.size -= valueSize + len(v.name)
	}
}

// Merge adds the clicks of o. It does not change o. The result has the coarser resolution of both.
// Values of d may share memory with o.
func (d *Day) Merge(o *Day) {
	d.unknown = nil
	d.Coarsen(o.byTime, o.byValue)
	for _, p := range o.total {
		d.total.add(d.byTime.Start(p.Quarter), p.Count)
	}
	for dim := range Dimension(Dimensions) {
		for _, v := range o.values[dim] {
			d.mergeValue(dim, v)
		}
		if other := o.other(dim); len(other) > 0 {
			d.mergeSeries(&d.more(dim).other, other)
		}
	}
	d.visitors.merge(&o.visitors)
}

func (d *Day) mergeValue(dim Dimension, v value) {
	i := d.find(dim, v.name)
	if i < 0 {
		// A merge holds more values than Add: its values come from days that are bounded.
		if len(d.values[dim]) >= maxMerged {
			d.prune(dim)
		}
		d.insert(dim, value{name: v.name, series: make(Series, 0, len(v.series))})
		i = len(d.values[dim]) - 1
	}
	d.mergeSeries(&d.values[dim][i].series, v.series)
}

func (d *Day) mergeSeries(to *Series, from Series) {
	for _, p := range from {
		to.add(d.byValue.Start(p.Quarter), p.Count)
	}
}

// maxMerged is how many values of a dimension Merge holds before the smallest become Other.
const maxMerged = 40 * MaxValues

// Coarsen lowers the resolution of the day's series and of the series of its values, if they are
// finer. The values never have a finer resolution than the day.
func (d *Day) Coarsen(byTime, byValue Resolution) {
	byValue = max(byTime, byValue)
	d.unknown = nil
	if byTime > d.byTime {
		d.byTime = byTime
		d.total = d.total.coarsen(byTime)
	}
	if byValue <= d.byValue {
		return
	}
	d.byValue = byValue
	for dim := range Dimension(Dimensions) {
		for i := range d.values[dim] {
			d.values[dim][i].series = d.values[dim][i].series.coarsen(byValue)
		}
		if d.rest != nil {
			d.rest[dim].other = d.rest[dim].other.coarsen(byValue)
		}
	}
}

// ToHours lowers the resolution to hours, as retention does with old days.
func (d *Day) ToHours() { d.Coarsen(ByHour, ByHour) }

// Resolution returns the resolutions of Series and of Values.
func (d *Day) Resolution() (byTime, byValue Resolution) { return d.byTime, d.byValue }

// Series returns all clicks by time. The Day owns the result.
func (d *Day) Series() Series { return d.total }

// Total returns all clicks of the day.
func (d *Day) Total() Count { return d.total.Sum() }

// Values returns the values of a dimension that have clicks, in no order: "" for unknown, Other for
// all values that are not stored by themselves. The clicks of all values add up to the clicks of the
// day. The Day owns the series.
func (d *Day) Values(dim Dimension) iter.Seq2[string, Series] {
	return func(yield func(string, Series) bool) {
		for _, v := range d.values[dim] {
			if !yield(v.name, v.series) {
				return
			}
		}
		if other := d.other(dim); len(other) > 0 && !yield(Other, other) {
			return
		}
		if unknown := d.unknownOf(dim); len(unknown) > 0 {
			yield("", unknown)
		}
	}
}

// unknownOf returns the clicks of the day without the clicks of all values.
func (d *Day) unknownOf(dim Dimension) Series {
	if d.unknown != nil {
		return d.unknown[dim]
	}
	var known [Quarters]Count
	add := func(s Series) {
		for i := range s {
			known[s[i].Quarter].Add(s[i].Count)
		}
	}
	for i := range d.values[dim] {
		add(d.values[dim][i].series)
	}
	add(d.other(dim))
	rest := make(Series, 0, len(d.total))
	for _, p := range d.total {
		rest.add(d.byValue.Start(p.Quarter), p.Count)
	}
	for i := range rest {
		rest[i].subtract(known[rest[i].Quarter])
	}
	return slices.DeleteFunc(rest, func(p Point) bool { return p.Count == Count{} })
}

// Visitors returns an estimate of how many different visitors the day had, people only. It is
// exact for small numbers, and within 2 % otherwise.
func (d *Day) Visitors() int64 { return d.visitors.estimate() }

// MergeVisitors adds the visitors of o alone.
func (d *Day) MergeVisitors(o *Day) { d.visitors.merge(&o.visitors) }

// Sizes in bytes.
const (
	daySize   = 1100
	valueSize = 88
)

// Size returns about how many bytes of memory the day takes, so that the owner of many days can
// bound them.
func (d *Day) Size() int { return daySize + d.size + d.visitors.size() }

package day

import (
	"cmp"
	"slices"
)

// Quarters is the number of quarter-hours of a UTC day.
const Quarters = 96

// Count is a number of clicks.
type Count struct {
	People int64 // clicks of class Person
	Robots int64 // all other clicks
}

// Add adds o.
func (c *Count) Add(o Count) {
	c.People += o.People
	c.Robots += o.Robots
}

func (c *Count) subtract(o Count) {
	c.People -= o.People
	c.Robots -= o.Robots
}

// All returns the clicks of people and robots together.
func (c Count) All() int64 { return c.People + c.Robots }

// Point is the clicks of one quarter-hour, hour or day, see Resolution.
type Point struct {
	Count
	Quarter uint8 // its first quarter-hour, 0 to 95
}

// Series is clicks by time: points with clicks, in ascending order of Quarter.
type Series []Point

// Sum returns the clicks of the whole series.
func (s Series) Sum() Count {
	var sum Count
	for i := range s {
		sum.Add(s[i].Count)
	}
	return sum
}

// add adds c at a quarter.
func (s *Series) add(quarter uint8, c Count) {
	if n := len(*s); n > 0 && (*s)[n-1].Quarter == quarter { // most clicks are of the newest quarter
		(*s)[n-1].Add(c)
		return
	}
	i, found := slices.BinarySearchFunc(*s, quarter, func(p Point, q uint8) int { return cmp.Compare(p.Quarter, q) })
	if !found {
		*s = slices.Insert(*s, i, Point{Quarter: quarter})
	}
	(*s)[i].Add(c)
}

func (s *Series) merge(o Series) {
	for _, p := range o {
		s.add(p.Quarter, p.Count)
	}
}

// Resolution is the length of time that one Point counts.
type Resolution uint8

// The resolutions, from fine to coarse. The numbers are part of the packed format.
const (
	ByQuarter Resolution = iota // quarter-hours
	ByHour                      // UTC hours
	ByDay                       // the UTC day

	resolutions = 3
)

// Quarters returns the number of quarter-hours of one point.
func (r Resolution) Quarters() int { return [resolutions]int{1, 4, Quarters}[r] }

// Start returns the first quarter of the point that a quarter belongs to.
func (r Resolution) Start(quarter uint8) uint8 {
	return quarter - quarter%uint8(r.Quarters()) //nolint:gosec // at most 96
}

// coarsen returns s at resolution r. It may change s.
func (s Series) coarsen(r Resolution) Series {
	to := s[:0]
	for _, p := range s {
		to.add(r.Start(p.Quarter), p.Count)
	}
	return to
}

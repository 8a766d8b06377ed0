package clicks

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/store"
)

// aggregate classifies the clicks of all stripes and adds them to the days of their links. When it
// returns, no address and no User-Agent of these clicks is in memory.
func (r *Recorder) aggregate(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.stripes {
		r.lose(time.Now(), r.stripes[i].take(&r.spare))
		// A copy would leave addresses in memory that empty does not overwrite. Everything that
		// keeps a part of a record clones it.
		records := unsafe.String(unsafe.SliceData(r.spare.records), len(r.spare.records)) //nolint:gosec // does not change until empty
		for _, row := range r.spare.rows {
			r.aggregateRow(ctx, records[row.begin:row.end], row)
		}
		r.spare.empty()
	}
}

// aggregateRow adds the equal clicks of one record.
func (r *Recorder) aggregateRow(ctx context.Context, record string, row row) {
	var c Click
	quarter := c.read(record)
	if r.isExcluded(c.Address) {
		r.metrics.excluded.Add(float64(row.clicks))
		return
	}
	v := r.opts.Visits.Visit(&c.Request)
	one := day.Click{Quarter: int(quarter % day.Quarters), Values: v.Values(), N: row.clicks}
	date := int32(quarter / day.Quarters) //nolint:gosec // bounded by the record
	if v.Class == day.Person && !c.Private {
		one.Visitor = r.visitor(ctx, date, &c, row.clicks)
	}
	r.add(linkDay{c.Key, date}, one, row.last)
}

func (r *Recorder) isExcluded(addr netip.Addr) bool {
	return slices.ContainsFunc(r.opts.Exclude, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// linkDay is a link and a UTC day.
type linkDay struct {
	key string
	day int32 // days since 1970-01-01
}

// open is the clicks of a linkDay that are not in a batch yet.
type open struct {
	day  day.Day
	last int64 // the latest click of a person, Unix microseconds
}

// add counts clicks. If the memory is full, it drops them, unless their linkDay is already open:
// then it counts them without details.
func (r *Recorder) add(of linkDay, c day.Click, last int64) {
	o := r.open[of]
	if full := r.openSize >= r.opts.MaxBytes/4; full && r.backlog.size < r.opts.MaxBytes/2 {
		r.cut()
		wake(r.unsaved)
		o = nil
	} else if full && o == nil {
		r.metrics.full.Add(c.N)
		r.lose(store.DayStart(of.day).Add(time.Duration(c.Quarter)*quarterHour), c.N)
		return
	} else if full {
		r.metrics.coarse.Add(float64(c.N))
		for dim := range c.Values {
			if day.Dimension(dim) != day.Class {
				c.Values[dim] = day.Other
			}
		}
	}
	if o == nil {
		of.key = strings.Clone(of.key)
		o = new(open)
		r.open[of] = o
		r.openSize += o.day.Size()
	}
	before := o.day.Size()
	o.day.Add(c)
	r.openSize += o.day.Size() - before
	if c.Values[day.Class] == day.Person {
		o.last = max(o.last, last)
	}
	r.waiting.Add(c.N)
}

// cut moves the clicks of all open days into batches. Each link is in one batch only. The links
// are sorted, so that sinks lock their rows in the same order.
func (r *Recorder) cut() {
	keys := make([]linkDay, 0, len(r.open))
	for of := range r.open {
		keys = append(keys, of)
	}
	slices.SortFunc(keys, func(a, b linkDay) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.day, b.day)) })
	var b store.ClickBatch
	for _, of := range keys {
		o := r.open[of]
		if n := len(b.Counts); n == 0 || b.Counts[n-1].Code != of.key {
			if n == r.opts.MaxBatch {
				r.queue(b)
				b = store.ClickBatch{}
			}
			b.Counts = append(b.Counts, store.ClickCount{Code: of.key})
		}
		total, count := o.day.Total(), &b.Counts[len(b.Counts)-1]
		count.N += total.People
		count.Robots += total.Robots
		if at := time.UnixMicro(o.last).UTC(); total.People > 0 && at.After(count.Last) {
			count.Last = at
		}
		b.Days = append(b.Days, store.ClickDay{Key: of.key, Day: of.day, Data: o.day.Append(nil)})
	}
	if len(b.Counts) > 0 || len(r.lost) > 0 {
		r.queue(b)
	}
	clear(r.open)
	r.openSize = 0
}

// quarterHour is the time of a day.Click.Quarter.
const quarterHour = 24 * time.Hour / day.Quarters

// lose adds to the clicks that were dropped about a time. The next batch stores them, so that statistics can
// say how many clicks they lack.
func (r *Recorder) lose(at time.Time, n int64) {
	if n == 0 {
		return
	}
	date := store.DayOf(at)
	r.lostOn(date).Add(day.Click{Quarter: int(at.Sub(store.DayStart(date)) / quarterHour), N: n})
}

// lostOn returns the lost clicks of a UTC day that are in no batch yet.
func (r *Recorder) lostOn(date int32) *day.Day {
	if r.lost[date] == nil {
		r.lost[date] = new(day.Day)
	}
	return r.lost[date]
}

// queue adds a batch to the backlog.
func (r *Recorder) queue(b store.ClickBatch) {
	for _, date := range slices.Sorted(maps.Keys(r.lost)) {
		b.Days = append(b.Days, store.ClickDay{Kind: store.ClickLost, Day: date, Data: r.lost[date].Append(nil)})
	}
	clear(r.lost)
	r.seq++
	b.Recorder, b.Seq = r.name, r.seq
	r.backlog.add(b, time.Now())
}

// saltRetry is the time between two attempts to read a salt.
const saltRetry = 5 * time.Second

// saltTimeout is short, because clicks wait in memory meanwhile.
const saltTimeout = 500 * time.Millisecond

// salt is the secret of a UTC day.
type salt struct {
	day   int32
	bytes []byte    // nil: could not be read
	tried time.Time // the latest attempt to read it
}

// visitor returns the number of the visitor of n clicks, or 0 if visitors are not counted.
func (r *Recorder) visitor(ctx context.Context, date int32, c *Click, n int64) uint64 {
	if r.opts.Salts == nil {
		return 0
	}
	s := r.saltOf(ctx, date)
	if s == nil {
		r.metrics.unsalted.Add(float64(n))
		return 0
	}
	return visit.Visitor(s, c.Key, c.Address, c.UserAgent)
}

// saltOf returns the salt of a day, or nil if it cannot be read. The salts of only two days are in
// memory.
func (r *Recorder) saltOf(ctx context.Context, date int32) []byte {
	s := &r.salts[date&1]
	if s.day != date {
		*s = salt{day: date}
	}
	if s.bytes == nil && time.Since(s.tried) >= saltRetry {
		ctx, cancel := context.WithTimeout(ctx, saltTimeout)
		defer cancel()
		s.tried = time.Now()
		if bytes, err := r.opts.Salts.ClickSalt(ctx, date); err == nil { // an error is counted by visitor
			s.bytes = bytes
		}
	}
	return s.bytes
}

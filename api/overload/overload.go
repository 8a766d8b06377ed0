// Package overload sheds what a process cannot do in time, the least important
// first, so that what it does take on stays quick.
//
// Work is of four classes. Each has a limit of its own for how much of it goes on
// at once, which falls when that takes too long and rises when it does not. When a
// class begins to lack room, less important ones are refused altogether: lists and
// statistics make room for creates and edits, and these for redirects that have to
// ask Redis or the database. Nothing waits: what is refused is refused at once.
//
// A redirect that is answered from memory is none of them. It is never limited,
// and costs nothing here.
package overload

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// Class is how important work is.
type Class int

// The classes, the most important first; a redirect that is no longer a mere miss is as
// important as one.
const (
	Redirect Class = iota // a redirect that needs the database
	Miss                  // a redirect that is not in memory, until it is known whether it needs the database
	Write                 // creates, edits, and reads of a single link by its owner
	Report                // lists, statistics and whatever else reads much
	classes
)

// names are the values of the label class.
var names = [classes]string{"redirect", "miss", "write", "report"}

// ranks are how important the classes are, the least number the most. A class makes room
// for those of lesser numbers.
var ranks = [classes]int{Redirect: 0, Miss: 0, Write: 1, Report: 2}

// crowded is the part of its room that a class uses, in quarters, when others begin to
// make room for it: those that are two ranks below it before those that are one.
var crowded = [...]int64{1: 3, 2: 2}

// DefaultBounds are those of New. The least is what a quiet node must take when a crowd
// comes at once.
var DefaultBounds = [...]Bounds{
	Redirect: {Least: 64, Most: 2048, First: 512, Goal: 25 * time.Millisecond},
	Miss:     {Least: 64, Most: 2048, First: 512, Goal: 25 * time.Millisecond},
	Write:    {Least: 32, Most: 1024, First: 256, Goal: 100 * time.Millisecond},
	Report:   {Least: 4, Most: 64, First: 16, Goal: 250 * time.Millisecond},
}

// nearlyAll is the share of misses of unknown links, of the latest some dozens, from which
// on each that goes on counts as one that will need the database.
const nearlyAll = 0.9

// trial is how many of those that are hopeless there are to one that goes on all the same,
// by which is seen when Redis has more of them again.
const trial = 1024

// shortFor is how long a class counts as short of room after it was.
const shortFor = 250 * time.Millisecond

// Options configure New.
type Options struct {
	Registerer prometheus.Registerer // required
	Bounds     []Bounds              // by class; default DefaultBounds
	Now        func() time.Time      // default time.Now
}

func (o *Options) validate() error {
	if o.Registerer == nil {
		return errors.New("overload: Registerer is required")
	}
	if len(o.Bounds) != int(classes) {
		return fmt.Errorf("overload: Bounds are %d, want one for each of the %d classes", len(o.Bounds), classes)
	}
	for i, b := range o.Bounds {
		if b.Least < 1 || b.First < b.Least || b.Most < b.First || b.Goal <= 0 {
			return fmt.Errorf("overload: Bounds of %s must rise from Least, at least 1, over First to Most, with a Goal, not %+v", names[i], b)
		}
	}
	return nil
}

// Guard decides what is taken on. Safe for concurrent use.
type Guard struct {
	now     func() time.Time
	classes [classes]class
	needy   share         // of misses of unknown links: those that need the database
	refused atomic.Uint64 // of such misses, before anything was asked
}

type class struct {
	limit          *limit
	short          [len(crowded)]atomic.Int64 // when it last was, for others so many ranks below it, in Unix nanoseconds
	admitted, shed prometheus.Counter
}

// New returns a Guard, or what is wrong with opts.
func New(opts Options) (*Guard, error) {
	if opts.Bounds == nil {
		opts.Bounds = DefaultBounds[:]
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if err := opts.validate(); err != nil {
		return nil, err
	}
	g := &Guard{now: opts.Now}
	for i, b := range opts.Bounds {
		g.classes[i].limit = newLimit(b)
	}
	return g, g.register(opts.Registerer)
}

// Admit takes on work of a class until done is called, with whether the time that it
// took says something: what fails at once does not. It returns store.ErrShed, without
// waiting, when there is no room.
func (g *Guard) Admit(c Class) (done func(telling bool), err error) {
	own := &g.classes[c]
	if g.Short(c) {
		own.shed.Inc()
		return nil, store.ErrShed
	}
	began := g.now()
	if !own.limit.take(g.patience(c)) {
		g.note(c, began)
		own.shed.Inc()
		return nil, store.ErrShed
	}
	own.admitted.Inc()
	return func(telling bool) {
		now, took := g.now(), time.Duration(0)
		if telling {
			took = max(now.Sub(began), 1)
		}
		own.limit.give(now, took)
	}, nil
}

// AdmitMiss is Admit for misses; known are those of links that memory still holds, but for
// too long. lookedUp is called once Redis has said whether the link is found there, or has
// failed.
//
// While nearly all unknown links turn out to need the database, one for which that will
// lack room is refused before Redis is asked: that would only be a wait for the same
// answer. As long as more of them are found, each gets its chance.
func (g *Guard) AdmitMiss(known bool) (lookedUp func(found bool, err error), err error) {
	if !known && g.isHopeless() && g.refused.Add(1)%trial != 0 {
		g.note(Redirect, g.now())
		g.classes[Miss].shed.Inc()
		return nil, store.ErrShed
	}
	done, err := g.Admit(Miss)
	if err != nil {
		return nil, err
	}
	return func(found bool, err error) {
		if !known {
			g.needy.note(!found)
		}
		done(err == nil)
	}, nil
}

// isHopeless reports whether the database will lack room for one more unknown link.
func (g *Guard) isHopeless() bool {
	database := g.classes[Redirect].limit
	return g.isNeedy() && database.inflight.Load()+g.misses() >= database.most.Load()
}

// patience is how many times its limit a class may use. Redirects that need the database
// were held to that of their class already when nearly all do: those that come at once,
// or while the limit falls, are not refused after their wait for Redis.
func (g *Guard) patience(c Class) int64 {
	if c == Redirect && g.isNeedy() {
		return 2
	}
	return 1
}

// misses returns how many go on.
func (g *Guard) misses() int64 { return g.classes[Miss].limit.inflight.Load() }

// isNeedy reports whether nearly all unknown links turn out to need the database.
func (g *Guard) isNeedy() bool { return g.needy.value() >= nearlyAll }

// Short reports whether work of a class would be refused now because more important
// work lacks room.
func (g *Guard) Short(c Class) bool {
	for i := range c {
		if below := ranks[c] - ranks[i]; below > 0 && g.isShort(i, below, g.now()) {
			return true
		}
	}
	return false
}

// isShort reports whether a class lacks room, or did a moment ago, for others that are so
// many ranks below it.
func (g *Guard) isShort(c Class, below int, now time.Time) bool {
	g.note(c, now)
	return now.UnixNano()-g.classes[c].short[below].Load() < int64(shortFor)
}

// note remembers for whom a class lacks room. Misses that will need the database count as
// if they did already.
func (g *Guard) note(c Class, now time.Time) {
	own, claimed := &g.classes[c], int64(0)
	if c == Redirect && g.isNeedy() {
		claimed = g.misses()
	}
	for below := 1; below < len(crowded); below++ {
		if own.limit.uses(crowded[below], claimed) {
			own.short[below].Store(now.UnixNano())
		}
	}
}

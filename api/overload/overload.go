// Package overload admits work to a process that may be asked for more than it can do.
//
// Work is of four classes. Each class has places of its own, which no other class can
// take. Work that finds no place waits in the queue of its class, for a bounded time.
// Work that finds the queue full is refused at once.
//
// A class gives up places while the processor is short: while goroutines that could
// run wait for a processor. Lists give up theirs first, then reads and writes, then
// redirects, but each class keeps some. The wait for a database, a disk or a lock does
// not count: it is bounded where it happens, for each shard apart.
//
// A redirect that is answered from memory belongs to no class. It is never limited,
// and costs nothing here.
package overload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Class is a kind of work.
type Class int

// The classes.
const (
	Redirect Class = iota // a redirect that is not answered from memory
	Read                  // reads of one link by its owner: the link, its QR code, its history
	Write                 // creates, edits and all else that changes something
	List                  // lists, exports and all else that reads many links
	classes
)

// names are the values of the label class.
var names = [classes]string{"redirect", "read", "write", "list"}

// Bounds are what a class may use.
type Bounds struct {
	Least, Most int           // places while the processor is short, and while it is not
	Queue       int           // how much work may wait for a place
	Wait        time.Duration // how long it may wait
	Delay       time.Duration // of the processor; above it the class gives up places
}

// DefaultBounds are the default of Options.Bounds. Least is generous: on a machine that does other work
// the processor is often short for a moment, and that alone is no reason to refuse.
var DefaultBounds = [...]Bounds{
	Redirect: {Least: 256, Most: 2048, Queue: 256, Wait: 50 * time.Millisecond, Delay: 5 * time.Millisecond},
	Read:     {Least: 32, Most: 512, Queue: 64, Wait: 500 * time.Millisecond, Delay: 2 * time.Millisecond},
	Write:    {Least: 64, Most: 1024, Queue: 128, Wait: 500 * time.Millisecond, Delay: 2 * time.Millisecond},
	List:     {Least: 8, Most: 64, Queue: 32, Wait: time.Second, Delay: time.Millisecond},
}

// Options configure New.
type Options struct {
	Registerer prometheus.Registerer // required
	Bounds     []Bounds              // by class; default DefaultBounds
	Now        func() time.Time      // default time.Now

	// Delay returns how long a goroutine that could run waits for a processor, in the
	// mean since the last call. Default: what the Go runtime measures.
	Delay func() time.Duration
}

func (o *Options) setDefaults() {
	if o.Bounds == nil {
		o.Bounds = DefaultBounds[:]
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Delay == nil {
		o.Delay = newScheduler().delay
	}
}

func (o *Options) validate() error {
	if o.Registerer == nil {
		return errors.New("overload: Registerer is required")
	}
	if len(o.Bounds) != int(classes) {
		return fmt.Errorf("overload: Bounds are %d, want one for each of the %d classes", len(o.Bounds), classes)
	}
	for i, b := range o.Bounds {
		if b.Least < 1 || b.Most < b.Least || b.Queue < 0 || b.Wait < 0 || b.Delay <= 0 {
			return fmt.Errorf("overload: Bounds of %s must rise from Least, at least 1, to Most, with a Delay, not %+v", names[i], b)
		}
	}
	return nil
}

// Guard decides what work is admitted. Safe for concurrent use.
type Guard struct {
	processor processor
	places    [classes]places
}

// New returns a Guard, or an error that names what opts lack.
func New(opts Options) (*Guard, error) {
	opts.setDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	g := &Guard{processor: processor{now: opts.Now, measure: opts.Delay}}
	g.processor.last.Store(opts.Now().UnixNano())
	for i, b := range opts.Bounds {
		g.places[i].bounds, g.places[i].limit = b, b.Most
	}
	return g, g.register(opts.Registerer)
}

// Admit admits work of a class, which ends when done is called. When there is no place
// it waits for one, within the bounds of the class and ctx. It returns store.ErrShed
// when it gets none, and the error of ctx when that ended first.
func (g *Guard) Admit(ctx context.Context, c Class) (done func(), err error) {
	g.adjust()
	own := &g.places[c]
	if err := own.take(ctx); err != nil {
		return nil, err
	}
	return own.leave, nil
}

// Full reports whether Admit would refuse work of a class at once. The work counts as
// refused then.
func (g *Guard) Full(c Class) bool {
	g.adjust()
	return g.places[c].full()
}

// Scarce reports whether half of the places of a class are in use.
func (g *Guard) Scarce(c Class) bool { return g.places[c].scarce() }

// adjust moves the limits of all classes by what the processor was short, once a window.
func (g *Guard) adjust() {
	delay, windows := g.processor.look()
	if windows == 0 {
		return
	}
	for i := range g.places {
		g.places[i].adjust(delay, windows)
	}
}

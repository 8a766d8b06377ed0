// Package overload limits how many requests a process works on at the same time.
//
// Every request has one of four classes. Each class has its own places, which no other
// class can use. A request without a free place waits in the queue of its class, for a
// bounded time. A request that finds the queue full is rejected immediately.
//
// A class reduces its places while the processor is overloaded, which means that runnable
// goroutines wait for a processor. Lists lose their places first, then reads and writes,
// then redirects. Each class keeps a minimum. Time spent waiting for a database, a disk or
// a lock does not count: the store bounds it for each shard separately.
//
// One caller may have half of a class's places at most, and a quarter of them is for
// administrators only. A request that still writes its answer counts for its caller, but
// occupies no place of the class: a client that does not read its answer only shuts out itself.
//
// A redirect that is answered from memory has no class. It is never limited.
package overload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Class is a kind of request.
type Class int

// The classes.
const (
	Redirect Class = iota // a redirect that is not answered from memory
	Read                  // reads of one link by its owner: the link, its QR code, its history
	Write                 // creates, edits and all other changes
	List                  // lists, exports and all other reads of many links
	classes
)

// names are the values of the label class.
var names = [classes]string{"redirect", "read", "write", "list"}

// Bounds are the limits of a class.
type Bounds struct {
	Least, Most int           // minimum and maximum of places; Least must be at least 1
	Queue       int           // how many requests may wait for a place
	Wait        time.Duration // how long a request may wait
	Delay       time.Duration // delay of the processor above which the class loses places
}

// DefaultBounds are the default of Options.Bounds. Least is generous: other programs on the
// machine often delay the processor for a moment, which is no reason to reject requests.
var DefaultBounds = [...]Bounds{
	Redirect: {Least: 512, Most: 2048, Queue: 256, Wait: 50 * time.Millisecond, Delay: 5 * time.Millisecond},
	Read:     {Least: 32, Most: 512, Queue: 64, Wait: 500 * time.Millisecond, Delay: 2 * time.Millisecond},
	Write:    {Least: 64, Most: 1024, Queue: 128, Wait: 500 * time.Millisecond, Delay: 2 * time.Millisecond},
	List:     {Least: 8, Most: 64, Queue: 32, Wait: time.Second, Delay: time.Millisecond},
}

// Options configure a Guard.
type Options struct {
	Registerer prometheus.Registerer // required

	Bounds []Bounds // by class; default DefaultBounds

	// Delay returns the mean time that a runnable goroutine waited for a processor since
	// the last call. Default: the measurement of the Go runtime.
	Delay func() time.Duration

	Now func() time.Time // default time.Now
}

func (o Options) withDefaults() Options {
	if o.Bounds == nil {
		o.Bounds = DefaultBounds[:]
	}
	if o.Delay == nil {
		o.Delay = newScheduler().delay
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("overload: Options."+problem))
		}
	}
	check(o.Registerer != nil, "Registerer is required")
	check(len(o.Bounds) == int(classes), fmt.Sprintf("Bounds must be one for each of the %d classes", classes))
	for i, b := range o.Bounds {
		field := fmt.Sprintf("Bounds[%d]", i)
		check(b.Least > 0, field+".Least must be positive")
		check(b.Most >= b.Least, field+".Most must be at least Least")
		check(b.Queue >= 0, field+".Queue must not be negative")
		check(b.Wait >= 0, field+".Wait must not be negative")
		check(b.Delay > 0, field+".Delay must be positive")
	}
	return errors.Join(errs...)
}

// Guard decides which requests run. Safe for concurrent use.
type Guard struct {
	processor processor
	places    [classes]places
}

// New returns a Guard, or an error that lists every problem of opts.
func New(opts Options) (*Guard, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	g := &Guard{processor: processor{now: opts.Now, measure: opts.Delay}}
	g.processor.last.Store(opts.Now().UnixNano())
	for i, b := range opts.Bounds {
		g.places[i].bounds, g.places[i].limit = b, b.Most
	}
	m, err := newMetrics(opts.Registerer, g)
	if err != nil {
		return nil, err
	}
	for i := range g.places {
		g.places[i].metrics = m[i]
	}
	return g, nil
}

// Caller is the sender of a request. The zero Caller is the server itself: it has no share, and
// it may use all places.
type Caller struct {
	ID    string // of an API key, or the address of a client without a key
	Admin bool   // whether the caller may use the places for administrators
}

// Parts of a class's places.
const (
	shared   = 2 // one caller has at most 1/shared
	reserved = 4 // 1/reserved are only for administrators
)

// Place is a place of a class. It belongs to one request and is not safe for concurrent use.
type Place struct {
	of   *places
	who  Caller
	free bool
}

// Free returns the place to its class. Call it before a slow client reads the answer. The
// request still counts for its caller. A second call does nothing.
func (p *Place) Free() {
	if !p.free {
		p.free = true
		p.of.leave()
	}
}

// Done ends the request, and frees the place. Call it once.
func (p *Place) Done() {
	p.Free()
	p.of.forget(p.who)
}

// Admit gives a request a place of its class. The caller must call Done when the request
// ends. Admit waits for a place within the bounds of the class. It returns store.ErrShed if
// it gets none, or the error of ctx if ctx ends first.
func (g *Guard) Admit(ctx context.Context, c Class, who Caller) (*Place, error) {
	g.adjust()
	own := &g.places[c]
	if err := own.take(ctx, who); err != nil {
		return nil, err
	}
	return &Place{of: own, who: who}, nil
}

// Full reports whether Admit would immediately reject a request of the class. If so, the
// request is counted as rejected.
func (g *Guard) Full(c Class, who Caller) bool {
	g.adjust()
	return g.places[c].full(who)
}

// Scarce reports whether at least half of the places of a class are in use.
func (g *Guard) Scarce(c Class) bool { return g.places[c].scarce() }

// adjust changes the limits of all classes by the delay of the processor, at most once for
// each window.
func (g *Guard) adjust() {
	delay, windows := g.processor.look()
	if windows == 0 {
		return
	}
	for i := range g.places {
		g.places[i].adjust(delay, windows)
	}
}

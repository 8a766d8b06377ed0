package idgen

import (
	"fmt"
	"sync"
	"time"

	"github.com/bwmarrin/snowflake"
)

// configureLibrary gives the snowflake library our epoch and layout. Its
// package variables are the only knob it has, and it reads them in NewNode.
var configureLibrary = sync.OnceFunc(func() {
	snowflake.Epoch = epochMilli
	snowflake.NodeBits = nodeBits
	snowflake.StepBits = stepBits
})

// maxDrift is how far timestamps may run ahead of the clock, or behind it,
// before they are set right. A clock that is slewed or nudged stays well within.
const maxDrift = 2 * time.Second

// generator is one node's source of ids.
//
// The library reads the wall clock once, in NewNode, and then counts on by the
// monotonic clock: after a suspension its timestamps lag, after the clock was
// set they lead, without end. The generator corrects them to the clock it was
// given. A correction may go back in time, so callers compare each id with the
// one before it.
type generator struct {
	node  *snowflake.Node
	now   func() time.Time
	epoch time.Time     // the epoch as the library sees it, on the monotonic clock
	last  snowflake.ID  // as the library made it
	shift time.Duration // added to its timestamps; whole milliseconds
}

// newGenerator returns the generator of a node id whose ids follow now.
func newGenerator(node int64, now func() time.Time) (*generator, error) {
	configureLibrary()
	n, err := snowflake.NewNode(node)
	if err != nil {
		return nil, fmt.Errorf("node id %d: %w", node, err)
	}
	start := time.Now()
	epoch := start.Add(time.UnixMilli(epochMilli).Sub(start))
	return &generator{node: n, now: now, epoch: epoch}, nil
}

// next returns an id and the clock as it stood after the id was made. As long
// as no correction is made, each id is greater than the one before.
func (g *generator) next() (ID, time.Time) {
	id, now, lead := g.generate()
	if lead.Abs() <= maxDrift {
		return id, now
	}
	// A second look tells a clock that was set from a process that was frozen
	// between the two readings of the first.
	id, now, lead = g.generate()
	if lead.Abs() > maxDrift {
		g.shift -= lead
		id -= ID(lead.Milliseconds() << timeShift)
	}
	return id, now
}

// generate returns the library's next id with its timestamp shifted, the clock
// read after it, and how far the timestamp is ahead of that clock.
func (g *generator) generate() (id ID, now time.Time, lead time.Duration) {
	g.pause()
	g.last = g.node.Generate()
	now = g.now()
	id = ID(g.last) + ID(g.shift.Milliseconds()<<timeShift)
	ahead := id.milli() + epochMilli - now.UnixMilli()
	return id, now, time.Duration(ahead) * time.Millisecond
}

// pause sleeps to the end of the millisecond when its steps are used up, for
// which the library would spin.
func (g *generator) pause() {
	if g.last&stepMask != stepMask {
		return
	}
	end := time.Duration(ID(g.last).milli()+1) * time.Millisecond
	time.Sleep(end - time.Since(g.epoch))
}

package idgen

import (
	"fmt"
	"sync"
	"time"

	"github.com/bwmarrin/snowflake"
)

// configureLibrary sets the epoch and the layout of the snowflake library. The library
// can be configured only by package variables, which NewNode reads.
var configureLibrary = sync.OnceFunc(func() {
	snowflake.Epoch = epochMilli
	snowflake.NodeBits = nodeBits
	snowflake.StepBits = stepBits
})

// maxDrift is the largest difference between timestamps and the clock before the
// timestamps are corrected. A clock that NTP adjusts slowly stays well within it.
const maxDrift = 2 * time.Second

// generator makes the ids of one node id. Callers must serialize its use.
//
// The library reads the wall clock once, in NewNode, and then follows the monotonic
// clock. So its timestamps stay behind after a suspension, and stay ahead after the
// clock was set back. The generator corrects them to the clock now. A correction may go
// back in time, so callers must compare each id with the previous one.
type generator struct {
	node  *snowflake.Node
	now   func() time.Time
	epoch time.Time     // the library's epoch, on the monotonic clock
	last  snowflake.ID  // the library's last id, without the shift
	shift time.Duration // correction of the library's timestamps, in whole milliseconds
}

// newGenerator returns the generator of a node id. Its timestamps follow the clock now.
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

// next returns an id, and the clock read after the id was made. Without a correction,
// each id is greater than the previous one.
func (g *generator) next() (ID, time.Time) {
	id, now, lead := g.generate()
	if lead.Abs() <= maxDrift {
		return id, now
	}
	// The second reading distinguishes a clock that was set from a process that was
	// frozen during the first reading.
	id, now, lead = g.generate()
	if lead.Abs() > maxDrift {
		g.shift -= lead
		id -= ID(lead.Milliseconds() << timeShift)
	}
	return id, now
}

// generate returns the library's next id with its timestamp shifted, the clock read
// after it, and how far the timestamp is ahead of the clock.
func (g *generator) generate() (id ID, now time.Time, lead time.Duration) {
	g.pause()
	g.last = g.node.Generate()
	now = g.now()
	id = ID(g.last) + ID(g.shift.Milliseconds()<<timeShift)
	ahead := id.milli() + epochMilli - now.UnixMilli()
	return id, now, time.Duration(ahead) * time.Millisecond
}

// pause sleeps until the end of a millisecond without free steps. Without it, the
// library would spin.
func (g *generator) pause() {
	if g.last&stepMask != stepMask {
		return
	}
	end := time.Duration(ID(g.last).milli()+1) * time.Millisecond
	time.Sleep(end - time.Since(g.epoch))
}

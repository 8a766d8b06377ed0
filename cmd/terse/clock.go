package main

import (
	"time"

	"github.com/terse/terse/store/shard"
)

// clock is the time of this node and of the database. It implements api.Clock.
type clock struct {
	router *shard.Router // nil: the embedded database, which has the time of this node
}

// clock returns the clock of the database.
func (d *database) clock() clock { return clock{d.router} }

// linkTime returns the time of the database, or the time of this node while that is unknown.
func (d *database) linkTime() time.Time {
	now, _ := d.clock().LinkTime()
	return now
}

// Now returns the time of this node.
func (clock) Now() time.Time { return time.Now() }

// LinkTime returns the time of the database. Links start and end by it.
func (c clock) LinkTime() (now time.Time, known bool) {
	if c.router == nil {
		return time.Now(), true
	}
	return c.router.Time()
}

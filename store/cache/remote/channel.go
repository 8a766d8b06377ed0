package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/terse/terse/store"
)

// channelOf returns where edits are announced, as links are kept, and revoked API
// keys. It names the database, since Redis has channels for all its databases
// together, and another database may be that of another Terse, with other links
// under the same codes.
func channelOf(database int) string { return fmt.Sprintf("terse:1:edits@%d", database) }

const (
	// silence is how long nothing may be heard before Redis is asked whether it is
	// there, and how long it may take to say so.
	silence = time.Second

	// countEvery is how often those who listen are counted.
	countEvery = 5 * time.Second

	// retryFirst and retryLongest bound the time between two tries to listen.
	retryFirst   = 50 * time.Millisecond
	retryLongest = time.Second
)

// errSilent says that Redis no longer answers on the channel.
var errSilent = errors.New("no answer on the channel")

// Listen calls heard for every link that is announced, own ones too, and missed
// whenever the channel is there again, or for the first time: what was announced
// before is lost. Both are called by one goroutine, as Options.Keys are told of
// revocations. It returns when ctx ends.
func (c *Cache) Listen(ctx context.Context, heard func(l store.Link), missed func()) {
	wait, lost := retryFirst, time.Now()
	for ctx.Err() == nil {
		err := c.listen(ctx, heard, func() {
			wait = retryFirst
			c.metrics.channelUp.Set(1)
			c.opts.Logger.InfoContext(ctx, "announcements of edits are heard")
			missed()
			if c.opts.Keys != nil {
				c.opts.Keys.Missed()
			}
			if c.opts.Missed != nil {
				c.opts.Missed(lost)
			}
			c.hears.Store(true)
		})
		if now := time.Now(); c.hears.Swap(false) {
			lost = now
		}
		if ctx.Err() != nil {
			break
		}
		c.metrics.channelUp.Set(0)
		c.lookAround()
		if wait == retryFirst {
			c.opts.Logger.WarnContext(ctx, "announcements of edits are not heard", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(jittered(wait)):
		}
		wait = min(2*wait, retryLongest)
	}
	c.metrics.channelUp.Set(0)
}

// Hears reports whether Listen hears all that is announced: what is lost is noticed after
// two seconds at most.
func (c *Cache) Hears() bool { return c.hears.Load() }

// listen follows one subscription to its end.
func (c *Cache) listen(ctx context.Context, heard func(l store.Link), begun func()) error {
	sub := c.client.Subscribe(ctx, c.channel)
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer func() {
		stop()
		_ = sub.Close()
	}()
	asked := false
	var counted time.Time
	for {
		if time.Since(counted) > countEvery {
			counted = time.Now()
			c.countNodes(ctx)
		}
		message, err := sub.ReceiveTimeout(ctx, silence)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout() && asked:
			return errSilent
		case errors.As(err, &timeout) && timeout.Timeout():
			asked = true
			if err := sub.Ping(ctx); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		asked = false
		switch m := message.(type) {
		case *redis.Subscription:
			begun()
		case *redis.Message:
			c.hear(m.Payload, heard)
		}
	}
}

// countNodes counts who listens. One that cannot be counted is as before.
func (c *Cache) countNodes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	if counts, err := c.client.PubSubNumSub(ctx, c.channel).Result(); err == nil && counts[c.channel] > 0 {
		c.nodes.Store(counts[c.channel])
		c.metrics.nodes.Set(float64(counts[c.channel]))
	}
}

func (c *Cache) hear(text string, heard func(l store.Link)) {
	if hash, at, ok := decodeRevocation(text); ok {
		c.metrics.heard.Inc()
		if c.opts.Keys != nil {
			c.opts.Keys.Revoked(hash, at)
		}
		return
	}
	l, ok := decode(text, codeIn(text))
	if !ok {
		c.metrics.garbled.Inc()
		return
	}
	c.metrics.heard.Inc()
	heard(l)
}

// codeIn returns the code of the link that text holds, if it does.
func codeIn(text string) string {
	if len(text) < headerLen {
		return ""
	}
	r := reader{text: text[headerLen:]}
	return r.string()
}

package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/terse/terse/store"
)

// channelOf returns the channel for announcements of edited links and revoked API keys. The
// name contains the database, because all databases of a Redis share its channels, and
// another database may belong to another Terse that uses the same codes.
func channelOf(database int) string { return fmt.Sprintf("terse:1:edits@%d", database) }

const (
	// silence is how long the channel may be silent before a ping, and how long the answer to
	// the ping may take.
	silence = time.Second

	// lookEvery is the interval between two counts of listening processes, and between two
	// looks at the masters of a cluster.
	lookEvery = time.Second

	// retryFirst and retryLongest limit the wait between two attempts to listen.
	retryFirst   = 50 * time.Millisecond
	retryLongest = time.Second
)

// errSilent says that Redis did not answer a ping on the channel.
var errSilent = errors.New("no answer on the channel")

// Listen calls heard for every announced link, including links announced by this process. It
// calls missed each time it has connected, also the first time, because earlier announcements
// are lost. One goroutine calls both of them and Options.Keys. Listen returns when ctx ends.
func (c *Cache) Listen(ctx context.Context, heard func(l store.Link), missed func()) {
	wait, lost := retryFirst, time.Now()
	for ctx.Err() == nil {
		err := c.listen(ctx, heard, func() {
			wait = retryFirst
			c.metrics.channelUp.Set(1)
			c.opts.Logger.InfoContext(ctx, "redis announces the edits of other nodes")
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
		c.reloadMasters()
		if wait == retryFirst {
			c.opts.Logger.WarnContext(ctx, "redis cannot be used, retrying: edits of other nodes reach this node late", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(jittered(wait)):
		}
		wait = min(2*wait, retryLongest)
	}
	c.metrics.channelUp.Set(0)
}

// Hears reports whether Listen receives all announcements. It notices a lost connection
// after two seconds at most.
func (c *Cache) Hears() bool { return c.hears.Load() }

// listen reads one subscription until it fails or ctx ends.
func (c *Cache) listen(ctx context.Context, heard func(l store.Link), begun func()) error {
	sub := c.client.Subscribe(ctx, c.channel)
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer func() {
		stop()
		_ = sub.Close()
	}()
	asked := false
	var looked time.Time
	masters := ""
	for {
		if time.Since(looked) > lookEvery {
			looked = time.Now()
			c.countNodes(ctx)
			masters = c.lookAtMasters(ctx, masters)
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

// countNodes counts the listening processes. If that fails, the earlier count remains.
func (c *Cache) countNodes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	if counts, err := c.client.PubSubNumSub(ctx, c.channel).Result(); err == nil && counts[c.channel] > 0 {
		c.nodes.Store(counts[c.channel])
		c.metrics.nodes.Set(float64(counts[c.channel]))
	}
}

// lookAtMasters returns the addresses of the masters of a cluster. If they differ from those
// before, a replica may have taken over that lacks the last edits, so it calls Options.Missed.
// Before is "" at the first call. Without a cluster, or if no master is known, lookAtMasters
// returns before. The master of the channel needs no look: its failure ends the subscription.
func (c *Cache) lookAtMasters(ctx context.Context, before string) string {
	client, ok := c.client.(*redis.ClusterClient)
	if !ok {
		return before
	}
	ctx, cancel := context.WithTimeout(ctx, slowTimeout) // no announcement is read meanwhile
	defer cancel()
	var mu sync.Mutex
	var addrs []string
	err := client.ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		addrs = append(addrs, master.Options().Addr)
		return nil
	})
	if err != nil || len(addrs) == 0 {
		return before
	}
	slices.Sort(addrs)
	masters := strings.Join(addrs, " ")
	if before != "" && masters != before {
		c.opts.Logger.InfoContext(ctx, "the cluster has other masters", "before", before, "masters", masters)
		if c.opts.Missed != nil {
			c.opts.Missed(time.Now())
		}
	}
	return masters
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

// codeIn returns the code of the link in text, or "" if there is none.
func codeIn(text string) string {
	if len(text) < headerLen {
		return ""
	}
	r := reader{text: text[headerLen:]}
	return r.string()
}

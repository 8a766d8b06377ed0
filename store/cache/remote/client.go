package remote

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Connections to one server. Calls travel together, so few will do.
const (
	poolSize    = 8
	idleConns   = 4
	dialTimeout = 200 * time.Millisecond
	connIdle    = 5 * time.Minute
	connLife    = 30 * time.Minute
)

// configure adds what does not stand in the URL: nothing waits for longer than a
// round trip may take, and nothing is tried again.
func configure(o *redis.UniversalOptions, timeout time.Duration) *redis.UniversalOptions {
	o.Protocol = 2
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DialTimeout, o.PoolTimeout = dialTimeout, timeout
	o.ReadTimeout, o.WriteTimeout = max(patience, timeout), max(patience, timeout) // contexts end sooner
	o.ContextTimeoutEnabled = true
	o.PoolSize, o.PipelinePoolSize, o.MaxIdleConns = poolSize, -1, idleConns
	o.ConnMaxIdleTime, o.ConnMaxLifetime, o.ConnMaxLifetimeJitter = connIdle, connLife, connLife/6
	o.ClientName = "terse"
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o
}

// silenceClient keeps the client library from writing lines of its own to standard
// error. What they say is in our metrics and errors. Its logger belongs to the
// whole process.
var silenceClient = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

package remote

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Limits of the connections to one server. Calls share round trips, so a few are enough.
const (
	poolSize    = 8
	idleConns   = 4
	dialTimeout = 200 * time.Millisecond
	connIdle    = 5 * time.Minute
	connLife    = 30 * time.Minute
)

// configure adds the options that are not in the URL. Calls do not wait longer than a round
// trip may take, and the client does not retry.
func configure(o *redis.UniversalOptions, timeout time.Duration) *redis.UniversalOptions {
	o.Protocol = 2
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DialTimeout, o.PoolTimeout = dialTimeout, timeout
	o.ReadTimeout, o.WriteTimeout = max(slowTimeout, timeout), max(slowTimeout, timeout) // contexts end sooner
	o.ContextTimeoutEnabled = true
	o.PoolSize, o.PipelinePoolSize, o.MaxIdleConns = poolSize, -1, idleConns
	o.ConnMaxIdleTime, o.ConnMaxLifetime, o.ConnMaxLifetimeJitter = connIdle, connLife, connLife/6
	o.ClientName = "terse"
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o
}

// silenceClient stops the client library from logging to standard error. Our metrics and
// errors have the same information. The library's logger belongs to the whole process.
var silenceClient = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// role is what connections are for. Each role has connections of its own, so
// that none can starve another.
type role int

const (
	redirects  role = iota // Resolve
	reads                  // reads of one thing for the API: a link, an API key
	writes                 // creates, edits and whatever else commits for the API
	lists                  // what reads many rows: lists, histories, exports
	counting               // clicks
	control                // probes, buckets and leases
	delivering             // the outbox
	roles                  // how many there are
)

// roleNames are the values of the label role.
var roleNames = [roles]string{"redirects", "reads", "writes", "lists", "clicks", "control", "outbox"}

// conns is the most connections to one server, by role.
var conns = [roles]int32{redirects: 2, reads: 2, writes: 6, lists: 2, counting: 1, control: 2, delivering: 2}

// How long a connection lives: long enough to be worth its making, and not so long
// that it outlives a change of the servers behind a name.
const (
	connLifetime = 30 * time.Minute
	connJitter   = 5 * time.Minute
	connIdle     = 5 * time.Minute
	healthPeriod = 30 * time.Second
)

// connectTimeout bounds the connecting to one host, where the URL does not.
const connectTimeout = time.Second

// newPool returns a pool that connects when it is first used. primaryOf is the shard's
// branches for its primary, nil for a replica. Errors do not repeat the URL, which may
// contain a password.
func newPool(ctx context.Context, dsn string, r role, primaryOf *branches, tracer pgx.QueryTracer) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("is no connection URL that can be read")
	}
	config.ConnConfig.Tracer = tracer
	config.ConnConfig.OnNotice = noteCancelledWait
	config.MaxConns, config.MinConns, config.MinIdleConns = conns[r], 0, 0
	config.MaxConnLifetime, config.MaxConnLifetimeJitter = connLifetime, connJitter
	config.MaxConnIdleTime, config.HealthCheckPeriod = connIdle, healthPeriod
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	if primaryOf != nil {
		valid := config.ConnConfig.ValidateConnect
		if valid != nil && (r == redirects || r == control) {
			// A primary that takes no writes for a while can still be read.
			valid = pgconn.ValidateConnectTargetSessionAttrsPrimary
		}
		config.ConnConfig.ValidateConnect = primaryOf.admit(valid)
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "terse " + roleNames[r]
	}
	return pgxpool.NewWithConfig(ctx, config)
}

package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// role is the purpose of connections. Each role has its own connections, so that no role
// can use up the connections of another.
type role int

const (
	redirects  role = iota // Resolve
	reads                  // short reads for the API: a link, an API key
	writes                 // creates, edits and all other commits for the API
	lists                  // reads of many rows: lists, histories, exports
	counting               // clicks
	control                // probes, buckets and leases
	delivering             // the outbox
	folding                // folds and retention of clicks
	roles                  // the number of roles
)

// roleNames are the values of the label role.
var roleNames = [roles]string{"redirects", "reads", "writes", "lists", "clicks", "control", "outbox", "folds"}

// conns is the most connections to one server, by role.
var conns = [roles]int32{redirects: 2, reads: 2, writes: 6, lists: 2, counting: 1, control: 2, delivering: 2, folding: 1}

// The lifetime of a connection: long enough that connecting costs little, short enough to
// follow a change of the servers behind a name.
const (
	connLifetime = 30 * time.Minute
	connJitter   = 5 * time.Minute
	connIdle     = 5 * time.Minute
	healthPeriod = 30 * time.Second
)

// connectTimeout limits connecting to one host, unless the URL has its own limit.
const connectTimeout = time.Second

// newPool returns a pool, which connects at its first use. primaryOf is the shard's
// branches for the primary, and nil for a replica. Errors do not repeat the URL, because
// it may contain a password.
func newPool(ctx context.Context, dsn string, r role, primaryOf *branches, tracer pgx.QueryTracer) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("invalid connection URL")
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
			// A primary that is read-only for a while can still be read.
			valid = pgconn.ValidateConnectTargetSessionAttrsPrimary
		}
		config.ConnConfig.ValidateConnect = primaryOf.admit(valid)
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "terse " + roleNames[r]
	}
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		return conn.PgConn().Exec(ctx, planByIndex).Close()
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// planByIndex makes the planner search an index whenever there is one. A connection keeps the
// plans of its statements. A plan that was made while a table was nearly empty would read the
// whole table, however large it is by now. Without jit, the high cost that the planner gives
// to the remaining sequential scans does not start the compiler.
const planByIndex = `SET enable_seqscan = off; SET jit = off`

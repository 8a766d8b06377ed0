package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/terse/terse/store"
)

// branch is a cluster and a timeline of its write-ahead log. Each promotion begins a new
// timeline with a higher number. So of two primaries of one cluster, the primary with the
// lower timeline was replaced. Timelines of different clusters do not compare.
type branch struct {
	system   string // the identifier of the cluster, shared by a primary and its replicas
	timeline int64  // 0 for a server in recovery
}

// selectBranch is the columns of a branch. An ordinary role may call these functions.
const selectBranch = `(SELECT system_identifier::text FROM pg_control_system()),
	CASE WHEN pg_is_in_recovery() THEN '' ELSE pg_walfile_name(pg_current_wal_insert_lsn()) END`

// newBranch reads a branch from the columns of selectBranch. A WAL file's name begins
// with the timeline in eight hexadecimal digits.
func newBranch(system, walFile string) (branch, error) {
	if walFile == "" {
		return branch{system: system}, nil
	}
	timeline, err := strconv.ParseInt(walFile[:min(8, len(walFile))], 16, 64)
	if err != nil {
		return branch{}, fmt.Errorf("timeline of WAL file %q: %w", walFile, err)
	}
	return branch{system, timeline}, nil
}

// errReplaced is the error of a primary after the promotion of another server.
var errReplaced = errors.New("it was replaced as primary: another server has a higher timeline")

// sighting is the state of a server at its last answer.
type sighting struct {
	branch  branch
	started time.Time // when the server started, which identifies it under several addresses
	writes  bool      // it accepts writes
}

// branches records the newest branch of each cluster that the servers of a shard have shown,
// and which servers accept writes. Safe for concurrent use.
type branches struct {
	mu     sync.Mutex
	newest map[string]int64    // timelines by cluster
	seen   map[string]sighting // by address

	surveyed chan struct{} // closed when the first survey has ended
}

func newBranches() *branches {
	return &branches{newest: map[string]int64{}, seen: map[string]sighting{}, surveyed: make(chan struct{})}
}

// note records the state of the server at an address; nil means that it did not answer. It
// reports whether the server's timeline is higher than the cluster's earlier timelines.
func (b *branches) note(address string, s *sighting) (raised bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s == nil {
		delete(b.seen, address)
		return false
	}
	b.seen[address] = *s
	known, ok := b.newest[s.branch.system]
	if s.branch.timeline <= known {
		return false
	}
	b.newest[s.branch.system] = s.branch.timeline
	return ok
}

// check returns an error if another server was promoted after this branch.
func (b *branches) check(of branch) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if newest := b.newest[of.system]; of.timeline > 0 && of.timeline < newest {
		return fmt.Errorf("%w: %w: %d, not %d", store.ErrUnavailable, errReplaced, newest, of.timeline)
	}
	return nil
}

// writable returns how many servers accept writes.
func (b *branches) writable() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	servers := map[time.Time]bool{}
	for _, s := range b.seen {
		if s.writes {
			servers[s.started] = true
		}
	}
	return len(servers)
}

// branchKey is the key of a connection's branch in its custom data.
const branchKey = "terse.branch"

// admit returns a function that validates a new connection: valid, which may be nil, must
// accept it, and its server must not have been replaced. The function waits for the first
// survey, so that a starting node knows the highest timeline.
func (b *branches) admit(valid pgconn.ValidateConnectFunc) pgconn.ValidateConnectFunc {
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		if valid != nil {
			if err := valid(ctx, conn); err != nil {
				return err
			}
		}
		select {
		case <-b.surveyed:
		case <-ctx.Done():
			return ctx.Err()
		}
		result, err := conn.Exec(ctx, "SELECT "+selectBranch).ReadAll()
		if err != nil {
			return fmt.Errorf("read the timeline: %w", err)
		}
		if len(result) != 1 || len(result[0].Rows) != 1 {
			return errors.New("read the timeline: no row")
		}
		row := result[0].Rows[0]
		of, err := newBranch(string(row[0]), string(row[1]))
		if err != nil {
			return err
		}
		conn.CustomData()[branchKey] = of
		return b.check(of)
	}
}

// current returns an error if the server of a connection was replaced.
func (b *branches) current(conn *pgx.Conn) error {
	of, ok := conn.PgConn().CustomData()[branchKey].(branch)
	if !ok {
		return nil
	}
	return b.check(of)
}

// firstSurvey limits how long new connections wait for the first survey.
const firstSurvey = 500 * time.Millisecond

// survey probes every server in the primary's URL each ProbeEvery, until ctx ends. It is
// needed because the pools connect only to the first server that accepts writes, and no longer to
// a primary that was replaced. A shard with only one server needs no survey.
func (s *Store) survey(ctx context.Context) {
	hosts := hostsOf(s.primary.pools[control].Config().ConnConfig)
	if len(hosts) < 2 && len(s.replicas) == 0 {
		close(s.branches.surveyed)
		return
	}
	var first, all sync.WaitGroup
	for address, config := range hosts {
		first.Add(1)
		all.Go(func() { s.surveyHost(ctx, address, config, sync.OnceFunc(first.Done)) })
	}
	asked := make(chan struct{})
	go func() {
		first.Wait()
		close(asked)
	}()
	select {
	case <-asked:
	case <-time.After(firstSurvey):
	}
	close(s.branches.surveyed)
	all.Wait()
	<-asked
}

// surveyHost asks one server until ctx ends. It calls asked after each answer or failure.
func (s *Store) surveyHost(ctx context.Context, address string, config *pgx.ConnConfig, asked func()) {
	defer asked()
	var conn *pgx.Conn
	tick := time.NewTicker(s.opts.ProbeEvery)
	defer tick.Stop()
	for {
		conn = s.surveyOnce(ctx, address, config, conn)
		asked()
		select {
		case <-ctx.Done():
			if conn != nil {
				closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
				defer cancel()
				_ = conn.Close(closing)
			}
			return
		case <-tick.C:
		}
	}
}

// surveyOnce asks one server over conn, or over a new connection if conn is nil. It returns
// the connection for the next call, or nil after an error.
func (s *Store) surveyOnce(ctx context.Context, address string, config *pgx.ConnConfig, conn *pgx.Conn) *pgx.Conn {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var err error
	if conn == nil {
		conn, err = pgx.ConnectConfig(ctx, config)
	}
	var l look
	if err == nil {
		err = s.inspect(ctx, conn, &l)
	}
	if err != nil {
		s.branches.note(address, nil)
		if conn != nil {
			_ = conn.Close(ctx)
		}
		return nil
	}
	s.saw(address, &l)
	return conn
}

// hostsOf returns a configuration for each server in a connection URL, by address.
func hostsOf(config *pgx.ConnConfig) map[string]*pgx.ConnConfig {
	hosts := map[string]*pgx.ConnConfig{}
	all := append([]*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}}, config.Fallbacks...)
	for _, f := range all {
		address := fmt.Sprintf("%s:%d", f.Host, f.Port)
		if one := hosts[address]; one != nil { // the same server with or without TLS
			one.Fallbacks = append(one.Fallbacks, f)
			continue
		}
		one := config.Copy()
		one.Host, one.Port, one.TLSConfig, one.Fallbacks, one.ValidateConnect = f.Host, f.Port, f.TLSConfig, nil, nil
		one.RuntimeParams["application_name"] = "terse survey"
		hosts[address] = one
	}
	return hosts
}

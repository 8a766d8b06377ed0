//go:build unix

package testenv

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// ClusterOptions say what cluster to start.
type ClusterOptions struct {
	Location

	// Replicas is how many replicas follow the primary. Default 0.
	Replicas int

	// Sync makes a commit on the primary wait until one replica has it too. A
	// promoted replica does not wait for others. Needs Replicas.
	Sync bool

	// Durable makes commits survive a power cut of the machine. Default: commits
	// survive the death of the servers only, which is what tests cause.
	Durable bool

	// Settings are lines of postgresql.conf for the primary and its replicas. They
	// override the defaults chosen here. The port cannot be set.
	Settings map[string]string
}

func (o ClusterOptions) validate() error {
	var errs []error
	if o.Replicas < 0 {
		errs = append(errs, fmt.Errorf("option Replicas = %d, must not be negative", o.Replicas))
	}
	if o.Sync && o.Replicas == 0 {
		errs = append(errs, errors.New("option Sync needs Replicas: commits would wait for ever"))
	}
	return errors.Join(errs...)
}

// settings returns the part of postgresql.conf that is the same on all servers.
func (o ClusterOptions) settings() map[string]string {
	conf := map[string]string{
		"autovacuum":                  "on",
		"dynamic_shared_memory_type":  "mmap", // in the folder, so it is removed with the folder
		"hot_standby":                 "on",
		"listen_addresses":            host,
		"log_timezone":                "UTC",
		"max_connections":             "100",
		"max_wal_senders":             "10",
		"max_wal_size":                "1GB",
		"shared_buffers":              "32MB",
		"synchronous_commit":          "on",
		"timezone":                    "UTC",
		"unix_socket_directories":     "",
		"wal_keep_size":               "512MB", // a replica that is this far behind can still catch up
		"wal_level":                   "logical",
		"wal_retrieve_retry_interval": "100ms",
		"max_replication_slots":       "10",
		"default_text_search_config":  "pg_catalog.simple",
		"lc_messages":                 "C",
	}
	if !o.Durable {
		conf["fsync"], conf["full_page_writes"] = "off", "off"
	}
	maps.Copy(conf, o.Settings)
	return conf
}

// Cluster is a primary and its replicas. Safe for concurrent use.
type Cluster struct {
	folder   *folder
	primary  *Postgres
	replicas []*Postgres
}

// StartCluster starts a cluster in about a second and returns once its replicas
// stream. The caller ends it with Stop. The cluster also ends when the calling
// process ends or is killed. Without an installed Postgres the error says how to
// install it.
func StartCluster(ctx context.Context, opts ClusterOptions) (*Cluster, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("start Postgres: %w", err)
	}
	install, err := findPostgres(ctx)
	if err != nil {
		return nil, fmt.Errorf("start Postgres: %w", err)
	}
	f, err := newFolder(opts.Location)
	if err != nil {
		return nil, fmt.Errorf("start Postgres: %w", err)
	}
	settings := opts.settings()
	c := &Cluster{folder: f}
	primary := maps.Clone(settings)
	if opts.Sync {
		primary["synchronous_standby_names"] = "ANY 1 (*)"
	}
	c.primary = newPostgres(f, install, "primary", primary, nil)
	for i := range opts.Replicas {
		c.replicas = append(c.replicas, newPostgres(f, install, fmt.Sprintf("replica-%d", i+1), settings, c.primary))
	}
	if err := c.start(ctx, install); err != nil {
		return nil, errors.Join(fmt.Errorf("start Postgres: %w", err), c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, install installation) error {
	template, err := c.folder.template(ctx, install)
	if err != nil {
		return err
	}
	if err := each(ctx, c.all(), func(ctx context.Context, p *Postgres) error {
		return c.folder.unpack(ctx, template, p.name)
	}); err != nil {
		return err
	}
	if err := c.primary.Start(ctx); err != nil {
		return err
	}
	if err := each(ctx, c.replicas, func(ctx context.Context, p *Postgres) error {
		return p.Start(ctx)
	}); err != nil {
		return err
	}
	return c.primary.awaitStreaming(ctx, c.replicas...)
}

// Stop kills the servers and removes their data.
func (c *Cluster) Stop() error { return c.folder.close() }

// Primary returns the server that started as the primary, even after another was
// promoted.
func (c *Cluster) Primary() *Postgres { return c.primary }

// Replicas returns the servers that started as replicas.
func (c *Cluster) Replicas() []*Postgres { return append([]*Postgres(nil), c.replicas...) }

// DSN returns the URL of a database. It names all servers. Clients connect to the
// server that accepts writes.
func (c *Cluster) DSN(database string) string {
	var addrs []string
	for _, p := range c.all() {
		addrs = append(addrs, p.Addr())
	}
	return dsn(strings.Join(addrs, ","), database) + "&target_session_attrs=read-write"
}

// NewDatabase creates an empty database on the primary and returns once the
// replicas have it too. It takes much less time than starting another cluster.
func (c *Cluster) NewDatabase(ctx context.Context, name string) error {
	if err := c.primary.Exec(ctx, "postgres", "create database "+pgx.Identifier{name}.Sanitize()); err != nil {
		return err
	}
	return c.WaitReplicas(ctx)
}

// WaitReplicas returns once every replica shows everything that the primary had
// committed at the time of the call.
func (c *Cluster) WaitReplicas(ctx context.Context) error {
	var position string
	err := c.primary.session(ctx, "postgres", func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select pg_current_wal_lsn()::text").Scan(&position)
	})
	if err != nil {
		return fmt.Errorf("position of the primary: %w", err)
	}
	return each(ctx, c.replicas, func(ctx context.Context, p *Postgres) error {
		return p.await(ctx, "pg_last_wal_replay_lsn() >= $1::text::pg_lsn", position)
	})
}

func (c *Cluster) all() []*Postgres { return append([]*Postgres{c.primary}, c.replicas...) }

// each calls do for all servers at the same time.
func each(ctx context.Context, all []*Postgres, do func(context.Context, *Postgres) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range all {
		group.Go(func() error { return do(ctx, p) })
	}
	return group.Wait()
}

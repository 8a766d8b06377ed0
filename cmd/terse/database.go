package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/abuse/blocklist"
	"github.com/terse/terse/abuse/reports"
	"github.com/terse/terse/abuse/scan"
	"github.com/terse/terse/clicks/fold"
	"github.com/terse/terse/domains"
	"github.com/terse/terse/idgen"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/outbox"
	"github.com/terse/terse/store/postgres"
	"github.com/terse/terse/store/postgres/schema"
	"github.com/terse/terse/store/shard"
	"github.com/terse/terse/store/sqlite"
)

// database contains the interfaces of the embedded database, or of all shards, for the server.
type database struct {
	links       store.Store
	archive     store.Archive
	keys        store.Keys
	history     store.History
	tags        store.Tags
	blocked     store.Blocklist
	reports     store.Reports
	domainStore store.Domains
	sink        clickSink
	clickDays   store.ClickDays
	leaser      idgen.Leaser
	codeKey     []byte
	placement   idgen.Placement // nil: the embedded database
	router      *shard.Router   // nil: the embedded database

	certificates store.Certificates

	outboxes []outbox.Named
	folders  []fold.Named
	blocks   []blocklist.Source
	hosts    []domains.Source
	counters []reports.Named
	scanned  []scan.Source
	edited   func(code string, version int64) // called when another node announces an edit; may be nil
}

// embedded opens the embedded database.
func (p *process) embedded(ctx context.Context) (database, error) {
	d, err := sqlite.Open(ctx, sqlite.Options{
		Dir: p.settings.dataDir, Serve: true, WriteTimeout: storeTimeout, Logger: p.logger, Registerer: p.registry,
	})
	if err != nil {
		return database{}, err
	}
	p.open.push("database", closeTimeout, func(context.Context) error { return d.Close() })
	key, err := idgen.StoredKey(ctx, d, p.settings.codeKey)
	if errors.Is(err, idgen.ErrOtherKey) {
		err = settingsError{fmt.Errorf("%sCODE_KEY: %w. Use the key that the database was created with, or remove this setting", envPrefix, err)}
	}
	return database{
		links: d, archive: d, keys: d, history: d, tags: d, blocked: d, reports: d, domainStore: d, sink: d, clickDays: d, leaser: d.Leases(), codeKey: key, certificates: d,
		outboxes: []outbox.Named{{Name: "embedded", Outbox: d}},
		folders:  []fold.Named{{Name: "embedded", Folder: d}},
		blocks:   []blocklist.Source{{Name: "embedded", List: d}},
		hosts:    []domains.Source{{Name: "embedded", Domains: d}},
		counters: []reports.Named{{Name: "embedded", Counter: d}},
		scanned:  []scan.Source{{Name: "embedded", Links: d}},
	}, err
}

// sharded opens the shards. It retries unreachable shards in the background. It returns an error
// if a shard contradicts the settings.
func (p *process) sharded(ctx context.Context) (database, error) {
	var outboxes []outbox.Named
	var folders []fold.Named
	var blocks []blocklist.Source
	var hosts []domains.Source
	var counters []reports.Named
	var scanned []scan.Source
	router, err := openShards(ctx, p.settings.shards, &p.open, shardOptions{
		batchSize: p.settings.batchSize, maxAge: p.settings.replicaMaxAge, nodeID: p.settings.nodeID, logger: p.logger, registerer: p.registry, tracer: p.tracer.Postgres(),
		opened: func(name string, s *postgres.Store) {
			outboxes = append(outboxes, outbox.Named{Name: name, Outbox: s})
			folders = append(folders, fold.Named{Name: name, Folder: s})
			blocks = append(blocks, blocklist.Source{Name: name, List: s})
			hosts = append(hosts, domains.Source{Name: name, Domains: s})
			counters = append(counters, reports.Named{Name: name, Counter: s})
			scanned = append(scanned, scan.Source{Name: name, Links: s})
		},
	})
	switch {
	case errors.Is(err, store.ErrUnavailable):
		p.logger.WarnContext(ctx, "no shard is reachable, retrying", "err", err)
	case err != nil:
		return database{}, err
	}
	p.health.Require("schema", func() error { return router.Lack().Schema })
	p.health.Require("map", func() error { return router.Lack().Buckets })
	return database{
		links: router, archive: router, keys: router, history: router, tags: router, blocked: router, reports: router, domainStore: router, sink: router, clickDays: router, leaser: router.Leaser(), codeKey: p.settings.codeKey, placement: router, router: router, certificates: router,
		outboxes: outboxes, folders: folders, blocks: blocks, hosts: hosts, counters: counters, scanned: scanned, edited: router.Edited,
	}, nil
}

// shardOptions are the options of openShards.
type shardOptions struct {
	batchSize  int                                  // 0: the default
	maxAge     time.Duration                        // of a replica's data; 0: the default
	opened     func(name string, s *postgres.Store) // called for each shard; may be nil
	patience   time.Duration                        // for a shard to return its buckets; 0: the default
	nodeID     int64
	logger     *slog.Logger
	registerer prometheus.Registerer
	tracer     pgx.QueryTracer // nil: no traces
}

// commandPatience is how long a command waits for the buckets of a shard. A server waits less, and
// tries again in the background.
const commandPatience = 5 * time.Second

// openShards connects to the shards and loads the map of buckets. It returns
// store.ErrUnavailable and a usable Router when no shard is reachable.
func openShards(ctx context.Context, shards []shardSettings, open *cleanup, opts shardOptions) (*shard.Router, error) {
	var members []shard.Named
	for _, s := range shards {
		one, err := postgres.Open(ctx, postgres.Options{
			Name: s.name, Primary: s.primary, Replicas: s.replicas, SchemaVersion: schema.Latest(),
			MaxBatch: opts.batchSize, MaxAge: opts.maxAge, Logger: opts.logger, Registerer: opts.registerer, Tracer: opts.tracer,
		})
		if err != nil {
			return nil, err
		}
		open.push("shard "+s.name, closeTimeout, func(context.Context) error { return one.Close() })
		if opts.opened != nil {
			opts.opened(s.name, one)
		}
		members = append(members, shard.Named{Name: s.name, Shard: one, Leaser: leaserOf(one, opts.nodeID)})
	}
	router, err := shard.New(shard.Options{Shards: members, RefreshTimeout: opts.patience, Logger: opts.logger, Registerer: opts.registerer})
	if err != nil {
		return nil, err
	}
	open.push("shards", closeTimeout, func(context.Context) error {
		router.Close()
		return nil
	})
	return router, router.Load(ctx)
}

// leaserOf returns a leaser of a shard for the given node id. For anyNode it leases any free id.
func leaserOf(s *postgres.Store, nodeID int64) shard.Leaser {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	leases := s.Leases(host + " pid " + strconv.Itoa(os.Getpid()))
	if nodeID == anyNode {
		return leases
	}
	return idgen.FixedNode(leases, nodeID)
}

// codes leases a node id and mints codes.
func (p *process) codes(ctx context.Context, d database) (*idgen.Codes, error) {
	cipher, err := idgen.NewCipher(d.codeKey)
	if err != nil {
		return nil, err
	}
	minter, err := idgen.NewMinter(ctx, idgen.Options{Leaser: d.leaser, Logger: p.logger, Registerer: p.registry})
	if err != nil {
		return nil, fmt.Errorf("lease a node id: %w", err)
	}
	p.open.push("node id", closeTimeout, minter.Close)
	return idgen.NewCodes(minter, cipher, d.placement), nil
}

// foldClicks starts the worker that folds clicks into days.
func (p *process) foldClicks(d database) error {
	worker, err := fold.New(fold.Options{Folders: d.folders, KeepDays: p.settings.clicks.keepDays, Logger: p.logger, Registerer: p.registry})
	if err != nil {
		return err
	}
	p.open.push("folds of clicks", closeTimeout, worker.Close)
	return nil
}

// administered is the data that operators change with commands.
type administered interface {
	store.Keys
	store.Blocklist
	store.Domains
}

// withKeys is withDatabase for commands on API keys.
func withKeys(ctx context.Context, f *dataFlags, out output, use func(store.Keys) error) error {
	return withDatabase(ctx, f, out, func(d administered) error { return use(d) })
}

// withDatabase opens the database, calls use and closes the database. Servers may run at the
// same time.
func withDatabase(ctx context.Context, f *dataFlags, out output, use func(administered) error) (err error) {
	logger := slog.New(slog.NewTextHandler(out.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var open cleanup
	defer func() { err = errors.Join(err, open.close(context.WithoutCancel(ctx))) }()
	shards, err := f.readShards()
	if err != nil {
		return err
	}
	if len(shards) > 0 {
		router, err := openShards(ctx, shards, &open, shardOptions{patience: commandPatience, nodeID: anyNode, logger: logger})
		if err != nil {
			return err
		}
		return use(router)
	}
	d, err := sqlite.Open(ctx, sqlite.Options{Dir: f.DataDir, Logger: logger})
	if err != nil {
		return err
	}
	open.push("database", closeTimeout, func(context.Context) error { return d.Close() })
	return use(d)
}

// initFlag is the flag of commands that may create the embedded database.
type initFlag struct {
	Init bool `help:"Create the embedded database if it does not exist. Default: only terse serve creates it."`
}

// requireOrInit returns the error of requireDatabase, unless the command may create the database.
func (i initFlag) requireOrInit(ctx context.Context, f *dataFlags) error {
	err := f.requireDatabase(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		if i.Init {
			return nil
		}
		err = fmt.Errorf("%w. To create a database there, pass --init", err)
	}
	return err
}

// requireDatabase returns an error when the embedded database does not exist yet, so that a
// command in the wrong folder does not work on an empty database. It does not check shards.
func (f *dataFlags) requireDatabase(ctx context.Context) error {
	if f.Shards != "" {
		return nil
	}
	_, err := sqlite.NewMigrator(f.DataDir).Version(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return missingDatabase{f.database()}
	}
	return err
}

// missingDatabase is the error of a command without a database.
type missingDatabase struct{ path string }

// Error implements error.
func (m missingDatabase) Error() string {
	return fmt.Sprintf("there is no database %s. Set the data folder of the server with --data-dir or %sDATA_DIR", m.path, envPrefix)
}

// Unwrap implements errors.Is.
func (missingDatabase) Unwrap() error { return fs.ErrNotExist }

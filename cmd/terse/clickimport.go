package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/api"
	"github.com/terse/terse/clicks/country"
	"github.com/terse/terse/clicks/logs"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/domains"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/useragent"
)

type clicksCommand struct {
	Import clicksImport `cmd:"" help:"Count the clicks in access logs of a CDN or proxy. Works beside running servers."`
}

type clicksImport struct {
	dataFlags
	countFlags

	Files   []string `arg:"" name:"file" help:"Access logs, plain or compressed by gzip. - reads standard input."`
	Format  string   `required:"" placeholder:"NAME" help:"Format of the logs: combined, nginx, varnish, fastly or cloudflare."`
	BaseURL string   `placeholder:"URL" help:"Start of every short URL, as for the server. Required." setting:""`
	Host    string   `placeholder:"HOST" help:"Host of lines without a host. Default: the host of --base-url."`
	All     bool     `help:"Also count lines that the server has answered. Default: only with --clicks-from logs; otherwise the server has counted them."`
}

// Help is shown below the command's purpose.
func (*clicksImport) Help() string {
	return `Each line of a log counts once, even if the log is imported several times, grows, or an import was killed:

    terse clicks import --format varnish /var/log/varnish/clicks.log
    zcat clicks-*.gz | terse clicks import --format fastly -

The summary says how many lines were not counted, and why.`
}

// importPatience is how long an import waits for an unavailable database.
const importPatience = 30 * time.Second

// Run imports the logs.
func (c *clicksImport) Run(ctx context.Context, out output) (err error) {
	opts, hosts, err := c.options()
	if err != nil {
		return settingsError{err}
	}
	if err := c.requireDatabase(ctx); err != nil {
		return err
	}
	var open cleanup
	defer func() { err = errors.Join(err, open.close(context.WithoutCancel(ctx))) }()
	if err := c.open(ctx, out, &open, &opts, hosts); err != nil {
		return err
	}
	importer, err := logs.New(opts)
	if err != nil {
		return err
	}
	for _, name := range c.Files {
		if err := c.importFile(ctx, importer, name, out); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// logHosts are the hosts with short URLs.
type logHosts struct {
	base    string // canonical
	domains *domains.Map
}

// DomainOf implements logs.Hosts. It also finds domains that are off, because a log may be older.
func (h *logHosts) DomainOf(host string) (id string, served bool) {
	if d, known := h.domains.Find(host); known {
		return d.ID, d.State != store.DomainPending
	}
	canonical, err := store.CanonicalHost(host)
	return "", err == nil && (canonical == h.base || store.IsLoopback(canonical) && store.IsLoopback(h.base))
}

// options returns what the command line says. The error has all its problems.
func (c *clicksImport) options() (opts logs.Options, hosts *logHosts, err error) {
	var problems []error
	if opts.Format, err = logs.ParseFormat(c.Format); err != nil {
		problems = append(problems, fmt.Errorf("--format: %w", err))
	}
	settings := c.read(func(name string, err error) { problems = append(problems, variableErrors(name, err)...) })
	hosts = &logHosts{}
	if c.BaseURL == "" {
		problems = append(problems, variableErrors("BASE_URL", errors.New("is required: only lines of this host and of domains count"))...)
	} else if base, err := api.ParseBaseURL(c.BaseURL); err != nil {
		problems = append(problems, variableErrors("BASE_URL", err)...)
	} else if hosts.base, err = store.CanonicalHost(base.Host); err != nil {
		problems = append(problems, variableErrors("BASE_URL", err)...)
	}
	opts.All, opts.Host, opts.Hosts = c.All || settings.fromLogs, c.Host, hosts
	if opts.Host == "" {
		opts.Host = hosts.base
	}
	opts.Exclude, opts.Patience = settings.exclude, importPatience
	return opts, hosts, errors.Join(problems...)
}

// open opens the database or the shards.
func (c *clicksImport) open(ctx context.Context, out output, open *cleanup, opts *logs.Options, hosts *logHosts) error {
	logger := slog.New(slog.NewTextHandler(out.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	shards, err := c.readShards()
	if err != nil {
		return err
	}
	var sources []domains.Source
	if len(shards) > 0 {
		router, err := openShards(ctx, shards, open, shardOptions{
			patience: commandPatience, nodeID: anyNode, logger: logger,
			opened: func(name string, s *postgres.Store) {
				opts.Databases = append(opts.Databases, logs.Database{Name: "shard " + name, Ledger: s})
				sources = append(sources, domains.Source{Name: name, Domains: s})
			},
		})
		if err != nil {
			return err
		}
		opts.Placement, opts.Links = router, router
		// The embedded database has its salts in the memory of the server only.
		if visitors, err := parseBool(c.ClicksVisitors); err == nil && visitors {
			opts.Salts = router
		}
	} else {
		d, err := sqlite.Open(ctx, sqlite.Options{Dir: c.DataDir, Logger: logger})
		if err != nil {
			return err
		}
		open.push("database", closeTimeout, func(context.Context) error { return d.Close() })
		opts.Databases, opts.Links = []logs.Database{{Name: "database", Ledger: d}}, d
		sources = []domains.Source{{Name: "embedded", Domains: d}}
	}
	if hosts.domains, err = domains.New(ctx, domains.Options{Sources: sources, Registerer: prometheus.NewRegistry(), Logger: logger}); err != nil {
		return err
	}
	if !hosts.domains.Complete() {
		return errors.New("the domains cannot be read, because a shard is unavailable")
	}
	opts.Visits, err = newVisits(c.CountryFile, logger)
	return err
}

// newVisits returns a classifier for a command. An empty countryFile is none.
func newVisits(countryFile string, logger *slog.Logger) (*visit.Classifier, error) {
	agents, err := useragent.New()
	if err != nil {
		return nil, err
	}
	countries, err := country.New(country.Options{File: countryFile, Registerer: prometheus.NewRegistry(), Logger: logger})
	if err != nil {
		return nil, err
	}
	return visit.New(agents, countries)
}

// importFile imports one log and prints its summary.
func (c *clicksImport) importFile(ctx context.Context, importer *logs.Importer, name string, out output) (err error) {
	log := out.stdin
	if name != "-" {
		file, unlock, err := openLog(name)
		if err != nil {
			return err
		}
		defer unlock()
		log = file
	}
	s, err := importer.Import(ctx, log)
	printSummary(out.stdout, name, &s)
	switch {
	case err != nil:
		return fmt.Errorf("%w. Repeat the command to count the rest", err)
	case s.Lines > 0 && s.Skipped[logs.Malformed] == s.Lines:
		return fmt.Errorf("no line is in the format %s. Line %d: %w", c.Format, s.FirstMalformed, s.Problem)
	case s.FirstMalformed > 0:
		fmt.Fprintf(out.stderr, "terse: %s: line %d: %v\n", name, s.FirstMalformed, s.Problem)
	}
	return nil
}

// openLog opens a log and locks it against other imports on this machine: while a log grows, two
// imports may see different ends.
func openLog(name string) (log io.Reader, unlock func(), err error) {
	file, err := os.Open(name) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return file, func() { _ = file.Close() }, err
	}
	lock := flock.New(name, flock.SetFlag(os.O_RDONLY))
	locked, err := lock.TryLock()
	if err == nil && !locked {
		return nil, nil, errors.Join(errors.New("another import reads this file"), file.Close())
	}
	// Some file systems have no locks. There the operator must not start two imports of one log.
	return file, func() {
		_ = lock.Close()
		_ = file.Close()
	}, nil
}

// printSummary prints the summary of a log.
func printSummary(w io.Writer, name string, s *logs.Summary) {
	fmt.Fprintf(w, "%s: %d lines, %d clicks of people and %d of robots added\n", name, s.Lines, s.Clicks.People, s.Clicks.Robots)
	for r, n := range s.Skipped {
		if n > 0 {
			fmt.Fprintf(w, "%9d skipped: %s\n", n, logs.Reason(r))
		}
	}
	if s.Incomplete {
		fmt.Fprintf(w, "%s\n", strings.Repeat(" ", 9)+" The last line is not complete. Import the log again when it is.")
	}
}

package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/terse/terse/api"
	"github.com/terse/terse/clicks"
	"github.com/terse/terse/clicks/country"
	"github.com/terse/terse/clicks/spool"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache/cdn"
	"github.com/terse/terse/useragent"
)

// countFlags are the settings of everything that counts clicks: the server and imports of logs.
type countFlags struct {
	ClicksFrom     string `default:"origin" placeholder:"NAME" help:"What counts the visits that come through the CDN, or through a trusted proxy without --cdn: origin or logs. With logs, run terse clicks import. Default: origin." setting:""`
	ClicksVisitors string `default:"true" placeholder:"BOOL" help:"Whether visitors of links are counted. Clients that send Sec-GPC or DNT are never counted as visitors. Default: true." setting:""`
	ClicksExclude  string `placeholder:"CIDR,…" help:"Networks whose clicks are not counted, such as your office. Default: none." setting:""`
	CountryFile    string `placeholder:"FILE" help:"File in the MaxMind DB format with the countries of addresses. Read again when it changes. Default: a table in the binary." setting:""`
}

// clickFlags are the settings of the server for counting clicks.
type clickFlags struct {
	countFlags

	ClicksSpool     string `placeholder:"DIR" help:"Folder for clicks while the database does not store them. Each server needs its own. Default: the folder spool in the data folder; with shards: none." setting:""`
	ClicksSpoolSize string `default:"1024" placeholder:"MIB" help:"Disk space of that folder, in MiB. Default: 1024." setting:""`

	ClicksKeepDays string `placeholder:"DAYS" help:"How many days of statistics are kept. Whole months are deleted together. Default: all." setting:""`
	CountryHeader  string `placeholder:"NAME" help:"Header in which trusted proxies send the country of the client, such as CF-IPCountry. Default: none." setting:""`
}

// clickSettings are clickFlags as the server uses them.
type clickSettings struct {
	spool         string // folder; empty: none
	spoolBytes    int64
	fromLogs      bool // logs count the visits that come through a CDN or proxy
	visitors      bool
	exclude       []netip.Prefix
	keepDays      int    // 0: all
	countryHeader string // in canonical form; empty: none
	countryFile   string // empty: none
}

// The values of TERSE_CLICKS_FROM.
const (
	clicksFromOrigin = "origin"
	clicksFromLogs   = "logs"
)

// maxKeepDays is a hundred years, the longest range of statistics.
const maxKeepDays = 100 * 366

// read turns the flags into settings.
func (f *countFlags) read(try func(name string, err error)) clickSettings {
	s := clickSettings{fromLogs: f.ClicksFrom == clicksFromLogs, countryFile: f.CountryFile}
	if !s.fromLogs && f.ClicksFrom != clicksFromOrigin {
		try("CLICKS_FROM", fmt.Errorf("%q must be %s or %s", f.ClicksFrom, clicksFromOrigin, clicksFromLogs))
	}
	var err error
	s.visitors, err = parseBool(f.ClicksVisitors)
	try("CLICKS_VISITORS", err)
	s.exclude, err = parseNetworks(splitList(f.ClicksExclude))
	try("CLICKS_EXCLUDE", err)
	try("COUNTRY_FILE", country.CheckFile(f.CountryFile))
	return s
}

// read turns the flags into settings. dataDir is the folder of the embedded database, empty with
// shards. proxies says whether there are trusted proxies.
func (f *clickFlags) read(dataDir string, proxies bool, try func(name string, err error)) clickSettings {
	s := f.countFlags.read(try)
	s.spool = f.ClicksSpool
	if s.spool == "" && dataDir != "" {
		s.spool = filepath.Join(dataDir, "spool")
	}
	if s.fromLogs && !proxies {
		try("CLICKS_FROM", fmt.Errorf("%s requires %sTRUSTED_PROXIES: only visits through trusted proxies are in their logs", clicksFromLogs, envPrefix))
	}
	var err error
	s.spoolBytes, err = parseMiB(f.ClicksSpoolSize)
	try("CLICKS_SPOOL_SIZE", err)
	if f.ClicksKeepDays != "" {
		s.keepDays, err = parseCount(f.ClicksKeepDays, maxKeepDays)
		try("CLICKS_KEEP_DAYS", err)
	}
	s.countryHeader, err = api.ParseHeaderName(f.CountryHeader)
	if err == nil && s.countryHeader != "" && !proxies {
		err = fmt.Errorf("requires %sTRUSTED_PROXIES: only trusted proxies may send the country", envPrefix)
	}
	try("COUNTRY_HEADER", err)
	return s
}

// cdnHeaders are headers, in canonical form, that a CDN adds to each request for the origin.
var cdnHeaders = map[string]string{cdn.Varnish: "X-Varnish", cdn.Fastly: "Fastly-Ff", cdn.Cloudflare: "Cf-Ray"}

// clickSink is what the recorder needs of the database.
type clickSink interface {
	store.ClickSink
	clicks.Salts
}

// recorder opens the recorder of clicks.
func (p *process) recorder(ctx context.Context, d database, visits *visit.Classifier) (_ api.ClickRecorder, err error) {
	settings := p.settings.clicks
	options := clicks.Options{Sink: d.sink, Visits: visits, Exclude: settings.exclude, Logger: p.logger, Registerer: p.registry}
	if settings.visitors {
		options.Salts = d.sink
	}
	if options.Spool, err = p.spool(ctx); err != nil {
		return nil, err
	}
	if d.router == nil {
		r, err := clicks.New(options)
		if err != nil {
			return nil, err
		}
		p.open.push("clicks", p.settings.operation.drain.clicks(), r.Close)
		return r, nil
	}
	var names []string
	for _, s := range p.settings.shards {
		names = append(names, s.name)
	}
	r, err := clicks.NewByShard(options, names, d.router.ShardOf)
	if err != nil {
		return nil, err
	}
	p.open.push("clicks", p.settings.operation.drain.clicks(), r.Close)
	return r, nil
}

// spool opens the folder for clicks that the database does not store. It returns nil if there is none.
func (p *process) spool(ctx context.Context) (*spool.Spool, error) {
	settings := p.settings.clicks
	if settings.spool == "" {
		return nil, nil //nolint:nilnil // the recorder takes nil for none
	}
	s, err := spool.Open(ctx, spool.Options{Dir: settings.spool, MaxBytes: settings.spoolBytes, Logger: p.logger, Registerer: p.registry})
	if err != nil {
		return nil, err
	}
	p.open.push("spool", closeTimeout, func(context.Context) error { return s.Close() })
	return s, nil
}

// visits opens the classification of clicks.
func (p *process) visits(ctx context.Context) (*visit.Classifier, error) {
	agents, err := useragent.New()
	if err != nil {
		return nil, err
	}
	countries, err := country.New(country.Options{File: p.settings.clicks.countryFile, Logger: p.logger, Registerer: p.registry})
	if err != nil {
		return nil, err
	}
	p.background(ctx, "countries", countries.Run)
	return visit.New(agents, countries)
}

package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/terse/terse/abuse"
	"github.com/terse/terse/abuse/blocklist"
	"github.com/terse/terse/abuse/reports"
	"github.com/terse/terse/abuse/scan"
	"github.com/terse/terse/abuse/webrisk"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
)

// abuseFlags are the settings for protection against abuse.
type abuseFlags struct {
	LimitReport   string `default:"5/10m" placeholder:"N/TIME" help:"Reports of links by one client, or off. Default: 5/10m." setting:""`
	BlocklistFile string `placeholder:"FILE" help:"File of blocked hosts, one a line; adds to the hosts of terse block. Default: none." setting:""`
	WebriskKey    string `placeholder:"KEY" help:"API key of Google Web Risk, which then checks all targets. Default: no check." setting:"" secret:""`
	WebriskRate   string `default:"50/1s" placeholder:"N/TIME" help:"Requests that this node may send to Google Web Risk, at least one a second. Default: 50/1s." setting:""`
	WebriskURL    string `name:"webrisk-url" default:"https://webrisk.googleapis.com" placeholder:"URL" help:"Address of Google Web Risk, or of a proxy for it. Default: https://webrisk.googleapis.com." setting:""`
	ScanInterval  string `default:"24h" placeholder:"TIME" help:"Time between two scans of all links against the blocklist and Google Web Risk. Default: 24h." setting:""`
}

// abuseSettings are abuseFlags as the server uses them.
type abuseSettings struct {
	blocklistFile string          // empty: none
	webrisk       webrisk.Options // no Key: not used
	scanInterval  time.Duration
}

// read turns the flags into settings. It does not read LimitReport.
func (f *abuseFlags) read(try func(name string, err error)) abuseSettings {
	s := abuseSettings{blocklistFile: f.BlocklistFile, webrisk: webrisk.Options{Key: f.WebriskKey, API: f.WebriskURL}}
	try("BLOCKLIST_FILE", blocklist.CheckFile(f.BlocklistFile))
	try("WEBRISK_KEY", checkSecret(f.WebriskKey))
	limit, err := ratelimit.ParseLimit(f.WebriskRate)
	if err == nil {
		s.webrisk.Rate = float64(limit.Count) / limit.Window.Seconds()
	}
	if err == nil && (limit.Off() || s.webrisk.Rate < 1) {
		err = fmt.Errorf("%q must be at least one request a second, such as 50/1s", f.WebriskRate)
	}
	try("WEBRISK_RATE", err)
	if u, err := url.Parse(f.WebriskURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" {
		try("WEBRISK_URL", fmt.Errorf("%q must look like %s", f.WebriskURL, webrisk.DefaultAPI))
	}
	s.scanInterval, err = parseDuration(f.ScanInterval)
	try("SCAN_INTERVAL", err)
	return s
}

// abuse loads the blocklist and starts the background work against abuse that needs no links:
// following changes of the list and counting reports.
func (p *process) abuse(ctx context.Context, d database) (*blocklist.List, error) {
	list, err := blocklist.New(ctx, blocklist.Options{
		File: p.settings.abuse.blocklistFile, Sources: d.blocks, Now: d.linkTime, Logger: p.logger, Registerer: p.registry,
	})
	if err != nil {
		return nil, err
	}
	p.background(ctx, "blocklist", list.Run)
	gauge, err := reports.NewGauge(reports.Options{Counters: d.counters, Registerer: p.registry})
	if err != nil {
		return nil, err
	}
	p.background(ctx, "reports", gauge.Run)
	return list, nil
}

// againstAbuse returns the use cases against abuse.
func (p *process) againstAbuse(d *database) (*abuse.Service, error) {
	return abuse.New(abuse.Options{Blocklist: d.blocked, Reports: d.reports, Secret: d.codeKey, Now: d.linkTime})
}

// scan starts the background scan of all links.
func (p *process) scan(ctx context.Context, s *stores, links scan.Disabler) error {
	options := scan.Options{
		Sources: s.scanned, Links: links, History: s.history, Blocklist: s.list, Own: s.hosts,
		Except: store.CanaryOwner, Interval: p.settings.abuse.scanInterval, Logger: p.logger, Registerer: p.registry,
		Now: s.linkTime,
	}
	if p.settings.abuse.webrisk.Key != "" {
		settings := p.settings.abuse.webrisk
		settings.Registerer = p.registry
		client, err := webrisk.New(settings)
		if err != nil {
			return err
		}
		p.open.push("web risk", closeTimeout, func(context.Context) error {
			client.Close()
			return nil
		})
		options.Checker = client
	}
	worker, err := scan.New(options)
	if err != nil {
		return err
	}
	p.background(ctx, "scans", worker.Run)
	return nil
}

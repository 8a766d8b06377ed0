package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/terse/terse/api"
	"github.com/terse/terse/clicks"
	"github.com/terse/terse/clicks/country"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/useragent"
)

// clickFlags are the settings for counting clicks.
type clickFlags struct {
	ClicksVisitors string `default:"true" placeholder:"BOOL" help:"Whether the visitors of links are counted, except clients that send Sec-GPC or DNT. Default: true." setting:""`
	ClicksExclude  string `placeholder:"CIDR,…" help:"Networks whose clicks are not counted, such as your office. Default: none." setting:""`
	CountryHeader  string `placeholder:"NAME" help:"Header in which trusted proxies send the country of the client, such as CF-IPCountry. Default: none." setting:""`
	CountryFile    string `placeholder:"FILE" help:"File in the MaxMind DB format with the countries of addresses. Read again when it changes. Default: a table in the binary." setting:""`
}

// clickSettings are clickFlags as the server uses them.
type clickSettings struct {
	visitors      bool
	exclude       []netip.Prefix
	countryHeader string // in canonical form; empty: none
	countryFile   string // empty: none
}

// read turns the flags into settings. proxies says whether there are trusted proxies.
func (f *clickFlags) read(proxies bool, try func(name string, err error)) clickSettings {
	s := clickSettings{countryFile: f.CountryFile}
	var err error
	s.visitors, err = parseBool(f.ClicksVisitors)
	try("CLICKS_VISITORS", err)
	s.exclude, err = parseNetworks(splitList(f.ClicksExclude))
	try("CLICKS_EXCLUDE", err)
	s.countryHeader, err = api.ParseHeaderName(f.CountryHeader)
	if err == nil && s.countryHeader != "" && !proxies {
		err = fmt.Errorf("requires %sTRUSTED_PROXIES: only trusted proxies may send the country", envPrefix)
	}
	try("COUNTRY_HEADER", err)
	try("COUNTRY_FILE", country.CheckFile(f.CountryFile))
	return s
}

// recorder opens the recorder of clicks.
func (p *process) recorder(ctx context.Context, d database) (api.ClickRecorder, error) {
	visits, err := p.visits(ctx)
	if err != nil {
		return nil, err
	}
	settings := p.settings.clicks
	options := clicks.Options{Sink: d.sink, Visits: visits, Exclude: settings.exclude, Logger: p.logger, Registerer: p.registry}
	if salts, ok := d.sink.(clicks.Salts); ok && settings.visitors {
		options.Salts = salts
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

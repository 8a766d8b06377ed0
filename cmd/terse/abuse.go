package main

import (
	"context"

	"github.com/terse/terse/store/blocklist"
	"github.com/terse/terse/store/reports"
)

// abuse reads the hosts that are blocked, and follows their changes and those of
// reports.
func (p *process) abuse(ctx context.Context, d database) (*blocklist.List, error) {
	list, err := blocklist.New(ctx, blocklist.Options{
		File: p.settings.blocklistFile, Sources: d.blocks, Logger: p.logger, Registerer: p.registry,
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

package main

import (
	"context"

	"github.com/terse/terse/store/blocklist"
)

// blocklist reads the hosts that are blocked, and follows their changes.
func (p *process) blocklist(ctx context.Context, d database) (*blocklist.List, error) {
	list, err := blocklist.New(ctx, blocklist.Options{
		File: p.settings.blocklistFile, Sources: d.blocks, Logger: p.logger, Registerer: p.registry,
	})
	if err != nil {
		return nil, err
	}
	p.background(ctx, "blocklist", list.Run)
	return list, nil
}

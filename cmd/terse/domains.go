package main

import (
	"context"

	"github.com/terse/terse/domains"
)

// domains loads the domains and follows their changes.
func (p *process) domains(ctx context.Context, d database) (*domains.Map, error) {
	m, err := domains.New(ctx, domains.Options{Sources: d.hosts, Logger: p.logger, Registerer: p.registry})
	if err != nil {
		return nil, err
	}
	p.background(ctx, "domains", m.Run)
	return m, nil
}

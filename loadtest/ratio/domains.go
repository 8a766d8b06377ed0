//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
)

// knownDomains is how many domains a server knows in measureDomains.
const knownDomains = 10_000

// measureDomains compares redirects of the default domain and of another domain, both of a server
// that knows many domains, with bare net/http handlers that send the same bytes.
func measureDomains(ctx context.Context, b *bench) ([]figure, error) {
	folder, err := os.MkdirTemp("", "terse-ratio-")
	if err != nil {
		return nil, err
	}
	host, code, err := fillDomains(ctx, folder)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	product, err := startTerseIn(ctx, b.opts.terse, folder)
	if err != nil {
		return nil, err
	}
	defer product.stop()
	l, err := createLink(ctx, product.url)
	if err != nil {
		return nil, err
	}
	var sides []side
	for _, of := range []struct {
		name string
		hit  *repeated
	}{
		{"the default domain", newRepeated(product.url, l.code)},
		{"another domain", newRepeatedOf(product.url, host, code)},
	} {
		headers, err := of.hit.first()
		if err != nil {
			return nil, err
		}
		yardstick, err := startBare(ctx, link{code, headers})
		if err != nil {
			return nil, err
		}
		defer yardstick.stop()
		bare := newRepeated(yardstick.url, code)
		if err := sameAnswer(bare, of.hit); err != nil {
			return nil, err
		}
		sides = append(sides, side{"bare net/http handler", bare.load(b.opts).run}, side{"terse, L1 hit on " + of.name, of.hit.load(b.opts).run})
	}
	found, err := takeTurns(ctx, b.opts.rounds, sides...)
	if err != nil {
		return nil, err
	}
	var figures []figure
	for i, aim := range []string{"0.90 or more", "0.89 or more"} {
		figures = append(figures, figure{
			what:      fmt.Sprintf("%s, %d domains known", sides[2*i+1].name, knownDomains),
			measured:  perSecond(found[2*i+1]),
			yardstick: "bare net/http handler " + perSecond(found[2*i]),
			ratio:     ratioOf(found[2*i+1], found[2*i]),
			aim:       aim,
		})
	}
	return figures, nil
}

// fillDomains makes a database with many domains and a link on one of them.
func fillDomains(ctx context.Context, folder string) (host, code string, err error) {
	db, err := sqlite.Open(ctx, sqlite.Options{Dir: folder, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	now := time.Now().UTC().Truncate(time.Microsecond)
	adding, addCtx := errgroup.WithContext(ctx)
	adding.SetLimit(64) // calls at the same time share a transaction
	for i := range knownDomains {
		adding.Go(func() error {
			d := store.Domain{
				ID: fmt.Sprintf("domain%d", i), Host: fmt.Sprintf("go%d.example.net", i), Owner: "owner",
				State: store.DomainActive, CreatedAt: now, UpdatedAt: now, VerifiedAt: now,
			}
			if _, err := db.AddDomain(addCtx, d); err != nil {
				return err
			}
			_, err := db.ClaimHost(addCtx, store.DomainHost{Host: d.Host, DomainID: d.ID, Owner: d.Owner, ClaimedAt: now, VerifiedAt: now})
			return err
		})
	}
	if err := adding.Wait(); err != nil {
		return "", "", err
	}
	const n = knownDomains / 2
	host, code = fmt.Sprintf("go%d.example.net", n), "spring"
	_, err = db.Create(ctx, store.Link{
		Code: store.LinkKey(fmt.Sprintf("domain%d", n), code), URL: "https://example.com/catalogue/spring?page=12", Owner: "owner",
		Status: store.DefaultStatus, CreatedAt: now, UpdatedAt: now, Version: 1,
	})
	return host, code, err
}

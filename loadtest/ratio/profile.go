//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/pprof/profile"

	"github.com/terse/terse/internal/testenv"
)

// profileTurn is how long each load of a profile lasts.
const profileTurn = 15 * time.Second

// writeProfile writes a CPU profile of a node for the compiler. The loads are redirects
// from L1, redirects from Redis and Postgres, and creates, for the same time each.
func writeProfile(ctx context.Context, b *bench, path string) error {
	s, err := b.shard(ctx, redisLinks)
	if err != nil {
		return err
	}
	shared, err := testenv.StartRedis(ctx, testenv.RedisOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = shared.Close() }()
	product, admin, err := s.startCached(ctx, b.opts.terse, shared, "1")
	if err != nil {
		return err
	}
	defer product.stop()
	l, err := createLink(ctx, product.url)
	if err != nil {
		return err
	}
	hit := newRepeated(product.url, l.code)
	if _, err := hit.first(); err != nil {
		return err
	}
	c := creates{address: address(product.url), keys: true}
	loads := []*load{hit.load(b.opts), newCycle(s, product).load(profileTurn), c.load(createClients, profileTurn)}
	loads[0].turn = profileTurn
	profiled := make(chan error, 1)
	go func() { profiled <- fetchProfile(ctx, admin, time.Duration(len(loads))*profileTurn, path) }()
	for _, l := range loads {
		if _, err := l.run(ctx); err != nil {
			return err
		}
	}
	return <-profiled
}

// fetchProfile requests a CPU profile for the next span of time and writes it to a file,
// without the path of the binary.
func fetchProfile(ctx context.Context, admin string, span time.Duration, path string) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", admin, span.Seconds())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("read a profile: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("read a profile: %s", answer.Status)
	}
	taken, err := profile.Parse(answer.Body)
	if err != nil {
		return fmt.Errorf("read a profile: %w", err)
	}
	for _, m := range taken.Mapping {
		m.File = filepath.Base(m.File)
	}
	f, err := os.Create(path) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	return errors.Join(taken.Write(f), f.Close())
}

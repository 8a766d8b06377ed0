//go:build unix

// Package testenv starts real servers for tests and load runs: Postgres clusters with
// replicas, PgBouncer, Redis, Varnish, nginx, Prometheus and nodes of Terse. Their
// programs come from the system's package manager. Servers listen on free loopback
// ports, keep their files in temporary folders and end with the process that started
// them, even when it is killed. Do not run Terse in production with it: there are no
// passwords, and by default commits do not survive a power cut.
package testenv

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// NewCluster starts a cluster that ends with the test. Failure is fatal.
func NewCluster(tb testing.TB, opts ClusterOptions) *Cluster {
	tb.Helper()
	return NewClusters(tb, 1, opts)[0]
}

// NewClusters starts n clusters at the same time, such as the shards of a store.
// They end with the test. Failure is fatal.
func NewClusters(tb testing.TB, n int, opts ClusterOptions) []*Cluster {
	tb.Helper()
	clusters := make([]*Cluster, n)
	group, ctx := errgroup.WithContext(tb.Context())
	for i := range clusters {
		group.Go(func() (err error) {
			clusters[i], err = StartCluster(ctx, opts)
			return err
		})
	}
	err := group.Wait()
	for _, c := range clusters {
		if c != nil {
			atEnd(tb, c.Stop)
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	return clusters
}

// ShardDatabase is the name of the databases of NewShards.
const ShardDatabase = "terse"

// NewShards starts n clusters, each with an empty database for a shard. It returns the
// setting of the shards too: TERSE_SHARDS, with the shards s1, s2, …. The clusters end with
// the test. Failure is fatal.
func NewShards(tb testing.TB, n int, opts ClusterOptions) (clusters []*Cluster, setting string) {
	tb.Helper()
	clusters = NewClusters(tb, n, opts)
	shards := make([]string, n)
	for i, c := range clusters {
		if err := c.NewDatabase(tb.Context(), ShardDatabase); err != nil {
			tb.Fatal(err)
		}
		shards[i] = fmt.Sprintf("s%d %s", i+1, c.DSN(ShardDatabase))
		for _, replica := range c.Replicas() {
			shards[i] += " " + replica.DSN(ShardDatabase)
		}
	}
	return clusters, strings.Join(shards, ";")
}

// NewPgBouncer starts a pooler that ends with the test. Failure is fatal.
func NewPgBouncer(tb testing.TB, upstream *Postgres) *PgBouncer {
	tb.Helper()
	b, err := StartPgBouncer(tb.Context(), upstream)
	if err != nil {
		tb.Fatal(err)
	}
	atEnd(tb, b.Close)
	return b
}

func atEnd(tb testing.TB, stop func() error) {
	tb.Helper()
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Error(err)
		}
	})
}

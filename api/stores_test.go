//go:build unix

package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/api"
	"github.com/terse/terse/idgen"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store/postgres"
	"github.com/terse/terse/store/postgres/schema"
	"github.com/terse/terse/store/shard"
)

// opener starts a server over a new database. newServer is the opener for the embedded
// database.
type opener func(t testing.TB, change ...func(*options)) *server

// linkTests test the link resources over every kind of store.
var linkTests = []struct {
	name string
	test func(t *testing.T, newServer opener)
}{
	{"create and read", testCreateAndRead},
	{"rules", testRules},
	{"reuse of links with rules", testRulesReused},
	{"minted codes", testMintedCodes},
	{"edit", testEdit},
	{"concurrent edits lose nothing", testConcurrentEditsLoseNothing},
	{"delete", testDelete},
	{"delete beside an edit", testDeleteBesideAnEdit},
	{"deleted alias is created again", testDeletedAliasIsCreatedAgain},
	{"deleted alias of others stays taken", testDeletedAliasOfOthersStaysTaken},
	{"delayed create restores nothing", testDelayedCreateRestoresNothing},
	{"keys end", testKeysEnd},
	{"list", testList},
	{"reuse", testReuse},
	{"idempotency key", testIdempotencyKey},
	{"idempotent create of a deleted link", testIdempotentCreateOfADeletedLink},
	{"repeated refusal stays one", testRepeatedRefusalStaysOne},
	{"reuse side by side", testReuseSideBySide},
	{"idempotency key with reuse", testIdempotencyKeyWithReuse},
	{"idempotency keys do not meet", testIdempotencyKeysDoNotMeet},
	{"many edits of one link", testManyEditsOfOneLink},
	{"zero is not none", testZeroIsNotNone},
	{"one alias one winner", testOneAliasOneWinner},
	{"batch", testBatch},
	{"batch of thousand", testBatchOfThousand},
	{"takedown", testTakedown},
	{"rename", testRename},
	{"lists of owners", testListsOfOwners},
}

// TestLinks runs linkTests over the embedded database and over two shards.
func TestLinks(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		runLinkTests(t, newServer)
	})
	t.Run("shards", func(t *testing.T) {
		t.Parallel()
		clusters := testenv.NewClusters(t, 2, testenv.ClusterOptions{Settings: map[string]string{"max_connections": "300"}})
		var opened atomic.Int64
		runLinkTests(t, func(t testing.TB, change ...func(*options)) *server {
			t.Helper()
			d, leaser := openShards(t, clusters, fmt.Sprintf("api%d", opened.Add(1)))
			begin := time.Now().UTC().Truncate(time.Microsecond) // the database servers use the real time
			return newServerOver(t, d, leaser, begin, change...)
		})
	})
}

func runLinkTests(t *testing.T, newServer opener) {
	for _, tt := range linkTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, newServer)
		})
	}
}

// openShards returns a store with one shard, a new database, in each cluster.
func openShards(t testing.TB, clusters []*testenv.Cluster, database string) (database, idgen.Leaser) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	logger := slog.New(slog.DiscardHandler)
	var targets []schema.Target
	const patient = 20 * time.Second // a busy machine needs more time than the defaults
	opts := shard.Options{Logger: logger, RefreshTimeout: patient}
	for i, c := range clusters {
		must(t, c.NewDatabase(ctx, database))
		targets = append(targets, schema.Target{Name: fmt.Sprintf("s%d", i+1), DSN: c.Primary().DSN(database)})
	}
	migrator, err := schema.New(schema.Options{Targets: targets, Logger: logger})
	must(t, err)
	must(t, migrator.Up(ctx))
	for _, target := range targets {
		s, err := postgres.Open(ctx, postgres.Options{
			Name: target.Name, Primary: target.DSN + "&connect_timeout=20", SchemaVersion: schema.Latest(),
			CallTimeout: api.RequestTimeout - time.Second, ReadTimeout: patient, Logger: logger,
		})
		must(t, err)
		t.Cleanup(func() { must(t, s.Close()) })
		opts.Shards = append(opts.Shards, shard.Named{Name: target.Name, Shard: s, Leaser: s.Leases("test")})
	}
	r, err := shard.New(opts)
	must(t, err)
	t.Cleanup(r.Close)
	select {
	case <-r.Loaded():
	case <-ctx.Done():
		t.Fatal("the shards do not report which buckets they own")
	}
	return r, r.Leaser()
}

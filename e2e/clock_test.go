//go:build unix

package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
)

// setClock moves the clock of a shard's database ahead of this machine's clock. New sessions
// use the moved clock.
func (f *fleet) setClock(shard int, ahead time.Duration) {
	f.t.Helper()
	f.transact(shard, func(tx pgx.Tx) error {
		_, err := tx.Exec(f.t.Context(), fmt.Sprintf(`CREATE SCHEMA skewed;
			CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
				AS $$ SELECT pg_catalog.clock_timestamp() + interval '%d seconds' $$;
			ALTER DATABASE %s SET search_path = skewed, pg_catalog, public`, int(ahead.Seconds()), testenv.ShardDatabase))
		return err
	})
}

// TestWrongClock serves from a node whose clock is an hour ahead of the database's clock, or
// behind it. Links start and end by the database's clock.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 1, testenv.ClusterOptions{})
			f.setClock(0, -ahead)
			node := f.serve()
			c := client(t)
			create := func(field string, in time.Duration) (status int, code string) {
				t.Helper()
				code = fmt.Sprintf("%s-%d", field, time.Now().UnixNano())
				at := time.Now().Add(in - ahead).UTC().Format(time.RFC3339Nano)
				body := fmt.Sprintf(`{"url":"https://example.com","alias":%q,%q:%q}`, code, field, at)
				resp, err := c.Post(node.url+"/api/v1/links", "application/json", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				return resp.StatusCode, code
			}
			testenv.Await(t, "the node to know the database's clock", func() bool {
				status, _ := create("starts_at", -time.Hour)
				return status != http.StatusServiceUnavailable
			})
			for _, tt := range []struct {
				field  string
				in     time.Duration
				create int
				visit  int
			}{
				{"expires_at", 30 * time.Minute, http.StatusCreated, http.StatusFound},
				{"expires_at", -30 * time.Minute, http.StatusUnprocessableEntity, http.StatusNotFound},
				{"starts_at", 30 * time.Minute, http.StatusCreated, http.StatusNotFound},
				{"starts_at", -30 * time.Minute, http.StatusCreated, http.StatusFound},
			} {
				status, code := create(tt.field, tt.in)
				if status != tt.create {
					t.Errorf("create with %s in %v by the database's clock = %d, want %d", tt.field, tt.in, status, tt.create)
				}
				resp, err := c.Get(node.url + "/" + code)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode != tt.visit {
					t.Errorf("visit with %s in %v by the database's clock = %d, want %d", tt.field, tt.in, resp.StatusCode, tt.visit)
				}
			}
		})
	}
}

package postgres_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
)

// openRows opens a new shard and a session that reads its tables.
func openRows(t *testing.T) (*postgres.Store, *pgx.Conn) {
	t.Helper()
	c := newCluster(t, 0)
	database := c.database(t)
	return c.open(t, database, 0), c.connect(t, database)
}

// wantCount checks the number that a query returns.
func wantCount(t *testing.T, conn *pgx.Conn, want int, query string) {
	t.Helper()
	var got int
	if err := conn.QueryRow(t.Context(), query).Scan(&got); err != nil || got != want {
		t.Errorf("%s = %d, %v, want %d", query, got, err, want)
	}
}

// mustCreate creates links.
func mustCreate(t *testing.T, s *postgres.Store, links ...store.Link) {
	t.Helper()
	for _, l := range links {
		if _, err := s.Create(t.Context(), l); err != nil {
			t.Fatalf("Create(%q) = %v, want nil", l.Code, err)
		}
	}
}

func TestTombstoneLeavesNothingElse(t *testing.T) {
	t.Parallel()
	s, conn := openRows(t)
	l := newLink("a")
	l.Tags = []string{"x", "y"}
	mustCreate(t, s, l)
	clicks := store.ClickBatch{Recorder: "r", Seq: 1, Counts: []store.ClickCount{{Code: "a", N: 1, Last: epoch}}}
	if err := s.AddClicks(t.Context(), clicks); err != nil {
		t.Fatalf("AddClicks() = %v, want nil", err)
	}
	wantCount(t, conn, 2, "SELECT count(*) FROM link_tags")
	wantCount(t, conn, 1, "SELECT count(*) FROM click_totals")
	if _, err := s.Delete(t.Context(), "a", 0, epoch); err != nil {
		t.Fatalf("Delete() = %v, want nil", err)
	}
	wantCount(t, conn, 0, "SELECT count(*) FROM link_tags")
	wantCount(t, conn, 0, "SELECT count(*) FROM click_totals")

	// A flush that saw the link alive may end after the delete.
	exec(t, conn, "INSERT INTO click_totals SELECT 5, now(), bucket, code FROM links")
	if got, err := s.Get(t.Context(), "a"); err != nil || got.Clicks != 0 {
		t.Errorf("Get() of a tombstone = %d clicks, %v, want none", got.Clicks, err)
	}
}

// TestUsualLinkIsMostlyNull checks that usual values are stored as NULL, which takes no room.
func TestUsualLinkIsMostlyNull(t *testing.T) {
	t.Parallel()
	s, conn := openRows(t)
	mustCreate(t, s, newLink("created"), newLink("edited"))
	l := newLink("edited")
	l.Version = 1
	if _, err := s.Update(t.Context(), l); err != nil {
		t.Fatalf("Update() = %v, want nil", err)
	}
	wantCount(t, conn, 2, `SELECT count(*) FROM links WHERE num_nulls(updated_at, status, forward_query, title, tags,
		starts_at, expires_at, max_clicks, used_clicks, password_hash, disabled_at, disabled_reason, deleted_at, request_id,
		confirm, rules, no_visitors, forward_path) = 18`)
}

func TestBucketsOfOthers(t *testing.T) {
	t.Parallel()
	s, conn := openRows(t)
	l := newLink("moved")
	l.Tags = []string{"tag"}
	key, otherKey := store.Key{ID: "key", CreatedAt: epoch}, store.Key{ID: "other", Hash: [32]byte{1}, CreatedAt: epoch}
	mustCreate(t, s, l, newLink("here"))
	if err := errors.Join(s.CreateKey(t.Context(), key), s.CreateKey(t.Context(), otherKey)); err != nil {
		t.Fatalf("CreateKey() = %v, want nil", err)
	}
	for _, hashed := range []string{l.Code, string(key.Hash[:])} {
		exec(t, conn, "UPDATE buckets SET state = 'moved' WHERE bucket = $1", store.BucketOf(hashed))
	}
	for _, q := range []store.Query{{}, {Tag: "tag"}, {Target: l.URL}, {Search: "example"}, {Tag: "tag", Target: l.URL}} {
		q.Owner, q.Limit = l.Owner, 10
		page, err := s.List(t.Context(), q)
		if err != nil || len(page.Links) > 1 || len(page.Links) == 1 && page.Links[0].Code != "here" {
			t.Errorf("List(%+v) = %+v, %v, want no links of another shard", q, page.Links, err)
		}
	}
	counts := []store.ClickCount{{Code: l.Code, N: 1, Last: epoch}, {Code: "here", N: 1, Last: epoch}, {Code: "here", N: 2, Last: epoch}}
	if err := s.AddClicks(t.Context(), store.ClickBatch{Recorder: "r", Seq: 1, Counts: counts}); !errors.Is(err, store.ErrMoved) {
		t.Errorf("AddClicks() = %v, want %v", err, store.ErrMoved)
	}
	wantCount(t, conn, 0, "SELECT count(*) FROM click_totals")
	if err := s.AddClicks(t.Context(), store.ClickBatch{Recorder: "r", Seq: 1, Counts: counts[1:]}); err != nil {
		t.Errorf("AddClicks() of its own links = %v, want nil", err)
	}
	wantCount(t, conn, 3, "SELECT sum(total) FROM click_totals")

	if _, err := s.Get(t.Context(), l.Code); !errors.Is(err, store.ErrMoved) {
		t.Errorf("Get() = %v, want %v", err, store.ErrMoved)
	}
	if _, err := s.KeyByHash(t.Context(), key.Hash); !errors.Is(err, store.ErrMoved) {
		t.Errorf("KeyByHash() = %v, want %v", err, store.ErrMoved)
	}
	if _, err := s.RevokeKey(t.Context(), key.ID, epoch); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("RevokeKey() = %v, want %v: it belongs to another shard", err, store.ErrNotFound)
	}
	if err := s.CreateKey(t.Context(), store.Key{ID: "late", Hash: key.Hash}); !errors.Is(err, store.ErrMoved) {
		t.Errorf("CreateKey() = %v, want %v", err, store.ErrMoved)
	}
	if keys, err := s.ListKeys(t.Context()); err != nil || len(keys) != 1 || keys[0].ID != otherKey.ID {
		t.Errorf("ListKeys() = %+v, %v, want the other key", keys, err)
	}
	if err := s.CreateKey(t.Context(), store.Key{ID: otherKey.ID, Hash: [32]byte{2}}); !errors.Is(err, store.ErrExists) {
		t.Errorf("CreateKey() with a taken id = %v, want %v", err, store.ErrExists)
	}
}

func TestListsOfTextsThatNoLinkHas(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s, _ := openRows(t)
	mustCreate(t, s, newLink("a"))
	for _, bad := range []string{"a\x00", "\xff"} {
		for _, q := range []store.Query{{Owner: bad}, {Owner: "owner", Tag: bad}, {Owner: "owner", Search: bad}, {Owner: "owner", Target: bad}} {
			if page, err := s.List(t.Context(), q); err != nil || len(page.Links) != 0 {
				t.Errorf("List(%#v) = %+v, %v, want an empty page", q, page, err)
			}
		}
	}
}

func TestOldReservations(t *testing.T) {
	t.Parallel()
	s, conn := openRows(t)
	at := time.Now().UTC().Truncate(time.Microsecond).Add(-3 * store.ReservationTTL)
	reserve := func(key, code string) {
		t.Helper()
		r := store.Reservation{Owner: "o", Key: key, Fingerprint: code, Code: code, CreatedAt: at}
		if got, err := s.Reserve(t.Context(), r); err != nil || got != r {
			t.Errorf("Reserve() = %+v, %v, want %+v", got, err, r)
		}
	}
	for i := range 6 {
		reserve(fmt.Sprint(i), "first")
	}
	at = at.Add(3 * store.ReservationTTL)
	reserve("0", "second") // the first reservation has expired
	reserve("7", "second") // each call deletes a few
	wantCount(t, conn, 2, "SELECT count(*) FROM reservations")
}

func TestSilentRecordersAreForgotten(t *testing.T) {
	t.Parallel()
	s, conn := openRows(t)
	exec(t, conn, "INSERT INTO click_flushes SELECT 'old' || n, 1, now() - interval '8 days' FROM generate_series(1, 6) n")
	if err := s.AddClicks(t.Context(), store.ClickBatch{Recorder: "log", Seq: 5, Keep: true}); err != nil {
		t.Errorf("AddClicks() = %v, want nil", err)
	}
	wantCount(t, conn, 1, "SELECT count(*) FROM click_flushes WHERE flushed_at = 'infinity'")
	for seq := range int64(2) {
		if err := s.AddClicks(t.Context(), store.ClickBatch{Recorder: "r", Seq: seq + 1}); err != nil {
			t.Errorf("AddClicks() = %v, want nil", err)
		}
	}
	wantCount(t, conn, 2, "SELECT count(*) FROM click_flushes")
}

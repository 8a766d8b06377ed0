package postgres_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
)

// callEverything makes the store send each of its statements at least once. prefix makes
// the codes of two calls different.
func callEverything(t *testing.T, s *postgres.Store, prefix string) {
	t.Helper()
	ctx := t.Context()
	now := time.Now().UTC().Truncate(time.Microsecond)
	links := callWrites(t, s, prefix, now)
	for _, code := range []string{links[0].Code, prefix + "unknown"} {
		if _, err := s.Resolve(ctx, code); err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Resolve(%q) = %v, want nil or %v", code, err, store.ErrNotFound)
		}
	}
	middle := store.Cursor{CreatedAt: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC), Code: "fill1"}
	for _, q := range []store.Query{
		{},
		{After: middle},
		{Search: "C1"},
		{Target: "https://example.com/1"},
		{Target: "https://example.com/1", After: middle},
		{Tag: "tag"},
		{Tag: "tag", After: middle},
		{Tag: "tag", Target: "https://example.com/1"},
		{Tag: "tag", Search: "example"},
	} {
		for _, owner := range []string{"owner1", links[0].Owner, "nobody"} {
			q.Owner, q.Limit = owner, 20
			_, err := s.List(ctx, q)
			must(t, err)
		}
		if q.Target == "" {
			q.Owner, q.AllOwners = "", true
			_, err := s.List(ctx, q)
			must(t, err)
		}
	}
	for _, after := range []string{"", "tag"} {
		_, err := s.ListTags(ctx, store.TagQuery{Owner: "owner1", After: after, Limit: 20})
		must(t, err)
	}
	for _, before := range []int64{0, 2} {
		_, err := s.Revisions(ctx, links[0].Code, before, 20)
		must(t, err)
	}
	for _, after := range []string{"", links[0].Code} {
		_, err := s.Export(ctx, after, 20)
		must(t, err)
	}
	for _, after := range []time.Time{{}, middle.CreatedAt, now} {
		_, err := s.Changes(ctx, store.Cursor{CreatedAt: after}, 20)
		must(t, err)
	}
	callKeys(t, s, prefix, now)
	callDomains(t, s, prefix, now)
	callReports(t, s, links[0].Code, now)
	callClickDays(t, s, links, now)
	callOutbox(t, s)
	callNodes(t, s, prefix)
}

// callWrites creates, edits and counts links.
func callWrites(t *testing.T, s *postgres.Store, prefix string, now time.Time) []store.Link {
	t.Helper()
	ctx := t.Context()
	links := make([]store.Link, 256)
	var wg sync.WaitGroup
	for i := range links {
		l := link(fmt.Sprint(prefix, i))
		l.Tags, l.CreatedAt, l.UpdatedAt = []string{"tag"}, now, now
		wg.Go(func() {
			made, err := s.Create(ctx, l)
			if err != nil {
				t.Errorf("Create(%q) = %v, want nil", l.Code, err)
			}
			links[i] = made
		})
	}
	wg.Wait()
	if _, err := s.Create(ctx, links[0]); !errors.Is(err, store.ErrExists) {
		t.Errorf("Create() of a link that exists = %v, want %v", err, store.ErrExists)
	}
	r := store.Reservation{Owner: "owner", Key: prefix, Code: links[0].Code, CreatedAt: now}
	for range 2 {
		_, err := s.Reserve(ctx, r)
		must(t, err)
	}
	var once sync.WaitGroup
	for i := range 100 {
		l := link(fmt.Sprint(prefix, "once", i))
		l.RequestID = l.Code
		once.Go(func() {
			r := store.Reservation{Owner: l.Owner, Key: l.Code, Code: l.Code, CreatedAt: now}
			if made, _, err := s.CreateOnce(ctx, l, r); err != nil || made.Version != 1 {
				t.Errorf("CreateOnce(%q) = version %d, %v, want 1, nil", l.Code, made.Version, err)
			}
		})
	}
	once.Wait()
	r.Code, r.Replaces = links[1].Code, links[0].Code
	_, err := s.Reserve(ctx, r)
	must(t, err)
	imported := link(prefix + "imported")
	imported.Version, imported.Clicks, imported.LastClickAt = 3, 5, now
	_, err = s.Import(ctx, imported)
	must(t, err)
	counts := make([]store.ClickCount, len(links))
	for i, l := range links {
		counts[i] = store.ClickCount{Code: l.Code, N: 1, Last: now}
	}
	days := make([]store.ClickDay, len(links))
	for i, l := range links {
		days[i] = store.ClickDay{Key: l.Code, Day: store.DayOf(now), Data: []byte("click")}
	}
	must(t, s.AddClicks(ctx, store.ClickBatch{Recorder: prefix, Seq: 1, Counts: counts, Days: days}))
	_, err = s.ClickSequences(ctx, []string{prefix})
	must(t, err)
	_, err = s.Get(ctx, links[0].Code)
	must(t, err)
	_, err = s.Confirm(ctx, links[0].Code)
	must(t, err)
	_, err = s.Consume(ctx, links[0].Code, now)
	must(t, err)
	for range 3 {
		links[0].Tags = append(links[0].Tags, fmt.Sprint("tag", links[0].Version))
		links[0], err = s.Update(ctx, links[0])
		must(t, err)
	}
	deleted, err := s.Delete(ctx, links[1].Code, 0, now)
	must(t, err)
	links[1].Version = deleted.Version
	links[1], err = s.Restore(ctx, links[1])
	must(t, err)
	return links
}

// callClickDays calls the methods for days of clicks. The batches of fillShard are
// empty.
func callClickDays(t *testing.T, s *postgres.Store, links []store.Link, now time.Time) {
	t.Helper()
	ctx := t.Context()
	_, err := s.ClickBacklog(ctx)
	must(t, err)
	must(t, s.ResetClicks(ctx, links[2].Code))
	merge := func(ctx context.Context, added []store.ClickDay, stored store.ClickRows) ([]store.ClickDay, error) {
		var keys []string
		for _, d := range added {
			keys = append(keys, d.Key)
		}
		if _, err := stored.Links(ctx, keys); err != nil {
			return nil, err
		}
		_, err := stored.Days(ctx, added)
		return added, err
	}
	_, err = s.FoldClicks(ctx, 64, merge)
	must(t, err)
	keys := []string{links[0].Code, links[1].Code, "owner1"}
	for kind := store.ClickLink; kind <= store.ClickAll; kind++ {
		_, err := s.ListClickDays(ctx, kind, keys, store.DayOf(now)-30, store.DayOf(now)+1)
		must(t, err)
	}
	_, err = s.ClickSalt(ctx, store.DayOf(time.Now()))
	must(t, err)
	coarse := day(2020, 4)
	for range 20 {
		_, err := s.SweepClicks(ctx, store.ClickRetention{
			CoarseBefore: coarse, DropBefore: day(2020, 2),
			Coarsen: func(d store.ClickDay) ([]byte, error) { return append(d.Data, 1), nil },
		})
		must(t, err)
	}
}

// day returns the first day of a month.
func day(year int, month time.Month) int32 {
	return store.DayOf(time.Date(year, month, 1, 0, 0, 0, 0, time.UTC))
}

// callKeys calls the methods for API keys and blocked hosts.
func callKeys(t *testing.T, s *postgres.Store, prefix string, now time.Time) {
	t.Helper()
	ctx := t.Context()
	k := store.Key{ID: prefix, Hash: sha256.Sum256([]byte(prefix)), CreatedAt: now, Session: &store.Session{Key: store.AuthorAdmin}}
	must(t, s.CreateKey(ctx, k))
	_, err := s.KeyByHash(ctx, k.Hash)
	must(t, err)
	uses := []store.KeyUse{{Hash: k.Hash, At: now}}
	for i := range 20 {
		uses = append(uses, store.KeyUse{Hash: sha256.Sum256(fmt.Append(nil, i)), At: now})
	}
	must(t, s.UseKeys(ctx, uses))
	_, err = s.ListKeys(ctx)
	must(t, err)
	_, err = s.RevokeKey(ctx, k.ID, now)
	must(t, err)
	pattern, err := store.ParseHostPattern(prefix + ".example.com")
	must(t, err)
	must(t, s.BlockHost(ctx, store.BlockedHost{Pattern: pattern, BlockedAt: now}))
	for _, after := range []string{"", "2"} {
		_, err = s.BlockedHosts(ctx, after, 20)
		must(t, err)
	}
	_, err = s.BlocklistVersion(ctx)
	must(t, err)
	must(t, s.UnblockHost(ctx, pattern))
}

// callDomains calls the methods for domains and their hosts.
func callDomains(t *testing.T, s *postgres.Store, prefix string, now time.Time) {
	t.Helper()
	ctx := t.Context()
	d, err := s.AddDomain(ctx, store.Domain{ID: prefix, Host: prefix + ".example", CreatedAt: now, UpdatedAt: now})
	must(t, err)
	_, err = s.UpdateDomain(ctx, d)
	must(t, err)
	_, err = s.Domain(ctx, d.ID)
	must(t, err)
	h := store.DomainHost{Host: d.Host, DomainID: d.ID, ClaimedAt: now}
	for range 2 {
		_, err = s.ClaimHost(ctx, h)
		must(t, err)
	}
	must(t, s.UpdateHost(ctx, d.ID, h))
	_, err = s.HostsOf(ctx, d.ID)
	must(t, err)
	for _, after := range []string{"", "2"} {
		_, err = s.ListDomains(ctx, after, 20)
		must(t, err)
		_, err = s.ListHosts(ctx, after, 20)
		must(t, err)
	}
	_, err = s.DomainsVersion(ctx)
	must(t, err)
	must(t, s.ReleaseHost(ctx, h.Host, d.ID))
}

// callReports calls the methods for reports.
func callReports(t *testing.T, s *postgres.Store, code string, now time.Time) {
	t.Helper()
	ctx := t.Context()
	r := store.Report{ID: store.NewReportID(code), Code: code, At: now}
	must(t, s.AddReport(ctx, r))
	for range store.MaxReportsPerLink {
		more := r
		more.ID = store.NewReportID(code)
		if err := s.AddReport(ctx, more); err != nil && !errors.Is(err, store.ErrEnough) {
			t.Fatal(err)
		}
	}
	_, err := s.OpenReports(ctx)
	must(t, err)
	_, err = s.ResolveReport(ctx, r.ID, store.Author{}, now)
	must(t, err)
	for _, q := range []store.ReportQuery{{}, {After: r.Place()}, {Resolved: true}, {Resolved: true, After: r.Place()}} {
		q.Limit = 20
		_, err := s.ListReports(ctx, q)
		must(t, err)
	}
}

// callOutbox delivers edits: one of them fails first, then all succeed.
func callOutbox(t *testing.T, s *postgres.Store) {
	t.Helper()
	ctx := t.Context()
	for _, audience := range []store.Audience{store.Caches, store.CDN} {
		_, err := s.Backlog(ctx, audience)
		must(t, err)
		for _, failed := range []error{errors.New("no answer"), nil} {
			eventually(t, "edits are due", func() error {
				n, err := s.Deliver(ctx, audience, 100, func(_ context.Context, edits []store.Edit) []error {
					errs := make([]error, len(edits))
					errs[0] = failed
					return errs
				})
				if err == nil && n == 0 {
					err = errors.New("none")
				}
				return err
			})
		}
		_, err = s.Backlog(ctx, audience)
		must(t, err)
		must(t, s.Repeat(ctx, audience, time.Minute))
	}
}

// callNodes calls the methods for the shard, its node ids and its scans.
func callNodes(t *testing.T, s *postgres.Store, prefix string) {
	t.Helper()
	ctx := t.Context()
	_, _, err := s.Buckets(ctx)
	must(t, err)
	must(t, s.Status(ctx).Err)
	leases := s.Leases(prefix)
	node, _, err := leases.Acquire(ctx, time.Minute)
	must(t, err)
	if _, err := s.Leases("other").AcquireNode(ctx, node, time.Minute); err == nil {
		t.Errorf("AcquireNode(%d) = nil, want an error: it is leased", node)
	}
	_, err = leases.Renew(ctx, node, time.Now(), time.Minute)
	must(t, err)
	must(t, leases.Release(ctx, node, time.Now()))
	_, err = s.ClaimScan(ctx, prefix, "holder", time.Minute)
	must(t, err)
	must(t, s.SaveScan(ctx, prefix, "holder", "state", time.Minute))
	callCertificates(t, s, prefix)
}

func callCertificates(t *testing.T, s *postgres.Store, prefix string) {
	t.Helper()
	ctx := t.Context()
	must(t, s.PutCertificateFile(ctx, store.CertificateFile{Key: prefix + "/a.crt", Value: []byte("value"), ModifiedAt: time.Now()}))
	_, err := s.CertificateFile(ctx, prefix+"/a.crt")
	must(t, err)
	_, err = s.CertificateFiles(ctx, prefix+"/", "", 20)
	must(t, err)
	_, err = s.LockCertificate(ctx, prefix, "holder", time.Minute)
	must(t, err)
	_, err = s.RenewCertificateLock(ctx, prefix, "holder", time.Minute)
	must(t, err)
	must(t, s.UnlockCertificate(ctx, prefix, "holder"))
}

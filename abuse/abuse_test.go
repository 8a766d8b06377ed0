package abuse_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/terse/terse/abuse"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var admin = &links.Caller{Key: &store.Key{ID: "key_admin", Scopes: []store.Scope{store.ScopeAdmin}}}

// recorded is a store of reports that records the digests of clients.
type recorded struct {
	store.Reports
	clients []string
}

func (r *recorded) AddReport(ctx context.Context, report store.Report) error {
	r.clients = append(r.clients, report.Client)
	return r.Reports.AddReport(ctx, report)
}

func newService(t *testing.T, secret string) (*abuse.Service, *recorded) {
	t.Helper()
	d := sqlitetest.Open(t)
	reports := &recorded{Reports: d}
	s, err := abuse.New(abuse.Options{
		Blocklist: d, Reports: reports, Secret: []byte(secret),
		Now: func() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) },
	})
	must(t, err)
	return s, reports
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestOnlyAdmins checks that each use case for admins rejects all other callers, also when the
// input is invalid.
func TestOnlyAdmins(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, "secret")
	must(t, s.Report(t.Context(), abuse.Complaint{Code: "bad", Reason: "spam"}))
	page, err := s.ListReports(t.Context(), admin, abuse.Query{Limit: 10})
	must(t, err)
	if len(page.Reports) != 1 {
		t.Fatalf("ListReports() = %+v, want one report", page)
	}
	id := page.Reports[0].ID
	calls := map[string]func(who abuse.Caller) error{
		"block":        func(who abuse.Caller) error { _, err := s.BlockHost(t.Context(), who, "evil.example", ""); return err },
		"list blocked": func(who abuse.Caller) error { _, _, err := s.BlockedHosts(t.Context(), who, "", 10); return err },
		"list reports": func(who abuse.Caller) error { _, err := s.ListReports(t.Context(), who, abuse.Query{}); return err },
		"resolve":      func(who abuse.Caller) error { _, err := s.ResolveReport(t.Context(), who, id, "done"); return err },
	}
	invalid := map[string]func(who abuse.Caller) error{
		"block":        func(who abuse.Caller) error { _, err := s.BlockHost(t.Context(), who, "a b", "\x00"); return err },
		"unblock":      func(who abuse.Caller) error { return s.UnblockHost(t.Context(), who, "a b") },
		"list blocked": func(who abuse.Caller) error { _, _, err := s.BlockedHosts(t.Context(), who, "!", 10); return err },
		"list reports": func(who abuse.Caller) error {
			_, err := s.ListReports(t.Context(), who, abuse.Query{Cursor: "!"})
			return err
		},
		"resolve": func(who abuse.Caller) error { _, err := s.ResolveReport(t.Context(), who, "x", "\x00"); return err },
	}
	lacks := &links.Caller{Key: &store.Key{ID: "key_owner", Scopes: []store.Scope{store.ScopeLinksRead, store.ScopeLinksWrite}}}
	for _, group := range []map[string]func(abuse.Caller) error{calls, invalid} {
		for name, call := range group {
			if err := call(&links.Caller{}); !errors.Is(err, links.ErrNoKey) {
				t.Errorf("%s without a key = %v, want %v", name, err, links.ErrNoKey)
			}
			if _, ok := errors.AsType[*links.ScopeError](call(lacks)); !ok {
				t.Errorf("%s without the scope = %v, want a ScopeError", name, call(lacks))
			}
		}
	}
	for name, call := range calls {
		if err := call(admin); err != nil {
			t.Errorf("%s by an admin = %v, want nil", name, err)
		}
	}
	must(t, s.UnblockHost(t.Context(), admin, "EVIL.example"))
	if err := s.UnblockHost(t.Context(), admin, "evil.example"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("second unblock = %v, want %v", err, store.ErrNotFound)
	}
}

// TestClientsAreDigests checks that the stored digest of a client depends on the client and
// on the secret alone.
func TestClientsAreDigests(t *testing.T) {
	t.Parallel()
	digests := func(secret string) []string {
		s, reports := newService(t, secret)
		for i, client := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.1", ""} {
			must(t, s.Report(t.Context(), abuse.Complaint{Code: strings.Repeat("x", i+1), Reason: "spam", Client: client}))
		}
		return reports.clients
	}
	first, again, other := digests("a"), digests("a"), digests("b")
	if first[0] == first[1] || first[0] != first[2] || first[3] != "" || strings.Contains(first[0], "192") {
		t.Errorf("digests = %q, want one for each client", first)
	}
	if first[0] != again[0] || first[0] == other[0] {
		t.Errorf("digests by secret = %q, %q and %q, want the same for the same secret", first[0], again[0], other[0])
	}
}

// none is a used-up quota.
type none struct{}

var errNone = errors.New("wait")

func (none) TakeReport(context.Context) error { return errNone }

// TestReportQuota checks that invalid reports do not count against the quota.
func TestReportQuota(t *testing.T) {
	t.Parallel()
	s, reports := newService(t, "secret")
	if err := s.Report(t.Context(), abuse.Complaint{Code: "bad", Reason: "because", Quota: none{}}); !store.IsInvalid(err) {
		t.Errorf("invalid report = %v, want an error of the field", err)
	}
	if err := s.Report(t.Context(), abuse.Complaint{Code: "bad", Reason: "spam", Quota: none{}}); !errors.Is(err, errNone) {
		t.Errorf("report without quota = %v, want %v", err, errNone)
	}
	if len(reports.clients) != 0 {
		t.Errorf("%d reports were stored, want none", len(reports.clients))
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := abuse.New(abuse.Options{})
	for _, want := range []string{"Blocklist", "Reports", "Secret"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New() = %v, want an error that names %s", err, want)
		}
	}
}

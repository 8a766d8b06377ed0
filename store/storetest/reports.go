package storetest

import (
	"crypto/rand"
	"errors"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// RunReports tests all promises of store.Reports. open returns an empty store and
// closes it with tb.Cleanup.
func RunReports(t *testing.T, open func(tb testing.TB) store.Reports) {
	t.Helper()
	onDomains(t, func(t *testing.T, m maker) { runReports(t, reportSuite{open(t), m}) })
}

// reportSuite is the store under test.
type reportSuite struct {
	store.Reports
	maker
}

func runReports(t *testing.T, reports reportSuite) {
	t.Helper()
	for _, p := range []struct {
		name string
		test func(t *testing.T, reports reportSuite)
	}{
		{"keeps every field", keepsReport},
		{"resolves once", resolvesReport},
		{"unknown id is not found", unknownReport},
		{"a client has one open report about a link", oneReportOfAClient},
		{"concurrent reports of a client are one", concurrentReports},
		{"a link has a limited number of open reports for each reason", boundsReports},
		{"a client has a limited number of open reports", boundsClients},
		{"pages are newest first and complete", pagesReports},
		{"old resolved reports are deleted", forgetsReports},
		{"ended context writes nothing", endedReport},
	} {
		t.Run(p.name, func(t *testing.T) { p.test(t, reports) })
	}
}

// newReport returns an open report about a link of its own, from a client of its own. Dropped
// and the fields of the resolution are zero.
func (m maker) newReport() store.Report {
	code := m.newCode()
	return store.Report{
		ID: store.NewReportID(code), Code: code, Reason: "phishing", Comment: "It asks for\nmy bank's password: 100%",
		Email: "ann@example.com", At: after(1), Client: rand.Text(),
	}
}

// another returns a report of another client about the same link.
func another(r store.Report) store.Report {
	r.ID, r.Client = store.NewReportID(r.Code), rand.Text()
	return r
}

func addReport(t *testing.T, reports store.Reports, r store.Report) {
	t.Helper()
	if err := reports.AddReport(t.Context(), r); err != nil {
		t.Fatalf("AddReport(%q) = %v, want nil", r.ID, err)
	}
}

// listReports returns all reports, open or resolved, read in pages of n.
func listReports(t *testing.T, reports store.Reports, resolved bool, n int) []store.Report {
	t.Helper()
	var all []store.Report
	for q := (store.ReportQuery{Resolved: resolved, Limit: n}); ; {
		page, err := reports.ListReports(t.Context(), q)
		if err != nil || len(page.Reports) > n || page.Unavailable != nil {
			t.Fatalf("ListReports(%+v) = %+v, %v, want %d at most", q, page, err, n)
		}
		all = append(all, page.Reports...)
		if q.After = page.Next; q.After.IsZero() {
			return all
		}
	}
}

// wantReport checks that a report is in the list of open reports or in the list of
// resolved reports, as want.ResolvedAt requires, and not in both.
func wantReport(t *testing.T, reports store.Reports, want store.Report) {
	t.Helper()
	want.Client = ""
	for _, resolved := range []bool{false, true} {
		var got store.Report
		for _, r := range listReports(t, reports, resolved, 100) {
			if r.ID == want.ID {
				got = r
			}
		}
		expected := want
		if want.ResolvedAt.IsZero() == resolved {
			expected = store.Report{}
		}
		if !reflect.DeepEqual(got, expected) {
			t.Errorf("ListReports(resolved %t) has %+v, want %+v", resolved, got, expected)
		}
	}
}

func keepsReport(t *testing.T, reports reportSuite) {
	whole, plain := reports.newReport(), reports.newReport()
	plain.Comment, plain.Email, plain.Client = "", "", ""
	for _, want := range []store.Report{whole, plain} {
		addReport(t, reports, want)
		wantReport(t, reports, want)
	}
}

func resolvesReport(t *testing.T, reports reportSuite) {
	want := reports.newReport()
	addReport(t, reports, want)
	want.Client = ""
	now := time.Now().UTC().Truncate(time.Microsecond)
	want.ResolvedAt, want.ResolvedBy, want.Resolution = now, "key_a", "taken down"
	for i, by := range []store.Author{{ID: "key_a", Note: "taken down"}, {ID: "key_b", Note: "not at all"}} {
		got, err := reports.ResolveReport(t.Context(), want.ID, by, now.Add(time.Duration(i)*time.Second))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ResolveReport() = %+v, %v, want %+v", got, err, want)
		}
	}
	wantReport(t, reports, want)
}

func unknownReport(t *testing.T, reports reportSuite) {
	for _, id := range []string{reports.newReport().ID, "rep_zzz", "rep_", "", "key_a", "rep_0001\x00"} {
		_, err := reports.ResolveReport(t.Context(), id, store.Author{}, epoch)
		wantError(t, "ResolveReport("+id+")", err, store.ErrNotFound)
	}
}

func oneReportOfAClient(t *testing.T, reports reportSuite) {
	first := reports.newReport()
	addReport(t, reports, first)
	again := first
	again.ID, again.Reason = store.NewReportID(first.Code), "spam"
	wantError(t, "AddReport() by the same client", reports.AddReport(t.Context(), again), store.ErrReported)
	wantReport(t, reports, first)
	addReport(t, reports, another(first))
	elsewhere := reports.newReport()
	elsewhere.Client = first.Client
	addReport(t, reports, elsewhere)
	for range 2 { // reports without a client
		unknown := another(first)
		unknown.Client = ""
		addReport(t, reports, unknown)
	}
	if _, err := reports.ResolveReport(t.Context(), first.ID, store.Author{}, time.Now()); err != nil {
		t.Fatalf("ResolveReport() = %v, want nil", err)
	}
	addReport(t, reports, again)
}

func concurrentReports(t *testing.T, reports reportSuite) {
	first := reports.newReport()
	var sending sync.WaitGroup
	var added atomic.Int64
	for range 8 {
		r := first
		r.ID = store.NewReportID(first.Code)
		sending.Go(func() {
			switch err := reports.AddReport(t.Context(), r); {
			case err == nil:
				added.Add(1)
			case !errors.Is(err, store.ErrReported):
				t.Errorf("AddReport() = %v, want nil or %v", err, store.ErrReported)
			}
		})
	}
	sending.Wait()
	if n := added.Load(); n != 1 {
		t.Errorf("%d concurrent reports of one client were added, want 1", n)
	}
}

func boundsReports(t *testing.T, reports reportSuite) {
	first := reports.newReport()
	addReport(t, reports, first)
	newest := first
	for i := range store.MaxReportsPerLink - 1 {
		newest = another(first)
		newest.At = first.At.Add(time.Duration(i+1) * time.Second)
		addReport(t, reports, newest)
	}
	for range 3 {
		wantError(t, "AddReport() of one too many", reports.AddReport(t.Context(), another(first)), store.ErrEnough)
	}
	newest.Dropped = 3
	wantReport(t, reports, newest)
	wantReport(t, reports, first)
	other := another(first)
	other.Reason = "malware"
	addReport(t, reports, other)
	wantReport(t, reports, other)
	if _, err := reports.ResolveReport(t.Context(), first.ID, store.Author{}, time.Now()); err != nil {
		t.Fatalf("ResolveReport() = %v, want nil", err)
	}
	addReport(t, reports, another(first))
}

func boundsClients(t *testing.T, reports reportSuite) {
	first := reports.newReport()
	added := 0
	for range 20 * store.MaxReportsPerClient { // the reports are spread over the shards
		r := reports.newReport()
		r.Client = first.Client
		err := reports.AddReport(t.Context(), r)
		if errors.Is(err, store.ErrFull) {
			break
		}
		if err != nil {
			t.Fatalf("AddReport() = %v, want nil or %v", err, store.ErrFull)
		}
		added++
	}
	if added < store.MaxReportsPerClient || added > 10*store.MaxReportsPerClient {
		t.Errorf("a client has %d open reports, want %d in each database", added, store.MaxReportsPerClient)
	}
	addReport(t, reports, another(first))
}

func pagesReports(t *testing.T, reports reportSuite) {
	for i := range 9 {
		r := reports.newReport()
		r.At = after(100 + i/2) // some have the same time
		addReport(t, reports, r)
	}
	paged := listReports(t, reports, false, 4)
	if whole := listReports(t, reports, false, 1000); !reflect.DeepEqual(paged, whole) || len(whole) < 9 {
		t.Errorf("pages of 4 have %d reports, one page has %d, want the same reports, at least 9", len(paged), len(whole))
	}
	if !slices.IsSortedFunc(paged, func(a, b store.Report) int { return b.At.Compare(a.At) }) {
		t.Error("ListReports() is not newest first")
	}
}

func forgetsReports(t *testing.T, reports reportSuite) {
	old := reports.newReport()
	addReport(t, reports, old)
	if _, err := reports.ResolveReport(t.Context(), old.ID, store.Author{}, time.Now().Add(-store.ReportTTL-time.Hour)); err != nil {
		t.Fatalf("ResolveReport() = %v, want nil", err)
	}
	next := another(old) // the same code, so the same shard
	addReport(t, reports, next)
	if slices.ContainsFunc(listReports(t, reports, true, 1000), func(r store.Report) bool { return r.ID == old.ID }) {
		t.Errorf("a report that was resolved %v ago is kept", store.ReportTTL+time.Hour)
	}
}

func endedReport(t *testing.T, reports reportSuite) {
	r := reports.newReport()
	if err := reports.AddReport(ended(t), r); err == nil {
		t.Error("AddReport() with an ended context = nil, want an error")
	}
	if slices.ContainsFunc(listReports(t, reports, false, 1000), func(got store.Report) bool { return got.ID == r.ID }) {
		t.Error("AddReport() with an ended context added the report")
	}
}

//go:build unix

package e2e_test

import (
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/internal/testenv/audit"
)

const (
	keptFor = audit.KeptFor

	// seenWithin is audit.SeenWithin, and more for a busy machine.
	seenWithin = 4 * audit.SeenWithin

	// heardWithin is shorter than the time that a node keeps a link without announcements.
	// Only a node that receives none needs longer to apply an edit.
	heardWithin = 8 * time.Second

	// mostFaults is how many broken promises are reported one by one.
	mostFaults = 20
)

// auditor checks that the nodes of a fleet keep every promise they made in a response.
type auditor struct {
	*audit.Auditor

	f *fleet
}

func newAuditor(f *fleet, token string) *auditor {
	f.t.Helper()
	opts := audit.Options{ShardOf: f.shardOf, Token: token, SeenWithin: seenWithin}
	for _, c := range f.shards {
		opts.DSNs = append(opts.DSNs, c.DSN(testenv.ShardDatabase))
	}
	a, err := audit.New(opts)
	must(f.t, err)
	f.t.Cleanup(a.Close)
	return &auditor{a, f}
}

// answer is a response of a node.
type answer struct {
	audit.Answer

	status   int
	location string
}

func (a *auditor) send(method, url string, body any, header ...string) (answer, error) {
	got, err := a.Send(a.f.t.Context(), method, url, body, header...)
	return answer{got, got.Status, got.Location}, err
}

func newTarget() string { return audit.NewTarget() }

func targetOf(name string) string { return audit.TargetOf(name) }

func (a *auditor) create(node *program, alias string, header ...string) string {
	return a.Create(a.f.t.Context(), node, alias, header...)
}

func (a *auditor) createOnce(node *program, key string) string {
	return a.CreateOnce(a.f.t.Context(), node, key)
}

func (a *auditor) visit(op string, node *program, code string) (status int) {
	return a.Visit(a.f.t.Context(), op, node, code)
}

func (a *auditor) edit(node *program, code string) { a.Edit(a.f.t.Context(), node, code) }

func (a *auditor) authorization() []string { return a.Authorization() }

func (a *auditor) keep(d time.Duration) { a.Keep(d) }

func (a *auditor) took(since time.Time, op string) []time.Duration { return a.Took(since, op) }

func (a *auditor) since(moment time.Time, op string, shard int) (done int, failed []string) {
	return a.Since(moment, op, shard)
}

func (a *auditor) rows() map[string]audit.Row {
	a.f.t.Helper()
	rows, err := a.Rows(a.f.t.Context())
	must(a.f.t, err)
	return rows
}

// audit compares all databases and all running nodes with the log of the auditor. It fails
// the test for every promise that was broken since the start.
func (a *auditor) audit() {
	t := a.f.t
	t.Helper()
	var nodes []audit.Node
	for _, node := range a.f.nodes {
		if node.Pid() != 0 {
			nodes = append(nodes, node)
		}
	}
	report, err := a.Audit(t.Context(), nodes...)
	must(t, err)
	t.Logf("%d links and %d outcomes audited", report.Links, report.Outcomes)
	for _, fault := range report.Broken[:min(len(report.Broken), mostFaults)] {
		t.Error(fault)
	}
	if more := len(report.Broken) - mostFaults; more > 0 {
		t.Errorf("and %d more", more)
	}
}

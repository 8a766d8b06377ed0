//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
)

const (
	// seenWithin is when an edit is seen by a node that keeps nothing of the link.
	seenWithin = time.Second

	// keptFor is how long a node that hears of no edits may keep what it knows of a
	// link: the cache's TTL with its jitter.
	keptFor = 11 * time.Second

	// mostFaults is how many broken promises are told one by one.
	mostFaults = 20
)

// attempt is one create or edit that was sent.
type attempt struct {
	node         *program
	target       string // of this attempt alone
	version      int64  // that it makes, if it is done
	acknowledged time.Time
	refused      bool // certain not to have been done; neither this nor acknowledged: nobody knows
}

func (w *attempt) known() bool { return !w.acknowledged.IsZero() }

// history is all that was sent about one link, one attempt after the other.
type history struct {
	attempts []*attempt
	asked    map[*program]bool // nodes that may keep something of the link
}

// newest returns the version that is acknowledged; 0 when none is.
func (h *history) newest() (version int64) {
	for _, w := range h.attempts {
		if w.known() {
			version = max(version, w.version)
		}
	}
	return version
}

// least returns the oldest version that a node, which may keep what it knows for a
// while, may show to who asked it at a moment; 0 when it need not know the link
// yet.
func (h *history) least(node *program, at time.Time, kept time.Duration) (version int64) {
	for _, w := range h.attempts {
		late := seenWithin
		switch {
		case w.version == 1, w.node == node:
			late = 0
		case h.asked[node]:
			late += kept
		}
		if w.known() && w.acknowledged.Add(late).Before(at) {
			version = max(version, w.version)
		}
	}
	return version
}

// fits reports whether a link may have a target and a version, of which 0 stands
// for one that is not told.
func (h *history) fits(target string, version int64) (*attempt, bool) {
	i := slices.IndexFunc(h.attempts, func(w *attempt) bool { return w.target == target })
	if i < 0 {
		return nil, false
	}
	w := h.attempts[i]
	lost := slices.ContainsFunc(h.attempts, func(o *attempt) bool { return o.known() && o != w && o.version == w.version })
	return w, !w.refused && !lost && (version == 0 || version == w.version)
}

// outcome is how one request ended. An empty failure stands for what was wanted.
type outcome struct {
	op      string // create or edit, or what a visit is for
	shard   int    // anyShard when the request did not say
	sent    time.Time
	failure string
	took    time.Duration // set once it is done
}

// anyShard is where a link goes whose code is yet to be minted.
const anyShard = -1

// auditor keeps a log of what a fleet was asked and how it answered. It holds
// every answer to the log at once, and all nodes and databases at the end. Safe
// for concurrent use, but for the writers of one link.
type auditor struct {
	f      *fleet
	client *http.Client
	token  string // of the key that owns links to be edited; empty: none are

	mu       sync.Mutex
	kept     time.Duration // how long nodes may keep what they know; keptFor where they hear of no edits
	links    map[string]*history
	unknown  map[string]bool // targets to which one link each may lead, under a code that nobody told
	outcomes []outcome
	faults   []string // promises that were broken
}

func newAuditor(f *fleet, token string) *auditor {
	a := &auditor{f: f, client: client(), token: token, kept: keptFor, links: map[string]*history{}, unknown: map[string]bool{}}
	f.t.Cleanup(a.client.CloseIdleConnections)
	return a
}

// answer is what the auditor reads of one.
type answer struct {
	status   int
	location string

	Code              string
	URL               string
	Version           int64
	UnavailableShards []string `json:"unavailable_shards"`
}

// send sends a request and reads the answer; an error means that there is none.
func (a *auditor) send(method, url string, body any, header ...string) (answer, error) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return answer{}, err
		}
	}
	request, err := http.NewRequestWithContext(a.f.t.Context(), method, url, &content)
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := a.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	got := answer{status: response.StatusCode, location: response.Header.Get("Location")}
	text, err := io.ReadAll(response.Body)
	if err == nil && len(text) > 0 && response.StatusCode < 300 {
		err = json.Unmarshal(text, &got)
	}
	if response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") == "" {
		a.broken("%s %s = 503 without Retry-After", method, url)
	}
	return got, err
}

// authorization returns the header of requests about links that are edited.
func (a *auditor) authorization() []string { return []string{"Authorization", "Bearer " + a.token} }

// create creates a link under an alias, or a minted code when that is empty, and
// returns the code; an empty one when that was not acknowledged.
func (a *auditor) create(node *program, alias string, header ...string) string {
	w := &attempt{node: node, target: newTarget(), version: 1}
	body, shard := map[string]string{"url": w.target}, anyShard
	if alias != "" {
		body["alias"] = alias
		shard = a.f.shardOf(alias)
		a.log(alias, w)
	}
	sent := time.Now()
	got, err := a.send(http.MethodPost, node.url+"/api/v1/links", body, header...)
	failure := a.settle("create", w, got, err, http.StatusCreated)
	a.done(outcome{op: "create", shard: shard, sent: sent, failure: failure})
	switch {
	case failure != "" && alias == "":
		a.expect(w.target)
		return ""
	case failure != "":
		return ""
	case alias == "":
		a.log(got.Code, w)
	}
	if got.URL != w.target || got.Version != 1 || alias != "" && got.Code != alias {
		a.broken("create of %s as %q = %+v", w.target, alias, got)
	}
	return got.Code
}

// createOnce creates a link under a minted code with an Idempotency-Key, or asks
// for the same again, and returns its code; an empty one when there was no answer.
// The target is made from the key.
func (a *auditor) createOnce(node *program, key string) string {
	target := targetOf(key)
	a.expect(target)
	got, err := a.send(http.MethodPost, node.url+"/api/v1/links", map[string]string{"url": target}, "Idempotency-Key", key)
	switch {
	case err != nil || got.status == http.StatusServiceUnavailable:
		return ""
	case got.status != http.StatusCreated || got.URL != target:
		a.broken("create with the key %s = %+v, want 201 with %s", key, got, target)
	}
	return got.Code
}

// newTarget returns a target that no other attempt has.
func newTarget() string { return targetOf(store.NewKeyID()) }

func targetOf(name string) string { return "https://example.com/" + name }

// expect writes to the log that one link may lead to a target.
func (a *auditor) expect(target string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unknown[target] = true
}

// edit gives a link another target. The version that it means is sent, so that
// an edit whose outcome is unknown cannot come after a later one.
func (a *auditor) edit(node *program, code string) {
	a.mu.Lock()
	h := a.links[code]
	w := &attempt{node: node, target: newTarget(), version: h.newest() + 1}
	a.mu.Unlock()
	a.log(code, w)
	sent := time.Now()
	got, err := a.send(http.MethodPatch, node.url+"/api/v1/links/"+code, map[string]string{"url": w.target},
		append(a.authorization(), "If-Match", fmt.Sprintf(`"%d"`, w.version-1))...)
	if got.status == http.StatusPreconditionFailed && a.adopt(node, code) {
		a.mu.Lock()
		defer a.mu.Unlock()
		w.refused = true
		return
	}
	a.done(outcome{op: "edit", shard: a.f.shardOf(code), sent: sent, failure: a.settle("edit", w, got, err, http.StatusOK)})
	if err == nil && got.status == http.StatusOK && (got.URL != w.target || got.Version != w.version) {
		a.broken("edit of %s to version %d, %s = %+v", code, w.version, w.target, got)
	}
}

// adopt reads a link that does not have the version which was acknowledged last,
// and takes for acknowledged what it finds: an attempt whose outcome was unknown.
// It reports false when there was none.
func (a *auditor) adopt(node *program, code string) bool {
	got, err := a.send(http.MethodGet, node.url+"/api/v1/links/"+code, nil, a.authorization()...)
	if err != nil || got.status == http.StatusServiceUnavailable {
		return true // until the next edit
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	w, ok := a.links[code].fits(got.URL, got.Version)
	if !ok || w.known() {
		return false
	}
	w.acknowledged = time.Now()
	return true
}

// read holds what the API of a node says of a link to the log.
func (a *auditor) read(node *program, code string) {
	a.mu.Lock()
	least := a.links[code].newest()
	a.mu.Unlock()
	got, err := a.send(http.MethodGet, node.url+"/api/v1/links/"+code, nil, a.authorization()...)
	a.mu.Lock()
	w, ok := a.links[code].fits(got.URL, got.Version)
	a.mu.Unlock()
	switch {
	case err != nil || got.status == http.StatusServiceUnavailable:
	case got.status != http.StatusOK || !ok || w.version < least:
		a.broken("the API says of %s: %+v, want version %d or later", code, got, least)
	}
}

// visit asks a node where a link leads, and holds the answer to the log. op is
// what the outcome is counted as.
func (a *auditor) visit(op string, node *program, code string) (status int) {
	a.mu.Lock()
	sent := time.Now()
	h := a.links[code]
	least := h.least(node, sent, a.kept)
	h.asked[node] = true
	a.mu.Unlock()
	got, err := a.send(http.MethodGet, node.url+"/"+code, nil)
	failure := ""
	switch {
	case err != nil:
		failure = err.Error()
	case got.status != http.StatusFound:
		failure = fmt.Sprintf("visit of %s = %d", code, got.status)
	}
	a.done(outcome{op: op, shard: a.f.shardOf(code), sent: sent, failure: failure})
	a.mu.Lock()
	w, ok := h.fits(got.location, 0)
	a.mu.Unlock()
	switch {
	case err != nil || got.status == http.StatusServiceUnavailable:
	case got.status != http.StatusFound && least > 0:
		a.broken("visit of %s = %d, want 302", code, got.status)
	case got.status == http.StatusFound && (!ok || w.version < least):
		a.broken("visit of %s leads to %q, want version %d or later of %s", code, got.location, least, a.told(h))
	}
	return got.status
}

// settle writes the outcome of an attempt to the log, and returns why it failed.
func (a *auditor) settle(op string, w *attempt, got answer, err error, want int) (failure string) {
	a.mu.Lock()
	switch {
	case err != nil:
		failure = err.Error()
	case got.status == want:
		w.acknowledged = time.Now()
	default:
		w.refused = got.status < http.StatusInternalServerError
		failure = fmt.Sprintf("%s = %d", op, got.status)
	}
	a.mu.Unlock()
	if err == nil && got.status != want && got.status != http.StatusServiceUnavailable {
		a.broken("%s of %s = %d, want %d or 503", op, w.target, got.status, want)
	}
	return failure
}

// log writes an attempt to the history of a link. A code has one create.
func (a *auditor) log(code string, w *attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.links[code]
	if h == nil {
		h = &history{asked: map[*program]bool{}}
		a.links[code] = h
	} else if w.version == 1 {
		a.faults = append(a.faults, fmt.Sprintf("code %s was given twice", code))
	}
	h.asked[w.node] = true
	h.attempts = append(h.attempts, w)
}

func (a *auditor) done(o outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o.took = time.Since(o.sent)
	a.outcomes = append(a.outcomes, o)
}

// keep says how long nodes may keep what they know from now on.
func (a *auditor) keep(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept = d
}

// took returns how long requests of a kind took that were sent after a moment,
// shortest first.
func (a *auditor) took(since time.Time, op string) (all []time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.outcomes {
		if o.op == op && o.sent.After(since) {
			all = append(all, o.took)
		}
	}
	slices.Sort(all)
	return all
}

func (a *auditor) broken(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, fmt.Sprintf(format, args...))
}

// since returns how many requests of a kind that were sent to a shard after a
// moment have done what they should, and why the others have not.
func (a *auditor) since(moment time.Time, op string, shard int) (done int, failed []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.outcomes {
		switch {
		case o.op != op, o.shard != shard, o.sent.Before(moment):
		case o.failure == "":
			done++
		default:
			failed = append(failed, o.sent.Format("05.000 ")+o.failure)
		}
	}
	return done, failed
}

// told returns a history for people.
func (a *auditor) told(h *history) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for _, w := range h.attempts {
		state := "unknown"
		switch {
		case w.known():
			state = "acknowledged at " + w.acknowledged.Format("05.000")
		case w.refused:
			state = "refused"
		}
		fmt.Fprintf(&b, "[%d %s through %s %s]", w.version, w.target, w.node.url, state)
	}
	return b.String()
}

// linkRow is a link as a database has it.
type linkRow struct {
	Code, Target string
	Version      int64
}

// audit holds all databases and all nodes that run to the log, and fails the test
// for every promise that was broken since the start.
func (a *auditor) audit() {
	t := a.f.t
	t.Helper()
	rows := a.rows()
	a.mu.Lock()
	links, unknown := maps.Clone(a.links), maps.Clone(a.unknown)
	a.mu.Unlock()
	for code, h := range links {
		r, there := rows[code]
		_, fits := h.fits(r.Target, r.Version)
		if there && !fits || r.Version < h.newest() {
			a.broken("%s is %+v in the database, want version %d or later of %s", code, r, h.newest(), a.told(h))
		}
	}
	for code, r := range rows {
		if links[code] != nil {
			continue
		}
		if !unknown[r.Target] {
			a.broken("%s to %s is in the database, and nobody asked for it, or twice", code, r.Target)
		}
		delete(unknown, r.Target)
		a.log(code, &attempt{node: a.f.nodes[0], target: r.Target, version: r.Version, acknowledged: time.Now()})
	}
	a.visitAll(slices.Collect(maps.Keys(rows)))
	t.Logf("%d links and %d outcomes audited", len(rows), len(a.outcomes))
	for _, fault := range a.faults[:min(len(a.faults), mostFaults)] {
		t.Error(fault)
	}
	if more := len(a.faults) - mostFaults; more > 0 {
		t.Errorf("and %d more", more)
	}
}

// rows returns the links of all shards, by code.
func (a *auditor) rows() map[string]linkRow {
	rows := map[string]linkRow{}
	for i := range a.f.shards {
		for _, r := range query(a.f, i, pgx.RowToStructByPos[linkRow], `SELECT code, target, version FROM links
			JOIN buckets USING (bucket) WHERE state = 'owned' AND deleted_at IS NULL AND owner <> $1`, cache.CanaryOwner) {
			if twice, ok := rows[r.Code]; ok {
				a.broken("two databases have %s: %+v and %+v", r.Code, r, twice)
			}
			rows[r.Code] = r
		}
	}
	return rows
}

// visitAll visits links through all nodes that run; each must redirect.
func (a *auditor) visitAll(links []string) {
	var group errgroup.Group
	group.SetLimit(8)
	for _, node := range a.f.nodes {
		if node.cmd.ProcessState != nil {
			continue
		}
		for _, code := range links {
			group.Go(func() error {
				if status := a.visit("audit", node, code); status != http.StatusFound {
					a.broken("in the end, the visit of %s through %s = %d, want 302", code, node.url, status)
				}
				return nil
			})
		}
	}
	_ = group.Wait()
}

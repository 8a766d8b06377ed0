package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/terse/terse/store"
)

// Answer is the part of an answer that the Auditor reads.
type Answer struct {
	Status   int    `json:"-"`
	Location string `json:"-"`

	Code              string
	URL               string
	Version           int64
	UnavailableShards []string `json:"unavailable_shards"`
}

// Send sends a request and reads the answer. It returns an error if no answer arrives. It
// retries a request that can be repeated if the server had just closed the idle
// connection, as a reloaded balancer does.
func (a *Auditor) Send(ctx context.Context, method, url string, body any, header ...string) (Answer, error) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return Answer{}, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, url, &content)
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	for pair := range slices.Chunk(header, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	if request.Header.Get("If-Match") != "" {
		request.Header["Idempotency-Key"] = nil // makes http.Transport retry the request, but is not sent
	}
	response, err := a.client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	got := Answer{Status: response.StatusCode, Location: response.Header.Get("Location")}
	text, err := io.ReadAll(response.Body)
	if err == nil && len(text) > 0 && response.StatusCode < 300 {
		err = json.Unmarshal(text, &got)
	}
	if response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") == "" {
		a.Broken("%s %s = 503 without Retry-After", method, url)
	}
	return got, err
}

// Create creates a link with an alias, or with a minted code if alias is empty. It
// returns the code, or "" if the create was not acknowledged.
func (a *Auditor) Create(ctx context.Context, node Node, alias string, header ...string) string {
	w := &attempt{node: node, target: NewTarget(), version: 1}
	body, shard := map[string]string{"url": w.target}, AnyShard
	if alias != "" {
		body["alias"] = alias
		shard = a.opts.ShardOf(alias)
		a.log(alias, w)
	}
	sent := time.Now()
	got, err := a.Send(ctx, http.MethodPost, node.URL()+"/api/v1/links", body, header...)
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
		a.Broken("create of %s as %q = %+v", w.target, alias, got)
	}
	return got.Code
}

// CreateOnce creates a link with a minted code and an Idempotency-Key. With the same key
// it repeats the same create. It returns the code, or "" without an answer. The target is
// made from the key.
func (a *Auditor) CreateOnce(ctx context.Context, node Node, key string) string {
	target := TargetOf(key)
	a.expect(target)
	got, err := a.Send(ctx, http.MethodPost, node.URL()+"/api/v1/links", map[string]string{"url": target}, "Idempotency-Key", key)
	switch {
	case err != nil || unavailable(node, got):
		return ""
	case got.Status != http.StatusCreated || got.URL != target:
		a.Broken("create with the key %s = %+v, want 201 with %s", key, got, target)
	}
	return got.Code
}

// NewTarget returns a unique target.
func NewTarget() string { return TargetOf(store.NewKeyID()) }

// TargetOf returns the target for a name.
func TargetOf(name string) string { return "https://example.com/" + name }

// expect logs that one link may have the target.
func (a *Auditor) expect(target string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unknown[target] = true
}

// Edit gives a link a new target. It sends the version in If-Match, so that an edit with an
// unknown outcome cannot be done after a later edit.
func (a *Auditor) Edit(ctx context.Context, node Node, code string) {
	a.mu.Lock()
	h := a.links[code]
	w := &attempt{node: node, target: NewTarget(), version: h.newest() + 1}
	a.mu.Unlock()
	a.log(code, w)
	sent := time.Now()
	got, err := a.Send(ctx, http.MethodPatch, node.URL()+"/api/v1/links/"+code, map[string]string{"url": w.target},
		append(a.Authorization(), "If-Match", fmt.Sprintf(`"%d"`, w.version-1))...)
	if got.Status == http.StatusPreconditionFailed && a.adopt(ctx, node, code) {
		a.mu.Lock()
		defer a.mu.Unlock()
		w.refused = !w.known() // adopt may have found this edit, when a balancer retried it
		return
	}
	a.done(outcome{op: "edit", shard: a.opts.ShardOf(code), sent: sent, failure: a.settle("edit", w, got, err, http.StatusOK)})
	if err == nil && got.Status == http.StatusOK && (got.URL != w.target || got.Version != w.version) {
		a.Broken("edit of %s to version %d, %s = %+v", code, w.version, w.target, got)
	}
}

// adopt reads a link that does not have the newest acknowledged version. If it has the
// version of an attempt with an unknown outcome, adopt marks the attempt as acknowledged.
// It returns false if there is no such attempt.
func (a *Auditor) adopt(ctx context.Context, node Node, code string) bool {
	got, err := a.Send(ctx, http.MethodGet, node.URL()+"/api/v1/links/"+code, nil, a.Authorization()...)
	if err != nil || unavailable(node, got) {
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

// Read compares the API's answer about a link with the log.
func (a *Auditor) Read(ctx context.Context, node Node, code string) {
	a.mu.Lock()
	least := a.links[code].newest()
	a.mu.Unlock()
	got, err := a.Send(ctx, http.MethodGet, node.URL()+"/api/v1/links/"+code, nil, a.Authorization()...)
	a.mu.Lock()
	w, ok := a.links[code].fits(got.URL, got.Version)
	a.mu.Unlock()
	switch {
	case err != nil || unavailable(node, got):
	case got.Status != http.StatusOK || !ok || w.version < least:
		a.Broken("the API answers about %s: %+v, want version %d or later", code, got, least)
	}
}

// Visit requests the redirect of a link and compares the answer with the log. The outcome
// is counted under op.
func (a *Auditor) Visit(ctx context.Context, op string, node Node, code string) (status int) {
	a.mu.Lock()
	sent := time.Now()
	h := a.links[code]
	least := h.least(node, sent, a.opts.SeenWithin, a.kept)
	h.asked[node] = true
	a.mu.Unlock()
	got, err := a.Send(ctx, http.MethodGet, node.URL()+"/"+code, nil)
	failure := ""
	switch {
	case err != nil:
		failure = err.Error()
	case got.Status != http.StatusFound:
		failure = fmt.Sprintf("visit of %s = %d", code, got.Status)
	}
	a.done(outcome{op: op, shard: a.opts.ShardOf(code), sent: sent, failure: failure})
	a.mu.Lock()
	w, ok := h.fits(got.Location, 0)
	a.mu.Unlock()
	switch {
	case err != nil || unavailable(node, got):
	case got.Status != http.StatusFound && least > 0:
		a.Broken("visit of %s = %d, want 302", code, got.Status)
	case got.Status == http.StatusFound && (!ok || w.version < least):
		a.Broken("visit of %s leads to %q, want version %d or later of %s", code, got.Location, least, a.describe(h))
	}
	return got.Status
}

// settle logs the outcome of an attempt, and returns why it failed.
func (a *Auditor) settle(op string, w *attempt, got Answer, err error, want int) (failure string) {
	a.mu.Lock()
	switch {
	case err != nil:
		failure = err.Error()
	case got.Status == want:
		w.acknowledged = time.Now()
	default:
		w.refused = got.Status < http.StatusInternalServerError
		failure = fmt.Sprintf("%s = %d", op, got.Status)
	}
	a.mu.Unlock()
	if err == nil && got.Status != want && !unavailable(w.node, got) {
		a.Broken("%s of %s = %d, want %d or 503", op, w.target, got.Status, want)
	}
	return failure
}

// unavailable reports whether an answer only means that the service is unavailable. A load
// balancer also answers 502 and 504 when it has lost a node.
func unavailable(node Node, got Answer) bool {
	_, many := node.(Balancer)
	return got.Status == http.StatusServiceUnavailable ||
		many && (got.Status == http.StatusBadGateway || got.Status == http.StatusGatewayTimeout)
}

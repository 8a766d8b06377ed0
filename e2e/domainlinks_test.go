//go:build unix

package e2e_test

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// addDomain adds an active domain that all owners share.
func (f *fleet) addDomain(id, host string) {
	f.t.Helper()
	ctx := f.t.Context()
	f.transact(f.shardOf(host), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO domain_hosts (claimed_at, verified_at, bucket, host, domain_id, owner) VALUES (now(), now(), $1, $2, $3, '')`, store.BucketOf(host), host, id)
		return err
	})
	f.transact(f.shardOf(id), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO domains (created_at, updated_at, version, bucket, state, robots, root_status, not_found_status,
			ended_status, shared, id, host, owner, root_url, not_found_url, ended_url)
			VALUES (now(), now(), 1, $1, $2, 0, 0, 0, 0, true, $3, $4, '', '', '', '')`, store.BucketOf(id), store.DomainActive, id, host)
		return err
	})
}

// byHost sends requests to a node under the host of a domain.
type byHost struct {
	t     *testing.T
	token string
}

// send returns the status, the Location and the body of an answer. An empty host is the one of the
// base URL.
func (b byHost) send(node *program, host, method, path, body string) (status int, location, answer string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, node.url+path, strings.NewReader(body))
	must(b.t, err)
	r.Host = cmp.Or(host, "localhost")
	r.Header.Set("Content-Type", "application/json")
	if host == "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	response, err := client(b.t).Do(r)
	must(b.t, err)
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(response.Body)
	must(b.t, err)
	return response.StatusCode, response.Header.Get("Location"), string(got)
}

// visit returns the target of /spring under a host, or the status.
func (b byHost) visit(node *program, host string) string {
	b.t.Helper()
	status, location, _ := b.send(node, host, http.MethodGet, "/spring", "")
	if location == "" {
		return http.StatusText(status)
	}
	return location
}

// link returns the link spring on the domain of a host.
func (b byHost) link(node *program, host string) (l struct{ Clicks, Version int }) {
	b.t.Helper()
	status, _, body := b.send(node, "", http.MethodGet, "/api/v1/links/spring?"+url.Values{"domain": {host}}.Encode(), "")
	if err := json.Unmarshal([]byte(body), &l); err != nil || status != http.StatusOK {
		b.t.Fatalf("link on %s = %d %s, %v", host, status, body, err)
	}
	return l
}

// TestSameCodeOnThreeDomains creates one code on three domains through two nodes that share a
// Redis. Edits, deletes and clicks of one link never change another one.
func TestSameCodeOnThreeDomains(t *testing.T) {
	t.Parallel()
	f, _, _ := newCached(t, 2, nil)
	one, two := f.nodes[0], f.nodes[1]
	f.addDomain("jT0xYqRm4", "go.example.com")
	f.addDomain("k7Qx9mB2a", "links.example.net")
	token := strings.TrimSpace(f.run("key", "create", "--name", "domains", "--domain", "go.example.com", "--domain", "links.example.net", "--domain", "default"))
	b := byHost{t, token}
	hosts := []string{"localhost", "go.example.com", "links.example.net"}
	for _, node := range f.nodes {
		for _, host := range hosts[1:] {
			testenv.Await(t, "the node to know the domain", func() bool {
				status, _, _ := b.send(node, "", http.MethodGet, "/api/v1/links?domain="+host, "")
				return status == http.StatusOK
			})
		}
	}
	for i, host := range hosts {
		body := `{"url":"https://example.com/` + host + `","alias":"spring","domain":"` + host + `"}`
		if status, location, answer := b.send(f.nodes[i%2], "", http.MethodPost, "/api/v1/links", body); status != http.StatusCreated || !strings.HasSuffix(location, "/spring") {
			t.Fatalf("create on %s = %d %s", host, status, answer)
		}
	}
	if status, location, answer := b.send(one, "", http.MethodPost, "/api/v1/links", `{"url":"https://example.com/"}`); status != http.StatusCreated || !strings.Contains(location, "://go.example.com") {
		t.Errorf("create without a domain = %d %s, want it on the first domain of the key", status, answer)
	}
	for visits, host := range hosts {
		for range visits + 1 {
			for _, node := range f.nodes {
				if got, want := b.visit(node, host), "https://example.com/"+host; got != want {
					t.Errorf("visit on %s leads to %s, want %s", host, got, want)
				}
			}
		}
	}

	b.send(two, "", http.MethodPatch, "/api/v1/links/spring?domain="+hosts[1], `{"url":"https://example.com/edited"}`)
	b.send(one, "", http.MethodDelete, "/api/v1/links/spring?domain="+hosts[2], "")
	for _, node := range f.nodes {
		testenv.Await(t, "the edit to be seen", func() bool { return b.visit(node, hosts[1]) == "https://example.com/edited" })
		testenv.Await(t, "the delete to be seen", func() bool { return b.visit(node, hosts[2]) == "Gone" })
		if got := b.visit(node, ""); got != "https://example.com/"+hosts[0] {
			t.Errorf("visit on the default domain leads to %s after an edit on another one", got)
		}
	}
	testenv.Await(t, "the clicks to be counted", func() bool { return b.link(two, hosts[0]).Clicks == 2+2 && b.link(one, hosts[1]).Clicks >= 4+2 })
	if l := b.link(one, hosts[1]); l.Version != 2 {
		t.Errorf("edited link = %+v, want version 2", l)
	}
	if l := b.link(one, hosts[0]); l.Version != 1 {
		t.Errorf("link on the default domain = %+v, want version 1", l)
	}
}

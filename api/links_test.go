package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/client"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
)

func testCreateAndRead(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := s.owner("owner")
	starts, expires := s.clock.Now().Add(-time.Hour), s.clock.Now().Add(time.Hour)
	a := s.send(http.MethodPost, "/api/v1/links", map[string]any{
		"url": "https://example.com/a?b=c#d", "alias": "Spring_2026-x", "title": "Spring", "tags": []string{"b", "a", "b"},
		"starts_at": starts, "expires_at": expires, "max_clicks": 7, "password": "p", "status": 307, "forward_query": "append", "forward_path": "append",
	}, owner...)
	if a.status != http.StatusCreated {
		t.Fatalf("create = %d %s, want 201", a.status, a.body)
	}
	if got, want := a.header.Get("Location"), baseURL+"/Spring_2026-x"; got != want {
		t.Errorf("Location = %q, want %q", got, want)
	}
	if got := a.header.Get("ETag"); got != `"1"` {
		t.Errorf(`ETag = %q, want "1"`, got)
	}
	created := a.link()
	read := s.get("/api/v1/links/Spring_2026-x", owner...)
	if string(read.body) != string(a.body) || read.header.Get("ETag") != `"1"` {
		t.Errorf("read = %s, want what create answered: %s", read.body, a.body)
	}
	want := linkJSON{
		Code: "Spring_2026-x", Domain: "go.terse.example", ShortURL: baseURL + "/Spring_2026-x", URL: "https://example.com/a?b=c#d", Title: "Spring",
		Tags: []string{"a", "b"}, Status: 307, ForwardQuery: "append", ForwardPath: "append", Rules: []client.Rule{}, State: "live", StartsAt: &starts, ExpiresAt: &expires,
		MaxClicks: 7, PasswordProtected: true, Owner: created.Owner, CreatedAt: s.clock.Now(), UpdatedAt: s.clock.Now(), Version: 1,
	}
	gotJSON, _ := json.Marshal(created)
	wantJSON, _ := json.Marshal(want)
	if string(gotJSON) != string(wantJSON) {
		t.Errorf("created = %s, want %s", gotJSON, wantJSON)
	}
}

func testMintedCodes(t *testing.T, newServer opener) {
	s := newServer(t)
	form := regexp.MustCompile(`^[0-9A-Za-z]{9}$`)
	seen := map[string]bool{}
	for range 50 {
		l := s.create(`{"url":"https://example.com","alias":null,"title":null,"expires_at":null}`)
		if !form.MatchString(l.Code) || seen[l.Code] {
			t.Errorf("code = %q, want 9 fresh characters of base62", l.Code)
		}
		seen[l.Code] = true
	}
}

func testEdit(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := s.owner("owner")
	l := s.create(`{"url":"https://example.com/1","title":"one","tags":["x"],"max_clicks":3,"password":"p","status":301}`, owner...)
	path := "/api/v1/links/" + l.Code
	edit := func(body string, headers ...string) answer {
		return s.send(http.MethodPatch, path, body, append(headers, owner...)...)
	}
	s.clock.add(time.Second)
	a := edit(`{"url":"https://example.com/2","password":null,"max_clicks":null}`, "If-Match", `"1"`)
	got := a.link()
	if a.status != http.StatusOK || a.header.Get("ETag") != `"2"` || got.Version != 2 || got.URL != "https://example.com/2" ||
		got.Title != "one" || got.PasswordProtected || got.MaxClicks != 0 || !got.UpdatedAt.Equal(s.clock.Now()) {
		t.Errorf("edit = %d %s, want only what was sent changed", a.status, a.body)
	}
	if got := s.get("/" + l.Code).header.Get("Location"); got != "https://example.com/2" {
		t.Errorf("Location after the edit = %q, want the new target", got)
	}
	edit(`{"title":"late"}`, "If-Match", `"1"`).problem(http.StatusPreconditionFailed)
	edit(`{"title":"late"}`, "If-Match", `W/"2"`).problem(http.StatusPreconditionFailed)
	edit(`{"title":"late"}`, "If-Match", `nonsense`).problem(http.StatusPreconditionFailed)
	if a := edit(`{}`); a.link().Version != 2 {
		t.Errorf("empty edit = %s, want version 2 still", a.body)
	}
	if a := edit(`{"title":null,"tags":[],"status":null}`, "If-Match", `"7", "2"`); a.link().Version != 3 || a.link().Title != "" ||
		len(a.link().Tags) != 0 || a.link().Status != 302 {
		t.Errorf("edit with nulls = %s, want the defaults", a.body)
	}
	if a := edit(`{"title":"any"}`, "If-Match", `*`); a.link().Version != 4 {
		t.Errorf("edit with * = %s, want version 4", a.body)
	}
}

func testConcurrentEditsLoseNothing(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := s.owner("owner")
	l := s.create(`{"url":"https://example.com"}`, owner...)
	fields := []string{`{"title":"t"}`, `{"tags":["a"]}`, `{"status":301}`, `{"max_clicks":9}`, `{"forward_query":"append"}`}
	var wg sync.WaitGroup
	for _, f := range fields {
		wg.Go(func() {
			if a := s.send(http.MethodPatch, "/api/v1/links/"+l.Code, f, owner...); a.status != http.StatusOK {
				t.Errorf("edit %s = %d %s, want 200", f, a.status, a.body)
			}
		})
	}
	wg.Wait()
	got := s.get("/api/v1/links/"+l.Code, owner...).link()
	if got.Title != "t" || len(got.Tags) != 1 || got.Status != 301 || got.MaxClicks != 9 || got.ForwardQuery != "append" || got.Version != 6 {
		t.Errorf("link = %+v, want every edit in version 6", got)
	}
}

func testDelete(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := s.owner("owner")
	l := s.create(`{"url":"https://example.com","alias":"gone"}`, owner...)
	path := "/api/v1/links/" + l.Code
	s.do(http.MethodDelete, path, nil, append(owner, "If-Match", `"9"`)...).problem(http.StatusPreconditionFailed)
	if a := s.do(http.MethodDelete, path, nil, append(owner, "If-Match", `"1"`)...); a.status != http.StatusNoContent {
		t.Fatalf("delete = %d %s, want 204", a.status, a.body)
	}
	s.get("/gone").problem(http.StatusGone)
	s.get(path, owner...).problem(http.StatusGone)
	s.do(http.MethodDelete, path, nil, owner...).problem(http.StatusGone)
	s.send(http.MethodPatch, path, `{"title":"x"}`, owner...).problem(http.StatusGone)
	s.get(path + "/qr").problem(http.StatusGone)
	for _, headers := range [][]string{s.owner("other"), nil} {
		s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com","alias":"gone"}`, headers...).problem(http.StatusConflict)
	}
}

// beforeDelete calls edit after the API has read a link and before the store deletes it.
type beforeDelete struct {
	store.Store
	edit func()
}

func (b beforeDelete) Delete(ctx context.Context, code string, version int64, at time.Time) (store.Link, error) {
	b.edit()
	return b.Store.Delete(ctx, code, version, at)
}

// testDeleteBesideAnEdit checks that a delete with If-Match fails if the link is edited at
// the same time.
func testDeleteBesideAnEdit(t *testing.T, newServer opener) {
	var b beforeDelete
	s := newServer(t, func(o *options) {
		b.Store = o.Store
		links := o.Store.(*cache.Cache)
		o.Store, o.Peek, o.Holds = &b, links.Peek, links.Holds
	})
	owner := s.owner("owner")
	l := s.create(`{"url":"https://example.com"}`, owner...)
	path := "/api/v1/links/" + l.Code
	b.edit = func() {
		if a := s.send(http.MethodPatch, path, `{"title":"new"}`, owner...); a.status != http.StatusOK {
			t.Errorf("edit during the delete = %d %s, want 200", a.status, a.body)
		}
	}
	s.do(http.MethodDelete, path, nil, append(owner, "If-Match", `"1"`)...).problem(http.StatusPreconditionFailed)
	if a := s.get(path, owner...); a.status != http.StatusOK || a.link().Title != "new" {
		t.Errorf("link after the rejected delete = %d %s, want the edited one", a.status, a.body)
	}
}

func testKeysEnd(t *testing.T, newServer opener) {
	s := newServer(t)
	expiring, revoked := s.clock.Now().Add(time.Minute), s.owner("revoked")
	token, hash := store.NewToken()
	must(t, s.store.CreateKey(context.Background(), store.Key{
		ID: "key_expiring", Name: "expiring", Hash: hash, Scopes: store.Scopes(), CreatedAt: s.clock.Now(), ExpiresAt: expiring,
	}))
	header := []string{"Authorization", "Bearer " + token}
	if a := s.get("/api/v1/links", header...); a.status != http.StatusOK {
		t.Fatalf("list before the end = %d, want 200", a.status)
	}
	s.clock.add(time.Minute)
	s.get("/api/v1/links", header...).problem(http.StatusUnauthorized)

	if a := s.get("/api/v1/links", revoked...); a.status != http.StatusOK {
		t.Fatalf("list before the revocation = %d, want 200", a.status)
	}
	keys, err := s.store.ListKeys(context.Background())
	must(t, err)
	for _, k := range keys {
		_, err := s.store.RevokeKey(context.Background(), k.ID, s.clock.Now())
		must(t, err)
	}
	s.get("/api/v1/links", revoked...).problem(http.StatusUnauthorized)
}

func testList(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := s.owner("owner")
	s.create(`{"url":"https://example.com/other"}`, s.owner("other")...)
	s.create(`{"url":"https://example.com/anonymous"}`)
	var want []string
	for i := range 7 {
		l := s.create(fmt.Sprintf(`{"url":"https://example.com/%d","title":"Title %d","tags":["t%d"]}`, i, i, i%2), owner...)
		want = append([]string{l.Code}, want...)
		s.clock.add(time.Millisecond)
	}
	type page struct {
		Links      []linkJSON `json:"links"`
		NextCursor string     `json:"next_cursor"`
	}
	read := func(query string) (p page) {
		a := s.get("/api/v1/links"+query, owner...)
		if a.status != http.StatusOK {
			t.Fatalf("list %s = %d %s, want 200", query, a.status, a.body)
		}
		a.into(&p)
		return p
	}
	codesOf := func(p page) (codes []string) {
		for _, l := range p.Links {
			codes = append(codes, l.Code)
		}
		return codes
	}
	first := read("?limit=4")
	s.create(`{"url":"https://example.com/new"}`, owner...)
	second := read("?limit=4&cursor=" + first.NextCursor)
	if got := append(codesOf(first), codesOf(second)...); !slices.Equal(got, want) || second.NextCursor != "" {
		t.Errorf("two pages = %v and cursor %q, want %v and none", got, second.NextCursor, want)
	}
	if got := codesOf(read("?tag=t1")); len(got) != 3 {
		t.Errorf("list of t1 = %v, want 3 links", got)
	}
	if got := codesOf(read("?q=TITLE+3")); !slices.Equal(got, want[3:4]) {
		t.Errorf("search = %v, want %v", got, want[3:4])
	}
	var third struct {
		CreatedAt time.Time `json:"created_at"`
	}
	s.get("/api/v1/links/"+want[2], owner...).into(&third)
	at := url.QueryEscape(third.CreatedAt.Format(time.RFC3339Nano))
	for query, codes := range map[string][]string{
		"?state=live&created_from=" + at: want[:3], "?created_from=" + at: want[:3], "?created_to=" + at: want[3:], "?state=expired": nil,
	} {
		got := slices.DeleteFunc(codesOf(read(query)), func(code string) bool { return !slices.Contains(want, code) })
		if !slices.Equal(got, codes) {
			t.Errorf("list %s = %v, want %v", query, got, codes)
		}
	}
	if got := s.get("/api/v1/links?tag=none", owner...); !strings.Contains(string(got.body), `"links":[]`) {
		t.Errorf("empty list = %s, want an empty array", got.body)
	}
	for _, query := range []string{"?tag=a;b", "?tag=%zz"} {
		s.get("/api/v1/links"+query, owner...).problem(http.StatusBadRequest)
	}
	for query, location := range map[string]string{
		"?cursor=nonsense": "query.cursor", "?nonsense=1": "query.nonsense", "?domain=a.example&domain=b.example": "query.domain", "?tag=a&%74ag=a": "query.tag", "?limit=0": "query.limit", "?limit=1001": "query.limit", "?limit=x": "query.limit", "?state=deleted": "query.state", "?created_from=then": "query.created_from", "?created_to=2026-11-01": "query.created_to",
	} {
		if got := s.get("/api/v1/links"+query, owner...).problem(http.StatusUnprocessableEntity); got != location {
			t.Errorf("list %s names %q, want %q", query, got, location)
		}
	}
}

func testReuse(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := s.owner("owner")
	first := s.create(`{"url":"https://example.com/1"}`, owner...)
	again := func(body string, headers []string) (int, string) {
		a := s.send(http.MethodPost, "/api/v1/links", body, headers...)
		return a.status, a.link().Code
	}
	if status, code := again(`{"url":"https://example.com/1","reuse":true}`, owner); status != http.StatusOK || code != first.Code {
		t.Errorf("reuse = %d %s, want 200 %s", status, code, first.Code)
	}
	s.create(`{"url":"https://example.com/4"}`)
	anonymous := s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/4","reuse":true}`)
	if detail := anonymous.problem(http.StatusUnprocessableEntity); named(anonymous) != "body.reuse" {
		t.Errorf("anonymous reuse = %s naming %q, want it to name body.reuse", detail, named(anonymous))
	}
	for name, body := range map[string]string{
		"another target": `{"url":"https://example.com/2","reuse":true}`,
		"a password":     `{"url":"https://example.com/1","reuse":true,"password":"x"}`,
		"another status": `{"url":"https://example.com/1","reuse":true,"status":301}`,
		"a confirmation": `{"url":"https://example.com/1","reuse":true,"confirm":true}`,
		"no visitors":    `{"url":"https://example.com/1","reuse":true,"no_visitors":true}`,
		"another path":   `{"url":"https://example.com/1","reuse":true,"forward_path":"append"}`,
		"an alias":       `{"url":"https://example.com/1","reuse":true,"alias":"mine"}`,
		"no reuse":       `{"url":"https://example.com/1"}`,
	} {
		if status, code := again(body, owner); status != http.StatusCreated || code == first.Code {
			t.Errorf("create with %s = %d %s, want 201 and another code", name, status, code)
		}
	}
	if status, _ := again(`{"url":"https://example.com/1","reuse":true}`, s.owner("other")); status != http.StatusCreated {
		t.Errorf("reuse by another owner = %d, want 201", status)
	}
}

func testIdempotencyKey(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := append(s.owner("owner"), "Idempotency-Key", "order-1")
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[string]int{}
	for range 50 {
		wg.Go(func() {
			a := s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com"}`, owner...)
			mu.Lock()
			defer mu.Unlock()
			codes[fmt.Sprint(a.status, a.link().Code)]++
		})
	}
	wg.Wait()
	if len(codes) != 1 {
		t.Errorf("50 creates with one key = %v, want one link", codes)
	}
	places := [2]map[string]int{{}, {}}
	for range 50 {
		wg.Go(func() {
			var got batchJSON
			s.send(http.MethodPost, "/api/v1/links/batch", `{"links":[{"url":"https://example.com"},{"url":"https://example.com"}]}`, owner...).into(&got)
			mu.Lock()
			defer mu.Unlock()
			for i, r := range got.Results {
				places[i][fmt.Sprint(r.Status, r.Link.Code)]++
			}
		})
	}
	wg.Wait()
	if len(places[0]) != 1 || len(places[1]) != 1 {
		t.Errorf("50 batches of two with one key = %v, want a link for each place", places)
	}
	got := s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/2"}`, owner...).problem(http.StatusUnprocessableEntity)
	if got != "header.Idempotency-Key" {
		t.Errorf("another body with the key names %q, want header.Idempotency-Key", got)
	}
	other := append(s.owner("other"), "Idempotency-Key", "order-1")
	if l := s.create(`{"url":"https://example.com/2"}`, other...); codes["201 "+l.Code] != 0 {
		t.Error("another owner with the same key got the first one's link")
	}
	alias := append(s.owner("owner"), "Idempotency-Key", "order-2")
	for range 2 {
		s.create(`{"url":"https://example.com","alias":"mine"}`, alias...)
	}
	s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com","alias":"mine"}`,
		append(s.owner("owner"), "Idempotency-Key", "order-3")...).problem(http.StatusConflict)
}

func testIdempotentCreateOfADeletedLink(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := append(s.owner("owner"), "Idempotency-Key", "k")
	for body, want := range map[string]int{
		`{"url":"https://example.com"}`:                http.StatusGone,
		`{"url":"https://example.com","alias":"mine"}`: http.StatusConflict, // as for every deleted alias
	} {
		owner[len(owner)-1] = body
		l := s.create(body, owner...)
		s.do(http.MethodDelete, "/api/v1/links/"+l.Code, nil, owner...)
		s.clock.add(time.Second)
		for range 2 {
			s.send(http.MethodPost, "/api/v1/links", body, owner...).problem(want)
		}
	}
}

// testRepeatedRefusalStaysOne checks that a rejected create stays rejected when it is
// repeated with its key, and does not create another link.
func testRepeatedRefusalStaysOne(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := s.owner("owner")
	s.create(`{"url":"https://example.com/a","alias":"mine"}`, owner...)
	for i, body := range []string{
		`{"url":"https://example.com/b","alias":"mine","reuse":true}`,
		`{"url":"https://example.com/a","alias":"mine","reuse":true,"password":"pw"}`,
	} {
		for range 3 {
			s.clock.add(time.Second)
			s.send(http.MethodPost, "/api/v1/links", body, append(owner, "Idempotency-Key", fmt.Sprint("q", i))...).problem(http.StatusConflict)
		}
	}
}

// testReuseSideBySide checks that concurrent creates with reuse and the same key return the
// same link, also after the link was edited.
func testReuseSideBySide(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := s.owner("owner")
	for round := range 10 {
		target := fmt.Sprintf(`"url":"https://example.com/%d"`, round)
		old := s.create("{"+target+"}", owner...)
		keyed := append(s.owner("owner"), "Idempotency-Key", fmt.Sprint("k", round))
		var wg sync.WaitGroup
		for range 24 {
			wg.Go(func() {
				s.clock.add(time.Microsecond)
				if got := s.send(http.MethodPost, "/api/v1/links", "{"+target+`,"reuse":true}`, keyed...).link().Code; got != old.Code {
					t.Errorf("round %d: reuse = %s, want %s", round, got, old.Code)
				}
			})
		}
		wg.Wait()
		s.send(http.MethodPatch, "/api/v1/links/"+old.Code, `{"status":301}`, owner...)
		if got := s.send(http.MethodPost, "/api/v1/links", "{"+target+`,"reuse":true}`, keyed...).link().Code; got != old.Code {
			t.Errorf("round %d: reuse after an edit = %s, want %s", round, got, old.Code)
		}
	}
}

// testIdempotencyKeyWithReuse checks that a repetition returns the same link as the first
// request, also if the first request reused a link.
func testIdempotencyKeyWithReuse(t *testing.T, newServer opener) {
	s := newServer(t)
	plain := s.owner("owner")
	keyed := append(s.owner("owner"), "Idempotency-Key", "k")
	old := s.create(`{"url":"https://example.com"}`, plain...)
	const body = `{"url":"https://example.com","reuse":true}`
	for i := range 3 {
		a := s.send(http.MethodPost, "/api/v1/links", body, keyed...)
		if a.status != http.StatusOK || a.link().Code != old.Code {
			t.Errorf("request %d = %d %s, want 200 %s", i, a.status, a.link().Code, old.Code)
		}
		s.clock.add(time.Second)
		s.create(`{"url":"https://example.com"}`, plain...) // newer than the reused link
	}
	s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/2"}`, keyed...).problem(http.StatusUnprocessableEntity)

	fresh := append(s.owner("owner"), "Idempotency-Key", "fresh")
	const other = `{"url":"https://example.com/3","reuse":true}`
	made := s.create(other, fresh...)
	s.clock.add(time.Second)
	s.create(`{"url":"https://example.com/3"}`, plain...)
	if again := s.create(other, fresh...); again.Code != made.Code {
		t.Errorf("repeated create = %s, want %s", again.Code, made.Code)
	}
}

// testIdempotencyKeysDoNotMeet checks that the same key returns different links for
// different clients, and for a batch and a single create.
func testIdempotencyKeysDoNotMeet(t *testing.T, newServer opener) {
	s := newServer(t, func(o *options) { o.Clients = proxies(t, "127.0.0.0/8") })
	key := []string{"Idempotency-Key", "1"}
	first := s.create(`{"url":"https://example.com/1"}`, append(key, "X-Forwarded-For", "203.0.113.1")...)
	second := s.create(`{"url":"https://example.com/2"}`, append(key, "X-Forwarded-For", "203.0.113.2")...)
	if first.Code == second.Code {
		t.Error("two anonymous clients with one key share a link")
	}
	var got batchJSON
	s.send(http.MethodPost, "/api/v1/links/batch", `{"links":[{"url":"https://example.com/3"}]}`, append(s.owner("owner"), "Idempotency-Key", "K")...).into(&got)
	if l := s.create(`{"url":"https://example.com/4"}`, append(s.owner("owner"), "Idempotency-Key", "K#0")...); l.Code == got.Results[0].Link.Code {
		t.Error("a single create got the link of a batch")
	}
}

// testManyEditsOfOneLink checks that concurrent edits without If-Match all succeed.
func testManyEditsOfOneLink(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := s.owner("owner")
	l := s.create(`{"url":"https://example.com"}`, owner...)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			body := fmt.Sprintf(`{"title":"t%d"}`, i)
			if a := s.send(http.MethodPatch, "/api/v1/links/"+l.Code, body, owner...); a.status != http.StatusOK {
				t.Errorf("edit %d of 30 at once = %d %s, want 200", i, a.status, a.body)
			}
		})
	}
	wg.Wait()
}

// testZeroIsNotNone checks that a client cannot send the zero value of a field to mean "not
// set".
func testZeroIsNotNone(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := s.owner("owner")
	l := s.create(`{"url":"https://example.com","password":"p"}`, owner...)
	for field, value := range map[string]string{
		"starts_at": "0001-01-01T00:00:00Z", "expires_at": "0001-01-01T00:00:00Z", "password": "", "alias": "",
	} {
		body := map[string]string{"url": "https://example.com", field: value}
		if got := s.send(http.MethodPost, "/api/v1/links", body, owner...).problem(http.StatusUnprocessableEntity); got != "body."+field {
			t.Errorf("create with %s %q names %q", field, value, got)
		}
		if got := s.send(http.MethodPatch, "/api/v1/links/"+l.Code, body, owner...).problem(http.StatusUnprocessableEntity); got != "body."+field {
			t.Errorf("edit with %s %q names %q", field, value, got)
		}
	}
}

func testOneAliasOneWinner(t *testing.T, newServer opener) {
	s := newServer(t)
	var ways []entry
	for _, e := range entries() {
		if e.name != "edit" { // an edit cannot change the alias
			ways = append(ways, e)
		}
	}
	s.key("admin", store.ScopeAdmin)
	var created, taken atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			way := ways[i%len(ways)]
			status, _ := way.post(t, s, map[string]any{"url": fmt.Sprint("https://example.com/", i), "alias": "one"})
			switch status {
			case http.StatusCreated, http.StatusSeeOther: // the form redirects to its result
				created.Add(1)
			case http.StatusConflict:
				taken.Add(1)
			default:
				t.Errorf("%s of an alias that others want = %d, want 201 or 409", way.name, status)
			}
		})
	}
	wg.Wait()
	if created.Load() != 1 || taken.Load() != 49 {
		t.Errorf("50 creates of one alias = %d created, %d rejected, want 1 and 49", created.Load(), taken.Load())
	}
}

type batchJSON struct {
	Results []struct {
		Status int          `json:"status"`
		Link   *linkJSON    `json:"link"`
		Error  *problemJSON `json:"error"`
	} `json:"results"`
}

func testBatch(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := append(s.owner("owner"), "Idempotency-Key", "batch")
	body := `{"links":[
		{"url":"https://example.com/0"},
		{"url":"javascript:alert(1)"},
		{"url":"https://example.com/2","alias":"twice"},
		{"url":"https://example.com/3","alias":"twice"},
		{"url":"https://example.com/4","alias":"api"},
		{"url":"https://example.com/5","tags":["a"]},
		{"url":5},
		{"url":"https://example.com/7","nonsense":1},
		{"url":"https://example.com/8","status":303},
		"nonsense",
		{"url":"https://example.com/10"}]}`
	var first, again batchJSON
	s.send(http.MethodPost, "/api/v1/links/batch", body, owner...).into(&first)
	s.send(http.MethodPost, "/api/v1/links/batch", body, owner...).into(&again)
	want := []int{201, 422, 201, 409, 422, 201, 422, 422, 422, 422, 201}
	if len(first.Results) != len(want) {
		t.Fatalf("batch = %+v, want %d results", first, len(want))
	}
	for i, r := range first.Results {
		if r.Status != want[i] || (r.Link != nil) != (want[i] == 201) || (r.Error != nil) != (want[i] != 201) {
			t.Errorf("result %d = %+v, want status %d", i, r, want[i])
		}
		if r.Link != nil && r.Link.URL != fmt.Sprintf("https://example.com/%d", i) {
			t.Errorf("result %d has target %q", i, r.Link.URL)
		}
		if r.Link != nil && (again.Results[i].Link == nil || again.Results[i].Link.Code != r.Link.Code) {
			t.Errorf("repeated batch: result %d = %+v, want the same link %s", i, again.Results[i], r.Link.Code)
		}
	}
	if got := first.Results[1].Error.Errors[0].Location; got != "body.url" {
		t.Errorf("error of item 1 names %q, want body.url", got)
	}
}

// TestKeyOfAnItemIsNamed checks which key the problem names if a key was used with another
// body: the item's own key, or the key of the header.
func TestKeyOfAnItemIsNamed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	keyed := append(s.owner("owner"), "Idempotency-Key", "batch")
	const before = `{"links":[{"url":"https://example.com/1","idempotency_key":"mine"},{"url":"https://example.com/1"}]}`
	for _, tt := range []struct {
		body   string
		status int
	}{{before, http.StatusCreated}, {strings.ReplaceAll(before, "/1", "/2"), http.StatusUnprocessableEntity}} {
		var got batchJSON
		s.send(http.MethodPost, "/api/v1/links/batch", tt.body, keyed...).into(&got)
		for i, want := range []string{"body.idempotency_key", "header.Idempotency-Key"} {
			r := got.Results[i]
			if r.Status != tt.status {
				t.Fatalf("result %d of %s = %+v, want %d", i, tt.body, r, tt.status)
			}
			if r.Error != nil && r.Error.Errors[0].Location != want {
				t.Errorf("result %d names %q, want %q", i, r.Error.Errors[0].Location, want)
			}
		}
	}
}

func testBatchOfThousand(t *testing.T, newServer opener) {
	s := newServer(t)
	links := make([]map[string]string, 1001)
	for i := range links {
		links[i] = map[string]string{"url": fmt.Sprintf("https://example.com/%d", i)}
	}
	s.send(http.MethodPost, "/api/v1/links/batch", map[string]any{"links": links}).problem(http.StatusUnprocessableEntity)
	s.send(http.MethodPost, "/api/v1/links/batch", `{"links":[]}`).problem(http.StatusUnprocessableEntity)
	var got batchJSON
	s.send(http.MethodPost, "/api/v1/links/batch", map[string]any{"links": links[:1000]}).into(&got)
	seen := map[string]bool{}
	for i, r := range got.Results {
		if r.Status != http.StatusCreated || r.Link.URL != links[i]["url"] || seen[r.Link.Code] {
			t.Fatalf("result %d = %+v, want a fresh link to %s", i, r, links[i]["url"])
		}
		seen[r.Link.Code] = true
	}
	if len(seen) != 1000 {
		t.Errorf("batch made %d links, want 1000", len(seen))
	}
}

func TestCreateLimits(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) {
		o.Limits.CreateAnonymous = limit(t, "5/1m")
		o.Limits.CreateKey = limit(t, "8/1m")
	})
	for i := range 5 {
		a := s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com"}`)
		if want := fmt.Sprintf(`"create";r=%d;t=%d`, 4-i, 12*(i+1)); a.status != http.StatusCreated || a.header.Get("RateLimit") != want {
			t.Errorf("create %d = %d, RateLimit %q, want 201 and %q", i, a.status, a.header.Get("RateLimit"), want)
		}
		if got := a.header.Get("RateLimit-Policy"); got != `"create";q=5;w=60` {
			t.Errorf(`RateLimit-Policy = %q, want "create";q=5;w=60`, got)
		}
	}
	a := s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com"}`)
	a.problem(http.StatusTooManyRequests)
	if got := a.header.Get("Retry-After"); got != "12" {
		t.Errorf("Retry-After = %q, want 12", got)
	}
	if got := a.header.Get("RateLimit"); got != `"create";r=0;t=60` {
		t.Errorf("RateLimit of a 429 = %q", got)
	}
	s.clock.add(12 * time.Second)
	s.create(`{"url":"https://example.com"}`)

	var batch batchJSON
	s.send(http.MethodPost, "/api/v1/links/batch", `{"links":[`+strings.Repeat(`{"url":"https://example.com"},`, 9)+
		`{"url":"https://example.com"}]}`, s.owner("owner")...).into(&batch)
	var statuses []int
	for _, r := range batch.Results {
		statuses = append(statuses, r.Status)
	}
	if want := []int{201, 201, 201, 201, 201, 201, 201, 201, 429, 429}; !slices.Equal(statuses, want) {
		t.Errorf("batch of 10 with a limit of 8 = %v, want %v", statuses, want)
	}
}

// TestSpoofedHostLeavesShortURL checks that no answer contains a host that the client sent
// in a header.
func TestSpoofedHostLeavesShortURL(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	spoofed := append(s.key("admin", store.ScopeAdmin), "Host", "evil.com", "X-Forwarded-Proto", "javascript", "X-Forwarded-Host", "evil.com",
		"Forwarded", "host=evil.com;proto=javascript", "X-Original-Url", "https://evil.com/", "Accept", "*/*, text/html")
	send := func(method, path, body, contentType string) answer {
		return s.do(method, path, []byte(body), append([]string{"Content-Type", contentType}, spoofed...)...)
	}
	const jsonType, formType = "application/json", "application/x-www-form-urlencoded"
	created := send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com"}`, jsonType)
	code := created.link().Code
	if got := created.header.Get("Location"); got != baseURL+"/"+code {
		t.Errorf("Location = %q, want %s/%s", got, baseURL, code)
	}
	answers := map[string]answer{
		"create":   created,
		"batch":    send(http.MethodPost, "/api/v1/links/batch", `{"links":[{"url":"https://example.com"}]}`, jsonType),
		"import":   send(http.MethodPost, "/api/v1/archive", `{"links":[{"code":"imported","url":"https://example.com"}]}`, jsonType),
		"read":     send(http.MethodGet, "/api/v1/links/"+code, "", jsonType),
		"edit":     send(http.MethodPatch, "/api/v1/links/"+code, `{"title":"x"}`, jsonType),
		"list":     send(http.MethodGet, "/api/v1/links", "", jsonType),
		"form":     send(http.MethodPost, "/", "url=https%3A%2F%2Fexample.com", formType),
		"result":   send(http.MethodGet, "/?created="+code, "", ""),
		"home":     send(http.MethodGet, "/", "", ""),
		"preview":  send(http.MethodGet, "/"+code+"+", "", ""),
		"unknown":  send(http.MethodGet, "/nothing", "", ""),
		"document": send(http.MethodGet, "/api/openapi.json", "", ""),
	}
	for name, a := range answers {
		if a.status >= 500 || strings.Contains(string(a.body), "evil.com") || strings.Contains(string(a.body), "javascript:") {
			t.Errorf("%s = %d and contains the client's host: %s", name, a.status, a.body)
		}
		namesNone := slices.Contains([]string{"unknown", "home", "form", "document"}, name)
		if !namesNone && !strings.Contains(string(a.body), baseURL) {
			t.Errorf("%s = %d and does not name %s: %s", name, a.status, baseURL, a.body)
		}
	}
	qr := "/api/v1/links/" + code + "/qr"
	if spoofed := send(http.MethodGet, qr, "", ""); string(spoofed.body) != string(s.get(qr).body) {
		t.Error("the QR code depends on headers of the client")
	}
}

func testTakedown(t *testing.T, newServer opener) {
	s := newServer(t)
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	l := s.create(`{"url":"https://example.com"}`, owner...)
	path := "/api/v1/links/" + l.Code
	s.send(http.MethodPost, path+"/disable", `{"reason":"phishing"}`, admin...)
	s.get("/" + l.Code).problem(http.StatusUnavailableForLegalReasons)
	if a := s.send(http.MethodPatch, path, `{"url":"https://example.com/2"}`, owner...); a.link().State != "disabled" || a.link().DisabledReason != "phishing" {
		t.Errorf("edited = %s, want it disabled still", a.body)
	}
	s.send(http.MethodPost, path+"/enable", ``, admin...)
	if got := s.get("/" + l.Code).header.Get("Location"); got != "https://example.com/2" {
		t.Errorf("Location after enable = %q, want the edited target", got)
	}
	for action, body := range map[string]string{"/disable": `{"reason":"phishing"}`, "/enable": ``} {
		old := s.get(path, owner...).header.Get("ETag")
		a := s.send(http.MethodPatch, path, `{"url":"https://example.com`+action+`"}`, owner...)
		s.send(http.MethodPost, path+action, body, append(admin, "If-Match", old)...).problem(http.StatusPreconditionFailed)
		if a := s.send(http.MethodPost, path+action, body, append(admin, "If-Match", a.header.Get("ETag"))...); a.status != http.StatusOK {
			t.Errorf("%s of the version in If-Match = %d %s, want 200", action, a.status, a.body)
		}
	}
}

// testListsOfOwners checks who may list the links of which owner.
func testListsOfOwners(t *testing.T, newServer opener) {
	s := newServer(t)
	mine, theirs, admin := s.owner("mine"), s.owner("theirs"), s.key("admin", store.ScopeAdmin)
	s.create(`{"url":"https://example.com/mine","tags":["a"]}`, mine...)
	s.clock.add(time.Second)
	l := s.create(`{"url":"https://example.com/theirs","tags":["a"]}`, theirs...)
	s.clock.add(time.Second)
	anonymous := s.create(`{"url":"https://example.com/anonymous"}`)
	if l.Owner == "" || anonymous.Owner != "" {
		t.Errorf("owners = %q and %q, want a key and none", l.Owner, anonymous.Owner)
	}
	for _, tt := range []struct {
		query  string
		caller []string
		want   string // the last path segments of the targets; empty: 403
	}{
		{"", mine, "mine"},
		{"?owner=" + l.Owner, theirs, "theirs"},
		{"?owner=" + l.Owner, mine, ""},
		{"?owner=*", mine, ""},
		{"?owner=anonymous", mine, ""},
		{"?owner=" + l.Owner, admin, "theirs"},
		{"?owner=anonymous", admin, "anonymous"},
		{"?owner=*", admin, "anonymous theirs mine"},
		{"?owner=*&tag=a", admin, "theirs mine"},
		{"?owner=*&q=example.com/the", admin, "theirs"},
	} {
		a := s.get("/api/v1/links"+tt.query, tt.caller...)
		if tt.want == "" {
			a.problem(http.StatusForbidden)
			continue
		}
		var page struct{ Links []linkJSON }
		a.into(&page)
		var got []string
		for _, l := range page.Links {
			got = append(got, strings.TrimPrefix(l.URL, "https://example.com/"))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("list %q = %q, want %q", tt.query, got, tt.want)
		}
	}
}

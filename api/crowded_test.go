package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/terse/terse/api"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// maxRefusal is the longest allowed answer to a rejected body, in bytes.
const maxRefusal = 64 << 10

// crowd are values that fill a body of fullLen.
var crowd = map[string]func(i int) string{
	"lists":           func(int) string { return `[]` },
	"objects":         func(int) string { return `{}` },
	"numbers":         func(int) string { return `1` },
	"nested":          func(int) string { return `[[[[]]]]` },
	"unknown members": func(i int) string { return fmt.Sprintf(`{"m%d":[]}`, i) },
}

// fullLen is the length of full bodies: MaxBodyLen, or a tenth of it with the race detector.
var fullLen = testenv.Rounds(api.MaxBodyLen)

// crowded returns a body of nearly fullLen: begin, many items, end.
func crowded(begin, end string, item func(i int) string) string {
	var b strings.Builder
	b.WriteString(begin)
	for i := 0; ; i++ {
		next := item(i)
		if b.Len()+len(next)+len(end) >= fullLen {
			return strings.TrimSuffix(b.String(), ",") + end
		}
		b.WriteString(next + ",")
	}
}

// bodyRoute is a route that accepts a body.
type bodyRoute struct{ method, path string }

// bodyRoutes returns all routes that accept a body. code is the code of an existing link.
func bodyRoutes(code string) []bodyRoute {
	link := "/api/v1/links/" + code
	return []bodyRoute{
		{http.MethodPost, "/api/v1/links"},
		{http.MethodPost, "/api/v1/links/batch"},
		{http.MethodPatch, link},
		{http.MethodPost, link + "/disable"},
		{http.MethodPost, link + "/enable"},
		{http.MethodPost, link + "/rollback"},
		{http.MethodPost, "/api/v1/archive"},
		{http.MethodPost, "/api/v1/blocklist"},
		{http.MethodPost, "/api/v1/reports/x/resolve"},
	}
}

// crowdedBodies returns bodies of nearly fullLen with more content than any link has.
func crowdedBodies() map[string]string {
	all := map[string]string{
		"members":            crowded(`{"url":"https://example.com",`, `}`, func(i int) string { return fmt.Sprintf(`"m%d":1`, i) }),
		"a long name":        `{"` + strings.Repeat("m", fullLen-64) + `":1}`,
		"a long name, again": `{"` + strings.Repeat("m", fullLen/2-64) + `":1,"` + strings.Repeat("m", fullLen/2-64) + `":1}`,
		"long names":         crowded(`{`, `}`, func(i int) string { return fmt.Sprintf(`"%s%d":1`, strings.Repeat("m", 4096), i) }),
		"a long target":      `{"url":"` + strings.Repeat("u", fullLen-64) + `"}`,
		"long tags":          crowded(`{"tags":[`, `]}`, func(int) string { return `"` + strings.Repeat("t", 8192) + `"` }),
		"deep":               strings.Repeat(`{"links":[`, fullLen/10-64),
	}
	for name, item := range crowd {
		all[name] = crowded(`[`, `]`, item)
		all[name+" for tags"] = crowded(`{"url":"https://example.com","tags":[`, `]}`, item)
		all[name+" for links"] = crowded(`{"links":[`, `]}`, item)
		all[name+" for the tags of a link"] = crowded(`{"links":[{"url":"https://example.com","code":"c","tags":[`, `]}]}`, item)
	}
	return all
}

// TestCrowdedBodies checks that every route rejects bodies with too much content, with a
// short answer.
func TestCrowdedBodies(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.key("admin", store.ScopeAdmin)
	l := s.create(`{"url":"https://example.com"}`, admin...)
	for name, body := range crowdedBodies() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, route := range bodyRoutes(l.Code) {
				a := s.in(t).send(route.method, route.path, body, admin...)
				if len(a.body) > maxRefusal {
					t.Errorf("%s %s is answered with %d bytes, want at most %d", route.method, route.path, len(a.body), maxRefusal)
				}
				status := a.status
				if status == http.StatusOK { // a batch has one result for each link
					var got batchJSON
					a.into(&got)
					status = got.Results[0].Status
				}
				if status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
					t.Errorf("%s %s = %d %.300s, want 400 or 422", route.method, route.path, status, a.body)
				}
			}
		})
	}
}

// TestLongNames checks the exact limit for the name of a member.
func TestLongNames(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.owner("owner")
	for _, form := range []string{`{"%s":1}`, `{"url":"https://example.com","%s" : 1}`, `{"links":[{"%s":1}]}`} {
		for _, n := range []int{127, 128, 129, 130} {
			body := fmt.Sprintf(form, strings.Repeat("m", n))
			a := s.send(http.MethodPost, "/api/v1/links", body, owner...)
			tooLong := strings.Contains(string(a.body), "is longer than 128 bytes")
			if a.status != http.StatusUnprocessableEntity || tooLong != (n > 128) {
				t.Errorf("POST of %s with a name of %d bytes = %d %s, want 422 and too long = %v", form, n, a.status, a.body, n > 128)
			}
		}
	}
}

// TestDoorsComeBeforeBodies checks that a caller without the right to call a route gets 401
// or 403, even if the body is invalid.
func TestDoorsComeBeforeBodies(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.AnonymousCreate = false })
	reader := s.key("reader", store.ScopeLinksRead)
	l := s.create(`{"url":"https://example.com"}`, s.owner("owner")...)
	for _, body := range []string{`{"nonsense":1}`, `[`, crowded(`{"tags":[`, `]}`, crowd["lists"])} {
		for _, route := range bodyRoutes(l.Code) {
			s.send(route.method, route.path, body).problem(http.StatusUnauthorized)
			s.send(route.method, route.path, body, reader...).problem(http.StatusForbidden)
		}
	}
}

// TestRefusedBodiesAreCharged checks that a create with an invalid body counts against the
// limit, and that every answer reports the limit.
func TestRefusedBodiesAreCharged(t *testing.T) {
	t.Parallel()
	for path, bodies := range map[string][]string{
		"/api/v1/links":       {`{"nonsense":1}`, `[`, crowded(`{"tags":[`, `]}`, crowd["lists"])},
		"/api/v1/links/batch": {`{"nonsense":1}`, `[`, crowded(`{"links":[{"tags":[`, `]}]}`, crowd["lists"]), crowded(`{"links":[`, `]}`, crowd["lists"])},
	} {
		for _, body := range bodies {
			s := newServer(t, func(o *options) { o.Limits.CreateAnonymous = limit(t, "3/1m") })
			for left := 2; left >= 0; left-- {
				a := s.send(http.MethodPost, path, body)
				if want := fmt.Sprintf(`"create";r=%d;t=%d`, left, 20*(3-left)); a.status < 400 || a.status > 422 || a.header.Get("RateLimit") != want || len(a.header["Ratelimit"]) != 1 {
					t.Errorf("POST %s of %.40s = %d, RateLimit %q, want 400 to 422 and %q", path, body, a.status, a.header["Ratelimit"], want)
				}
			}
			s.send(http.MethodPost, path, body).problem(http.StatusTooManyRequests)
		}
	}
}

// TestFullBatches checks that 1000 links with every member are accepted.
func TestFullBatches(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	tags := make([]string, 20)
	for i := range tags {
		tags[i] = fmt.Sprintf("tag-%d", i)
	}
	settings := map[string]any{
		"url": "https://example.com/?{[,,:\"\\,]}", "title": "[[,,{{:\\\"", "tags": tags, "starts_at": "2026-06-01T00:00:00Z", "expires_at": "2027-06-01T00:00:00Z",
		"max_clicks": 5, "status": 307, "forward_query": "append",
	}
	create, archived := map[string]any{"reuse": false, "alias": nil, "password": nil}, map[string]any{
		"owner": "key_x", "used_clicks": 1, "password_hash": "", "disabled_at": "2026-05-01T00:00:00Z", "disabled_reason": "x", "clicks": 2,
		"last_click_at": "2026-05-01T00:00:00Z", "created_at": "2026-05-01T00:00:00Z", "updated_at": "2026-05-01T00:00:00Z", "version": 1,
	}
	maps.Copy(create, settings)
	maps.Copy(archived, settings)
	for path, item := range map[string]map[string]any{"/api/v1/links/batch": create, "/api/v1/archive": archived} {
		links := make([]map[string]any, testenv.Rounds(1000))
		for i := range links {
			links[i] = maps.Clone(item)
			if path == "/api/v1/archive" {
				links[i]["code"] = fmt.Sprintf("full-%d", i)
			}
		}
		for len(links) > 0 {
			var got batchJSON
			a := s.send(http.MethodPost, path, map[string]any{"links": links}, s.key("admin", store.ScopeAdmin)...)
			a.into(&got)
			if len(got.Results) != len(links) {
				t.Fatalf("POST %s of %d full links = %d %.300s, want one result for each", path, len(links), a.status, a.body)
			}
			var again []map[string]any
			for i, r := range got.Results {
				switch r.Status {
				case http.StatusCreated, http.StatusOK: // 200: an earlier import answered 503 but was done
				case http.StatusServiceUnavailable: // the machine is too slow for all links at once
					again = append(again, links[i])
				default:
					t.Fatalf("result %d of POST %s = %d %+v, want 201 or 200", i, path, r.Status, r.Error)
				}
			}
			if len(again) == len(links) {
				t.Fatalf("POST %s accepts none of %d full links", path, len(links))
			}
			links = again
		}
	}
}

// TestCrowdedBodiesTakeLittle bounds the memory of rejected bodies. It measures all
// allocations, which are an upper bound of the memory in use at the same time.
func TestCrowdedBodiesTakeLittle(t *testing.T) { //nolint:paralleltest // other tests would add allocations
	const (
		atOnce  = 4
		perBody = 24 * api.MaxBodyLen // the client and the read body need about 5 to 10 of these 24
	)
	s := newServer(t)
	admin := s.key("admin", store.ScopeAdmin)
	l := s.create(`{"url":"https://example.com"}`, admin...)
	for name, body := range crowdedBodies() {
		for _, route := range bodyRoutes(l.Code) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var all sync.WaitGroup
			for range atOnce {
				all.Go(func() { s.send(route.method, route.path, body, admin...) })
			}
			all.Wait()
			runtime.ReadMemStats(&after)
			if each := (after.TotalAlloc - before.TotalAlloc) / atOnce; each > perBody {
				t.Errorf("%s: %s %s allocates %d MiB for each body, want at most %d", name, route.method, route.path, each>>20, perBody>>20)
			}
		}
	}
}

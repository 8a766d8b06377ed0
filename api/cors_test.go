package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/terse/terse/api"
)

// TestCrossOrigin checks that pages of allowed origins may make every call of the API and
// read the answers. Pages of other origins may not.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	const app = "https://app.example"
	for _, tt := range []struct {
		name    string
		allowed []string
		origin  string
		want    string // Access-Control-Allow-Origin
		vary    bool
	}{
		{"by default", nil, app, "", false},
		{"allowed", []string{"https://other.example", app}, app, app, true},
		{"another", []string{"https://other.example"}, app, "", true},
		{"another port", []string{app}, app + ":8443", "", true},
		{"a subdomain", []string{app}, "https://x.app.example", "", true},
		{"a longer name", []string{app}, app + ".evil.example", "", true},
		{"another scheme", []string{app}, "http://app.example", "", true},
		{"null", []string{app}, "null", "", true},
		{"all", []string{"*"}, app, "*", false},
		{"all, null", []string{"*"}, "null", "*", false},
		{"no origin", []string{app}, "", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(o *options) { o.CORSOrigins, o.Limits.CreateAnonymous = tt.allowed, limit(t, "1000/1m") })
			check := func(call string, a answer, headers ...string) {
				t.Helper()
				if got := a.header.Get("Access-Control-Allow-Origin"); got != tt.want {
					t.Errorf("%s: Access-Control-Allow-Origin = %q, want %q", call, got, tt.want)
				}
				if got := strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Origin"); got != tt.vary {
					t.Errorf("%s: Vary = %q, want Origin in it: %v", call, a.header.Values("Vary"), tt.vary)
				}
				if a.header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s allows credentials", call)
				}
				for i := 0; i < len(headers); i += 2 {
					for want := range strings.SplitSeq(headers[i+1], " ") {
						if got := a.header.Get(headers[i]); strings.Contains(got, want) != (tt.want != "") {
							t.Errorf("%s: %s = %q, want %s in it: %v", call, headers[i], got, want, tt.want != "")
						}
					}
				}
			}
			origin := []string{"Origin", tt.origin}
			for _, route := range s.Config.Handler.(*api.API).Routes() {
				method, path, _ := strings.Cut(route, " ")
				if !strings.HasPrefix(path, "/api/v1/") {
					continue
				}
				a := s.do(http.MethodOptions, path, nil, append([]string{"Access-Control-Request-Method", method}, origin...)...)
				if tt.want != "" && a.status != http.StatusNoContent {
					t.Errorf("preflight of %s = %d, want 204", route, a.status)
				}
				check("preflight of "+route, a, "Access-Control-Allow-Methods", method,
					"Access-Control-Allow-Headers", "Authorization Content-Type Idempotency-Key If-Match", "Access-Control-Max-Age", "600")
			}
			const exposed = "ETag Location RateLimit RateLimit-Policy Retry-After"
			made := s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com"}`, origin...)
			check("create", made, "Access-Control-Expose-Headers", exposed)
			check("401", s.get("/api/v1/links", origin...), "Access-Control-Expose-Headers", exposed)
			check("404", s.get("/api/v1/nothing", origin...), "Access-Control-Expose-Headers", exposed)
			if got := s.get("/"+made.link().Code, origin...).header.Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("a redirect has Access-Control-Allow-Origin %q, want none", got)
			}
		})
	}
}

func TestParseOrigins(t *testing.T) {
	t.Parallel()
	for _, good := range [][]string{nil, {"*"}, {"https://app.example"}, {"http://localhost:3000", "https://[::1]:8443"}} {
		if got, err := api.ParseOrigins(good); err != nil || len(got) != len(good) {
			t.Errorf("ParseOrigins(%q) = %q, %v, want the same list", good, got, err)
		}
	}
	for _, bad := range []string{
		"null", "app.example", "https://app.example/", "https://App.example", "https://app.example:443", "http://app.example:80",
		"https://*.app.example", "ftp://app.example", "https://u@app.example", "https://bücher.example", "*.example",
	} {
		if _, err := api.ParseOrigins([]string{"https://good.example", bad}); err == nil || !strings.Contains(err.Error(), `"`+bad+`"`) {
			t.Errorf("ParseOrigins(%q) = %v, want an error with the origin", bad, err)
		}
	}
	if _, err := api.ParseOrigins([]string{"https://good.example", "*"}); err == nil {
		t.Error("ParseOrigins of * and another origin = nil, want an error")
	}
}

package main

import (
	"net/http"
	"strings"
	"testing"
)

func TestLinksExplain(t *testing.T) {
	t.Parallel()
	p, environ := startWithKey(t, "links:read,links:write")
	token := strings.TrimPrefix(environ[1], "TERSE_API_KEY=")
	const ruled = `{"url":"https://example.com/","alias":"spring","rules":[{"if":{"device":["ios"],"country":["DE"]},"to":"https://example.com/app"},
		{"if":{"country":["AT"]},"split":[{"to":"https://example.com/a","weight":1},{"to":"https://example.com/b","weight":1}],"sticky":false},
		{"if":{"language":["de"],"query":{"ref":["mail"]}},"to":"https://example.com/de"},{"if":{"before":"2020-01-01T00:00:00Z"},"to":"https://example.com/old"}]}`
	if status, _ := ask(t, client(t), http.MethodPost, p.url+"/api/v1/links", "application/json", ruled, "Authorization", "Bearer "+token); status != http.StatusCreated {
		t.Fatalf("create = %d, want 201", status)
	}
	for _, tt := range []struct {
		flags, want string
	}{
		{"--country DE --user-agent iPhone", "target    https://example.com/\nrules[0]  if.device does not hold\nrules[1]  if.country does not hold\nrules[2]  if.language is unknown\nrules[3]  if.before does not hold\n"},
		{"--language de;q=0.5 --query ref=mail --at 2019-01-01T00:00:00Z", "target    https://example.com/de\nrules[0]  if.device is unknown\nrules[1]  if.country is unknown\nrules[2]  applies\nrules[3]  holds, but an earlier rule applies\n"},
	} {
		if got := terse(t, environ, append([]string{"links", "explain", "spring"}, strings.Fields(tt.flags)...)...).ok(t); got != tt.want {
			t.Errorf("explain %s =\n%s\nwant\n%s", tt.flags, got, tt.want)
		}
	}
	wantTexts(t, terse(t, environ, "links", "explain", "spring", "--country", "AT"), 0, "rules[1]  applies: split[", "drawn anew for each visit")
	wantTexts(t, terse(t, environ, "links", "explain", "spring", "--json"), 0, `"rule":null`)
	wantTexts(t, terse(t, environ, "links", "explain", "spring", "--at", "now"), 2, "--at: must be a time")
	wantTexts(t, terse(t, environ, "links", "explain", "spring", "--ip", "x"), 1, "ip: must be an IP address")
}

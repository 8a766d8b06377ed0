package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestRulesOfFiles creates and edits links with the rules of files and of standard input.
func TestRulesOfFiles(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, "links:read,links:write")
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "rules.json")
		writeFile(t, path, text)
		return path
	}
	const rules = "[\n  {\"if\": {\"query\": {\"ref\": [\"mail\"]}}, \"to\": \"https://example.com/mail\"}\n]\n"
	shown := func(code, want string) {
		t.Helper()
		wantTexts(t, terse(t, environ, "links", "show", code, "--json"), 0, `"rules":`+want)
	}
	const mail, ad = `[{"if":{"query":{"ref":["mail"]}},"to":"https://example.com/mail"}]`, `[{"if":{"query":{"ref":["ad"]}},"to":"https://example.com/ad"}]`
	terse(t, environ, "shorten", "https://example.com/", "--alias", "spring", "--rules", file(rules)).want(t, "shorten", 0)
	shown("spring", mail)
	terseReading(t, ad, environ, "links", "edit", "spring", "--rules", "-").want(t, "edit", 0)
	shown("spring", ad)
	for _, none := range []string{file("[]"), ""} {
		terse(t, environ, "links", "edit", "spring", "--rules", file(rules)).want(t, "edit", 0)
		terse(t, environ, "links", "edit", "spring", "--rules", none).want(t, "edit", 0)
		shown("spring", "[]")
	}
	terseReading(t, ad, environ, "shorten", "https://example.com/", "--alias", "summer", "--rules", "-").want(t, "shorten", 0)
	shown("summer", ad)

	for _, tt := range []struct {
		rules  string
		status int
		want   string
	}{
		{"", 2, "--rules: the file is empty"},
		{strings.Repeat(" ", 64<<10) + "[]", 2, "--rules: must be at most 65536 bytes long"},
		{"[\n{]", 2, "--rules: rules: must be a JSON list of rules. Line 2 is wrong"},
		{`[{"if":{"devices":["ios"]},"to":"x"},{"to":null}]`, 2, "--rules: rules[0].if.devices: is unknown; rules[1].to: must not be null"},
		{`[{"if":{"device":["phone"]},"to":"https://example.com/"},{"if":{"country":["Germany"]},"to":"https://example.com/"}]`, 1, "rules[0].if.device[0]: must be"},
		{`[{"if":{"device":["phone"]},"to":"https://example.com/"},{"if":{"country":["Germany"]},"to":"https://example.com/"}]`, 1, "rules[1].if.country[0]: must be"},
		{`[{"if":{"country":[]},"to":"https://example.com/"}]`, 1, "rules[0].if.country: "},
		{`[` + strings.Repeat(`{"if":{"device":["ios"]},"to":"https://example.com/"},`, 16) + `{"to":"https://example.com/"}]`, 1, "rules: "},
	} {
		wantTexts(t, terse(t, environ, "links", "edit", "spring", "--rules", file(tt.rules)), tt.status, tt.want)
		wantTexts(t, terse(t, environ, "shorten", "https://example.com/", "--rules", file(tt.rules)), tt.status, tt.want)
	}
	wantTexts(t, terse(t, environ, "links", "edit", "spring", "--rules", "missing.json"), 2, "--rules: open missing.json")
	wantTexts(t, terseReading(t, ad, environ, "shorten", "https://example.com/", "-", "--rules", "-"), 2, "--rules: standard input is used")
	wantTexts(t, terseReading(t, ad, environ, "links", "edit", "spring", "--password-file", "-", "--rules", "-"), 2, "--rules: standard input is used")
	shown("spring", "[]")
}

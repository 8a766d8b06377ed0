package storetest

import (
	"fmt"
	"strings"
)

// Hosts of HostileFields. The test must configure its server with OwnHost as the
// server's own host, and must block BlockedHost.
const (
	OwnHost     = "kürz.example"
	BlockedHost = "böse.example"
)

// HostileField is a value that no entry point may accept for a field of a link:
// HTTP calls, the form, the command line and files.
type HostileField struct {
	Name  string
	Field string // the name of the field in a create
	Value any    // a string, or an int of max_clicks
}

// HostileFields returns one example of each kind of value that has broken other
// URL shorteners.
func HostileFields() []HostileField {
	fields := []HostileField{
		{"javascript", "url", "javascript:alert(1)"},
		{"mixed case scheme", "url", "JaVaScRiPt:alert(1)"},
		{"data", "url", "data:text/html,<script>alert(1)</script>"},
		{"vbscript", "url", "vbscript:x"},
		{"file", "url", "file:///etc/passwd"},
		{"mailto", "url", "mailto:a@b.c"},
		{"empty", "url", ""},
		{"schemeless", "url", "//evil.com"},
		{"hostless", "url", "https:evil.com"},
		{"backslashes", "url", `http:\\evil.com`},
		{"no host", "url", "https://"},
		{"userinfo", "url", "https://good.com@evil.com"},
		{"password in the target", "url", "https://u:p@x"},
		{"tab in the host", "url", "https://exam\tple.com"},
		{"too long", "url", "https://example.com/" + strings.Repeat("a", 8192)},
		{"alias too long", "alias", strings.Repeat("a", 65)},
		{"alias with a slash", "alias", "a/b"},
		{"alias with a domain id", "alias", "jT0xYqRm4/spring"},
		{"alias with dots", "alias", ".."},
		{"alias api", "alias", "api"},
		{"alias API", "alias", "API"},
		{"alias static", "alias", "static"},
		{"alias robots.txt", "alias", "robots.txt"},
		{"alias favicon.ico", "alias", "favicon.ico"},
		{"alias .well-known", "alias", ".well-known"},
		{"alias of a canary", "alias", "__canary-5"},
		{"alias of a canary in capitals", "alias", "__CANARY-5"},
		{"title too long", "title", strings.Repeat("a", 5000)},
		{"password too long", "password", strings.Repeat("a", 73)},
		{"negative max clicks", "max_clicks", -1},
		{"huge max clicks", "max_clicks", 1 << 60},
	}
	for name, control := range map[string]string{"CR": "\r", "LF": "\n", "CR and LF": "\r\n", "tab": "\t", "NUL": "\x00", "DEL": "\x7f"} {
		fields = append(
			fields,
			HostileField{name + " in the target", "url", "https://example.com/a" + control + "b"},
			HostileField{name + " in the alias", "alias", "a" + control + "b"},
			HostileField{name + " in the title", "title", "a" + control + "b"},
		)
	}
	for owner, host := range map[string][2]string{"own": {OwnHost, "xn--krz-hoa.example"}, "blocked": {BlockedHost, "xn--bse-sna.example"}} {
		unicode, punycode := host[0], host[1]
		for i, target := range []string{
			"https://" + unicode + "/x", "http://" + unicode + "/x", "https://" + strings.ToUpper(unicode), "https://" + unicode + ".", "https://" + unicode + ":443/",
			"https://" + punycode + "/x", "https://" + strings.ToUpper(punycode) + "/", "https://" + punycode + ".:443",
			"https://" + strings.ReplaceAll(unicode, ".", "。"), "https://" + strings.ReplaceAll(punycode, "e", "%65"), "https://" + strings.ReplaceAll(unicode, "example", "ｅｘａｍｐｌｅ"),
		} {
			fields = append(fields, HostileField{fmt.Sprintf("%s host, spelling %d", owner, i+1), "url", target})
		}
	}
	return fields
}

package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

const (
	appleFile   = "{\n  \"applinks\": {\"details\": [{\"appIDs\": [\"ABCDE12345.com.example.app\"], \"components\": [{\"/\": \"/*\"}]}]}\n}\n"
	androidFile = `[{"relation":["delegate_permission/common.handle_all_urls"],"target":{"namespace":"android_app","package_name":"com.example","sha256_cert_fingerprints":["14:6D"]}}]`
)

// TestAppFilesOfDomains checks where the files are, their headers, and what answers without them.
func TestAppFilesOfDomains(t *testing.T) {
	t.Parallel()
	with := goDomain
	with.AppleAssociation, with.AssetLinks = appleFile, androidFile
	off, pending := with, with
	off.ID, off.Host, off.State = "m3Kd82LpX", "off.example.org", store.DomainOff
	pending.ID, pending.Host, pending.State = "n9Vb3cZaQ", "pending.example.org", store.DomainPending
	s := newServer(t, withDomains(t, with, ioDomain, off, pending), func(o *options) { o.CDN = true })
	for path, want := range map[string]string{"/.well-known/apple-app-site-association": appleFile, "/.well-known/assetlinks.json": androidFile} {
		for _, host := range []string{with.Host, "www." + with.Host} {
			a := s.get(path, "Host", host)
			if a.status != http.StatusOK || string(a.body) != want || a.header.Get("Content-Type") != "application/json" ||
				a.header.Get("Cache-Tag") != "domain-"+with.ID || a.header.Get("Surrogate-Key") != "domain-"+with.ID ||
				a.header.Get("Cdn-Cache-Control") != "max-age=60" || a.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("GET %s of %s = %d %v %q, want %q with the tag of the domain", path, host, a.status, a.header, a.body, want)
			}
			if head := s.do(http.MethodHead, path, nil, "Host", host); head.status != http.StatusOK || len(head.body) > 0 {
				t.Errorf("HEAD %s of %s = %d %q, want 200 without a body", path, host, head.status, head.body)
			}
		}
		for _, host := range []string{off.Host, "www." + off.Host, pending.Host, "unknown.example"} {
			s.get(path, "Host", host).problem(http.StatusMisdirectedRequest)
		}
		if a := s.get(path, "Host", ioDomain.Host); a.status != http.StatusNotFound || a.header.Get("Cache-Tag") != "domain-"+ioDomain.ID {
			t.Errorf("GET %s of a domain without it = %d with the tag %q, want 404 with the tag of the domain", path, a.status, a.header.Get("Cache-Tag"))
		}
		if a := s.get(path, "Host", "go.terse.example"); a.status != http.StatusNotFound {
			t.Errorf("GET %s of the default domain = %d, want 404", path, a.status)
		}
	}
}

// TestAppFilesOverTheAPI sets, changes and removes the files.
func TestAppFilesOverTheAPI(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := append(s.manager("ann"), "Host", "go.terse.example")
	s.send(http.MethodPost, "/api/v1/domains", map[string]any{"host": "app.example.com", "apple_app_site_association": appleFile}, ann...).domain(http.StatusCreated)
	path := "/api/v1/domains/app.example.com"
	wants := func(body string, apple, android string) {
		t.Helper()
		d := s.send(http.MethodPatch, path, body, ann...).domain(http.StatusOK)
		for _, file := range []struct {
			got  *string
			want string
		}{{d.Apple, apple}, {d.AssetLinks, android}} {
			if (file.got == nil) != (file.want == "") || file.got != nil && *file.got != file.want {
				t.Errorf("files after %s = %v, %v, want %q, %q", body, d.Apple, d.AssetLinks, apple, android)
			}
		}
	}
	wants(`{"shared":false}`, appleFile, "")
	wants(`{"assetlinks":"[]"}`, appleFile, "[]")
	wants(`{"apple_app_site_association":null}`, "", "[]")
	wants(`{"assetlinks":""}`, "", "")
	for field, texts := range map[string][]string{
		"apple_app_site_association": {"x", "[]", "null", "{}", `{"applinks":[]}`, `{"other":{}}`, `{"applinks":{}} {}`, " ", `{"applinks":{},"x":"` + strings.Repeat("x", store.MaxDomainFileLen) + `"}`},
		"assetlinks":                 {"x", "{}", "null", `[{}]`, `["x"]`, `[{"relation":["a"],"target":{}}]`, `[{"relation":[],"target":{"namespace":"web"}}]`, "[" + strings.Repeat(" ", store.MaxDomainFileLen) + "]"},
	} {
		for _, text := range texts {
			if got := s.send(http.MethodPatch, path, map[string]any{field: text}, ann...).problem(http.StatusUnprocessableEntity); !strings.Contains(got, field) {
				t.Errorf("%s %.100q: problem of %q, want of %s", field, text, got, field)
			}
		}
	}
	wants(`{"shared":false}`, "", "")
}

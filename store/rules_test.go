package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

func TestAlias(t *testing.T) {
	t.Parallel()
	r := newRules(t)
	for _, alias := range []string{"a", "-", "apis", "my-Link_2026", "__canary", "_canary-1", strings.Repeat("a", store.MaxCodeLen)} {
		if err := r.Alias(alias); err != nil {
			t.Errorf("Alias(%q) = %v, want nil", alias, err)
		}
	}
	for _, alias := range []string{
		"", " ", "a b", "a/b", "a+", "..", ".well-known", "robots.txt", "favicon.ico", "a\n", "\x00", "a\r\nb", "\t", "é", "а", "a\u200B",
		"jT0xYqRm4/spring", "%41", "%C0", "\xC0", "abc\xC0", "a?b", "a#b", "<script>", `"`, `a\b`, "a@b", strings.Repeat("a", store.MaxCodeLen+1),
	} {
		wantFieldError(t, fmt.Sprintf("Alias(%q)", alias), r.Alias(alias), "alias", "must be 1 to 64 characters")
	}
	for _, alias := range []string{"_", "spring_", "a__", "-_"} {
		wantFieldError(t, fmt.Sprintf("Alias(%q)", alias), r.Alias(alias), "alias", "must not end with _")
	}
	for _, alias := range []string{"api", "API", "aPi", "assets", "ASSETS", "__canary-", "__canary-511", "__Canary-x"} {
		wantFieldError(t, fmt.Sprintf("Alias(%q)", alias), r.Alias(alias), "alias", "reserved")
	}
}

// TestRulesCode checks that the rules for codes apply to the code in a key.
func TestRulesCode(t *testing.T) {
	t.Parallel()
	r, err := store.NewRules(store.RulesOptions{Routes: []string{"api"}, Reserved: []string{"login"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"spring", "spring_", "login", "jT0xYqRm4/login", "jT0xYqRm4/spring", "jT0xYqRm4/spring_", "apiapiapi/spring", "jT0xYqRm45/" + strings.Repeat("a", store.MaxCodeLen)} {
		if err := r.Code(key); err != nil {
			t.Errorf("Code(%q) = %v, want nil", key, err)
		}
	}
	for _, key := range []string{"", "a/b", "jT0xYqRm4/", "jT0xYqRm4/a/b", "jT0xYqRm4/" + strings.Repeat("a", store.MaxCodeLen+1)} {
		wantFieldError(t, fmt.Sprintf("Code(%q)", key), r.Code(key), "code", "must be 1 to 64 characters")
	}
	for _, key := range []string{"api", "jT0xYqRm4/API", "jT0xYqRm4/__canary-5"} {
		wantFieldError(t, fmt.Sprintf("Code(%q)", key), r.Code(key), "code", "reserved")
	}
}

// goodLink returns a link that is valid by every rule, in its stored form.
func goodLink() store.Link {
	start := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	return store.Link{
		Code: "abc", URL: "https://example.com/", Title: "A title", Tags: []string{"a", "b"},
		Status: 302, ForwardQuery: store.ForwardOverride, StartsAt: start, ExpiresAt: start.Add(time.Microsecond),
		MaxClicks: store.MaxMaxClicks, PasswordHash: "hash", CreatedAt: start, Version: 3,
	}
}

func TestCheckStores(t *testing.T) {
	t.Parallel()
	r := newRules(t, "sho.rt")
	want := goodLink()
	got := goodLink()
	zone := time.FixedZone("", 3600)
	tags := []string{"b", "a", "b"}
	got.URL, got.Tags = " https://example.com/ ", tags
	got.StartsAt = got.StartsAt.Add(999).In(zone)
	got.ExpiresAt = got.ExpiresAt.Add(999).In(zone)
	if err := r.Check(&got); err != nil {
		t.Fatalf("Check = %v, want nil", err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Check made %+v, want %+v", got, want)
	}
	if !reflect.DeepEqual(tags, []string{"b", "a", "b"}) {
		t.Errorf("Check changed the caller's tags to %q", tags)
	}
	if err := r.Check(&got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("second Check = %v and made %+v, want nil and no change", err, got)
	}
}

func TestCheckAcceptsEdges(t *testing.T) {
	t.Parallel()
	r := newRules(t)
	edges := map[string]func(l *store.Link){
		"nothing optional": func(l *store.Link) {
			*l = store.Link{URL: l.URL, Status: 301}
		},
		"307":           func(l *store.Link) { l.Status = 307 },
		"308":           func(l *store.Link) { l.Status = 308 },
		"only a start":  func(l *store.Link) { l.ExpiresAt = time.Time{} },
		"only an end":   func(l *store.Link) { l.StartsAt = time.Time{} },
		"first instant": func(l *store.Link) { l.StartsAt = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"last instant":  func(l *store.Link) { l.ExpiresAt = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC) },
		"one click":     func(l *store.Link) { l.MaxClicks = 1 },
	}
	for name, edit := range edges {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := goodLink()
			edit(&l)
			if err := r.Check(&l); err != nil {
				t.Errorf("Check = %v, want nil", err)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	r := newRules(t, "sho.rt")
	tests := []struct {
		name   string
		edit   func(l *store.Link)
		field  string
		reason string
	}{
		{"no target", func(l *store.Link) { l.URL = "" }, "url", "must not be empty"},
		{"own target", func(l *store.Link) { l.URL = "http://SHO.RT./" }, "url", "this URL shortener"},
		{"title", func(l *store.Link) { l.Title = "a\nb" }, "title", "control"},
		{"tag", func(l *store.Link) { l.Tags = []string{"b", "a", "", "c"} }, "tags[2]", "1 to 50"},
		{"no status", func(l *store.Link) { l.Status = 0 }, "status", "301"},
		{"status 303", func(l *store.Link) { l.Status = 303 }, "status", "301"},
		{"status 200", func(l *store.Link) { l.Status = 200 }, "status", "301"},
		{"forward query", func(l *store.Link) { l.ForwardQuery = 3 }, "forward_query", "append"},
		{"negative clicks", func(l *store.Link) { l.MaxClicks = -1 }, "max_clicks", "1000000000"},
		{"many clicks", func(l *store.Link) { l.MaxClicks = store.MaxMaxClicks + 1 }, "max_clicks", "1000000000"},
		{"ends at its start", func(l *store.Link) { l.ExpiresAt = l.StartsAt }, "expires_at", "later"},
		{"ends before its start", func(l *store.Link) { l.ExpiresAt = l.StartsAt.Add(-time.Hour) }, "expires_at", "later"},
		{"ends in its first microsecond", func(l *store.Link) { l.ExpiresAt = l.StartsAt.Add(time.Microsecond - 1) }, "expires_at", "later"},
		{"starts too early", func(l *store.Link) { l.StartsAt = time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC) }, "starts_at", "2000"},
		{"ends too late in UTC", func(l *store.Link) {
			l.ExpiresAt = time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600))
		}, "expires_at", "9999"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := goodLink()
			tt.edit(&l)
			before := l
			err := r.Check(&l)
			var bad store.InvalidError
			if !errors.As(err, &bad) || len(bad) != 1 {
				t.Fatalf("Check = %v, want an InvalidError with one problem", err)
			}
			wantFieldError(t, "Check", bad[0], tt.field, tt.reason)
			if !reflect.DeepEqual(l, before) {
				t.Errorf("Check changed the link to %+v", l)
			}
		})
	}
}

func TestCheckReportsEverything(t *testing.T) {
	t.Parallel()
	l := store.Link{
		URL: "javascript:alert(1)", Title: "\x00", Tags: []string{"ok", " a", "\n"}, Status: 404, ForwardQuery: 9, MaxClicks: -1,
		StartsAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), ExpiresAt: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC),
	}
	var bad store.InvalidError
	if err := newRules(t).Check(&l); !errors.As(err, &bad) {
		t.Fatalf("Check = %v, want an InvalidError", err)
	}
	var got []string
	for _, f := range bad {
		got = append(got, f.Field)
	}
	want := []string{
		"url", "title", "tags[1]", "tags[2]", "tags[2]", "starts_at", "expires_at", "expires_at", "max_clicks", "status", "forward_query",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Check names %q, want %q", got, want)
	}
	if text := bad.Error(); strings.Count(text, "; ") != len(want)-1 || !strings.HasPrefix(text, "url: must ") {
		t.Errorf("Error() = %q, want %d problems in order", text, len(want))
	}
}

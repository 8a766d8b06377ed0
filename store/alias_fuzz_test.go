package store_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

// FuzzAlias checks that an accepted alias needs no encoding in a URL, is not a reserved path, and
// ends with nothing that visits ignore.
func FuzzAlias(f *testing.F) {
	for _, seed := range []string{"spring", "api", "API", "a/b", "..", "%41", "a\x00b", "é", "-", "_", strings.Repeat("a", 65), ""} {
		f.Add(seed)
	}
	rules, err := store.NewRules(store.RulesOptions{Reserved: []string{"api", "static", "robots.txt"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, alias string) {
		if rules.Alias(alias) != nil {
			return
		}
		u, err := url.Parse("https://sho.rt/" + alias)
		if err != nil || u.Path != "/"+alias || u.EscapedPath() != "/"+alias || u.RawQuery != "" || len(alias) > store.MaxCodeLen {
			t.Errorf("Alias(%q) is accepted and read back as %v, %v", alias, u, err)
		}
		if strings.TrimRight(alias, store.TrailingPunctuation) != alias {
			t.Errorf("Alias(%q) is accepted, but visits ignore its end", alias)
		}
		if strings.EqualFold(alias, "api") || strings.EqualFold(alias, "static") {
			t.Errorf("Alias(%q) is accepted, want it reserved", alias)
		}
	})
}

package rules_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/useragent"
)

func TestBounded(t *testing.T) {
	t.Parallel()
	iPhone := useragent.Agent{Device: "mobile", OS: "iOS", Browser: "Safari"}
	for _, tt := range []struct {
		condition         string
		visit             rules.Visit
		device, languages string
		want              bool
	}{
		{`{"query":{"a":[]}}`, rules.Visit{}, "", "", true},
		{`{"device":["mobile"]}`, rules.Visit{Agent: iPhone}, "ios", "", true},
		{`{"device":["bot"]}`, rules.Visit{Agent: useragent.Agent{Class: useragent.Crawler}}, "bot", "", true},
		{`{"device":["mobile"]}`, rules.Visit{Agent: iPhone}, "", "", false},
		{`{"device":["mobile"]}`, rules.Visit{Agent: iPhone}, "android", "", false},
		{`{"device":["mobile"]}`, rules.Visit{Agent: iPhone}, "mobile", "", false},
		{`{"device":["mobile"]}`, rules.Visit{}, "phone", "", false}, // both unknown
		{`{"language":["de"]}`, rules.Visit{Language: "de-AT,de;q=0.9,en;q=0.8"}, "", "de,en", true},
		{`{"language":["en"]}`, rules.Visit{Language: "de-AT,de;q=0.9,en;q=0.8"}, "", "de,en", true},
		{`{"language":["fr"]}`, rules.Visit{Language: "de-AT"}, "", "de", true},
		{`{"language":["de"]}`, rules.Visit{}, "", "none", true},
		{`{"language":["de"]}`, rules.Visit{}, "", "fr", false}, // unknown is not the same as another language
		{`{"language":["de"]}`, rules.Visit{Language: "de"}, "", "", false},
		{`{"language":["de"]}`, rules.Visit{Language: "de"}, "", "en", false},
		{`{"language":["de","pt-BR"]}`, rules.Visit{Language: "de"}, "", "de", false},
		{`{"language":["de"],"device":["ios"]}`, rules.Visit{Language: "de", Agent: iPhone}, "ios", "de", true},
		{`{"language":["de"],"device":["ios"]}`, rules.Visit{Language: "de", Agent: iPhone}, "", "de", false},
	} {
		if got := one(t, tt.condition).Bounded(&tt.visit, tt.device, tt.languages); got != tt.want {
			t.Errorf("%s: Bounded(%+v, %q, %q) = %v, want %v", tt.condition, tt.visit, tt.device, tt.languages, got, tt.want)
		}
	}
}

// TestBoundedVisitsAgree checks that visits with the same bounded values get the same target, whatever else
// differs in their User-Agent and their languages.
func TestBoundedVisitsAgree(t *testing.T) {
	t.Parallel()
	devices := []string{"ios", "ipados", "android", "windows", "macos", "linux", "chromeos", "bot", ""}
	languages := []string{"de", "de,en", "en", "fr,en", "pt", "none", ""}
	agreed := 0
	rapid.Check(t, func(t *rapid.T) {
		list := drawRules(t)
		for i := range list {
			if c := list[i].If; c != nil {
				c.Browser = nil
				for _, m := range []*rules.Members{&c.Members, c.Not} {
					if m != nil {
						m.Browser = nil
						for i, tag := range m.Language {
							m.Language[i], _, _ = strings.Cut(tag, "-")
						}
					}
				}
			}
		}
		text, err := rules.Encode(list)
		if err != nil {
			t.Fatal(err)
		}
		s, err := rules.Parse(text)
		if err != nil {
			t.Skip(err)
		}
		v := drawVisit(t)
		for range 20 {
			other := *v
			more := drawVisit(t)
			other.Agent, other.Language = more.Agent, more.Language
			for _, device := range devices {
				for _, language := range languages {
					if !s.Bounded(v, device, language) || !s.Bounded(&other, device, language) {
						continue
					}
					agreed++
					if got, want := s.Choose(&other), s.Choose(v); got != want {
						t.Fatalf("rules %s: %+v gets %+v, and %+v gets %+v, both with %q and %q", text, v, want, other, got, device, language)
					}
				}
			}
		}
	})
	if agreed == 0 {
		t.Error("no two visits had the same bounded values")
	}
}

package links_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/terse/terse/links"
	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

// german is a list with one rule.
func german(to string) *[]rules.Rule {
	return &[]rules.Rule{{If: &rules.Condition{Members: rules.Members{Country: []string{"DE"}}}, To: to}}
}

// TestRulesNeedCountries checks that rules on countries are refused while the server does not know
// countries, and that a link which has such rules can still be edited.
func TestRulesNeedCountries(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ruled := links.Draft{URL: "https://example.com/", Settings: links.Settings{Rules: german("https://example.com/de")}}
	results, err := b.Create(t.Context(), owner, links.Batch{Drafts: []links.Draft{ruled}})
	must(t, err)
	if problems, ok := errors.AsType[store.InvalidError](results[0].Err); !ok || problems[0].Field != "rules[0].if.country" {
		t.Errorf("create = %v, want a problem of rules[0].if.country", results[0].Err)
	}
	knowing := newBench(t, func(o *links.Options) {
		o.Store, o.Archive, o.History, o.Countries = b.database, b.database, b.database, true
	})
	l := knowing.created(owner, ruled)
	title := "new"
	if got, err := b.Edit(t.Context(), owner, l.Code, links.Edit{Settings: links.Settings{Title: &title}}); err != nil || got.Rules != l.Rules {
		t.Errorf("edit = rules %q, %v, want those of before", got.Rules, err)
	}
}

// TestTargetsInAll checks that the targets of a link share one limit, also when only the url is edited.
func TestTargetsInAll(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *links.Options) { o.Countries = true })
	l := b.created(owner, links.Draft{URL: "https://example.com/", Settings: links.Settings{Rules: german("https://example.com/" + strings.Repeat("a", 5000))}})
	long := "https://example.com/" + strings.Repeat("b", 5000)
	_, err := b.Edit(t.Context(), owner, l.Code, links.Edit{URL: &long})
	if problems, ok := errors.AsType[store.InvalidError](err); !ok || problems[0].Field != "rules" {
		t.Errorf("edit of the url = %v, want a problem of rules", err)
	}
	if _, err := b.Edit(t.Context(), owner, l.Code, links.Edit{URL: &long, Settings: links.Settings{Rules: german("https://example.com/de")}}); err != nil {
		t.Errorf("edit of url and rules = %v", err)
	}
}

// TestUnreadableRules checks that rules of a newer version of the program are neither changed nor lost.
func TestUnreadableRules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const newer = `[{"if":{"planet":["mars"]},"to":"https://example.com/"}]`
	l := b.created(owner, links.Draft{URL: "https://example.com/"})
	l.Rules = newer
	l, err := b.database.Update(t.Context(), l)
	must(t, err)
	title := "new"
	if _, err := b.Edit(t.Context(), owner, l.Code, links.Edit{Settings: links.Settings{Title: &title}}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("edit = %v, want %v", err, store.ErrUnavailable)
	}
	page, err := b.ReadHistory(t.Context(), owner, l.Code, "", 10)
	must(t, err)
	if got := page.Entries[0].Changes; len(got) != 1 || got[0].After != newer {
		t.Errorf("history = %+v, want the stored form of the rules", got)
	}
	if _, err := b.Edit(t.Context(), owner, l.Code, links.Edit{Settings: links.Settings{Rules: new([]rules.Rule)}}); err != nil {
		t.Errorf("edit that removes the rules = %v", err)
	}
}

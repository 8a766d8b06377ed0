package links_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// TestEveryEditRetries edits one link in every way at the same time. No edit is lost.
func TestEveryEditRetries(t *testing.T) {
	t.Parallel()
	const times = 10
	b := newBench(t)
	l := b.created(owner, links.Draft{URL: "https://example.com/1"})
	var all sync.WaitGroup
	for i := range times {
		all.Go(func() {
			title := fmt.Sprint("title ", i)
			if _, err := b.Edit(t.Context(), owner, l.Code, links.Edit{Settings: links.Settings{Title: &title}}); err != nil {
				t.Errorf("edit = %v", err)
			}
		})
		all.Go(func() {
			if _, err := b.Disable(t.Context(), admin, l.Code, nil, fmt.Sprint("reason ", i)); err != nil {
				t.Errorf("disable = %v", err)
			}
		})
	}
	all.Wait()
	got, err := b.Get(t.Context(), owner, l.Code)
	must(t, err)
	if got.Version != 1+2*times || got.Title == "" || got.DisabledReason == "" {
		t.Errorf("link = %+v, want version %d with a title and a reason", got, 1+2*times)
	}
}

// TestVersions checks which versions a write replaces.
func TestVersions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := b.created(owner, links.Draft{URL: "https://example.com/1"})
	title := "new"
	edit := links.Edit{Settings: links.Settings{Title: &title}}
	for _, versions := range []links.Versions{{}, {2}, {3, 4}} {
		edit.Versions = versions
		if _, err := b.Edit(t.Context(), owner, l.Code, edit); !errors.Is(err, store.ErrVersion) {
			t.Errorf("edit of version 1 for %v = %v, want %v", versions, err, store.ErrVersion)
		}
		if err := b.Delete(t.Context(), owner, l.Code, versions); !errors.Is(err, store.ErrVersion) {
			t.Errorf("delete of version 1 for %v = %v, want %v", versions, err, store.ErrVersion)
		}
		if _, err := b.Disable(t.Context(), admin, l.Code, versions, "spam"); !errors.Is(err, store.ErrVersion) {
			t.Errorf("disable of version 1 for %v = %v, want %v", versions, err, store.ErrVersion)
		}
		if _, err := b.Enable(t.Context(), admin, l.Code, versions, ""); !errors.Is(err, store.ErrVersion) {
			t.Errorf("enable of version 1 for %v = %v, want %v", versions, err, store.ErrVersion)
		}
	}
	edit.Versions = links.Versions{5, 1}
	if got, err := b.Edit(t.Context(), owner, l.Code, edit); err != nil || got.Version != 2 {
		t.Errorf("edit of version 1 for 5 and 1 = version %d, %v, want 2", got.Version, err)
	}
	if got, err := b.Disable(t.Context(), admin, l.Code, links.Versions{2}, "spam"); err != nil || got.Version != 3 {
		t.Errorf("disable of version 2 for 2 = version %d, %v, want 3", got.Version, err)
	}
	if got, err := b.Enable(t.Context(), admin, l.Code, links.Versions{3}, ""); err != nil || got.Version != 4 {
		t.Errorf("enable of version 3 for 3 = version %d, %v, want 4", got.Version, err)
	}
}

// TestSecondTakedownKeepsTheDate disables a link twice. The second call changes the reason
// and keeps the date.
func TestSecondTakedownKeepsTheDate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := b.created(owner, links.Draft{URL: "https://example.com/"})
	disabled := b.now()
	for _, reason := range []string{"spam", "phishing"} {
		_, err := b.Disable(t.Context(), admin, l.Code, nil, reason)
		must(t, err)
		b.wait(time.Hour)
	}
	got, err := b.database.Get(t.Context(), l.Code)
	must(t, err)
	if !got.DisabledAt.Equal(disabled) || got.DisabledReason != "phishing" {
		t.Errorf("disabled at %v for %q, want %v for phishing", got.DisabledAt, got.DisabledReason, disabled)
	}
}

// TestDisableTarget checks that only a link that still has the target is disabled, and that
// the history names the part of the system.
func TestDisableTarget(t *testing.T) {
	t.Parallel()
	const target, reason = "https://evil.example/", "leads to a blocked host"
	b := newBench(t)
	disable := func(code string) bool {
		t.Helper()
		done, err := b.DisableTarget(t.Context(), store.AuthorBlocklist, store.Link{Code: code, URL: target}, reason)
		must(t, err)
		return done
	}
	l, edited, deleted := b.created(owner, links.Draft{URL: target}), b.created(owner, links.Draft{URL: target}), b.created(owner, links.Draft{URL: target})
	elsewhere := "https://example.com/"
	_, err := b.Edit(t.Context(), owner, edited.Code, links.Edit{URL: &elsewhere})
	must(t, err)
	must(t, b.Delete(t.Context(), owner, deleted.Code, nil))
	if done, err := b.DisableTarget(t.Context(), store.AuthorReputation, store.Link{Code: l.Code, URL: target, Version: l.Version + 1}, reason); done || err != nil {
		t.Errorf("DisableTarget of another version = %v, %v, want false", done, err)
	}
	for _, code := range []string{edited.Code, deleted.Code, "unknown"} {
		if disable(code) {
			t.Errorf("%s was disabled, but does not have the target", code)
		}
	}
	if !disable(l.Code) || disable(l.Code) {
		t.Error("the link must be disabled by the first call, and not by the second")
	}
	page, err := b.ReadHistory(t.Context(), admin, l.Code, "", 10)
	must(t, err)
	if e := page.Entries[0]; e.Version != 2 || e.Action != "disabled" || e.Actor != store.AuthorBlocklist || e.Changes[0].After != reason {
		t.Errorf("history = %+v, want version 2 disabled by %s", e, store.AuthorBlocklist)
	}
}

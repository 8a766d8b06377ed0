package links_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// TestCreateNamesEveryField checks that the field errors in Draft.Err are reported together
// with the field errors of Create.
func TestCreateNamesEveryField(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	alias, password, past := "no spaces", "with\x00NUL", b.now().Add(-time.Hour)
	r := b.one(owner, links.Draft{
		URL: "javascript:alert(1)", Alias: &alias, Settings: links.Settings{Password: &password, ExpiresAt: &past},
		Err: &store.FieldError{Field: "found_before", Reason: "is wrong"},
	})
	if got, want := fields(r.Err), []string{"alias", "expires_at", "found_before", "password", "url"}; !slices.Equal(got, want) {
		t.Errorf("create of an invalid draft names %v, want %v", got, want)
	}
	broken := errors.New("the text cannot be read")
	if r := b.one(owner, links.Draft{Err: broken}); !errors.Is(r.Err, broken) || store.IsInvalid(r.Err) {
		t.Errorf("create of a draft that cannot be read = %v, want %v alone", r.Err, broken)
	}
}

// TestPasswordsOfABatch checks the limit of passwords in a batch.
func TestPasswordsOfABatch(t *testing.T) {
	t.Parallel()
	const most = 20
	b := newBench(t)
	password := "open sesame"
	drafts := make([]links.Draft, most+2)
	for i := range drafts {
		drafts[i] = links.Draft{URL: "https://example.com/", Settings: links.Settings{Password: &password}}
	}
	drafts[0].Password = nil
	results, err := b.Create(t.Context(), owner, links.Batch{Drafts: drafts})
	must(t, err)
	for i, r := range results[:most+1] {
		if errors.Is(r.Err, store.ErrShed) {
			continue // the machine is too busy to hash all in time
		}
		if r.Err != nil || (r.Link.PasswordHash == "") != (i == 0) {
			t.Errorf("result %d = %+v, want a link: it is among the first %d passwords", i, r, most)
		}
	}
	if got := fields(results[most+1].Err); !slices.Equal(got, []string{"password"}) {
		t.Errorf("the result of password %d names %v, want password", most+1, got)
	}
}

// empty is a Quota that is used up.
type empty struct{ err error }

func (e empty) TakePassword(context.Context) error { return e.err }

// TestQuota checks that a caller with a used-up quota hashes no password, and that every
// other check comes first.
func TestQuota(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mine := errors.New("wait for a minute")
	limited := *owner
	limited.Quota = empty{mine}
	password := "open sesame"
	secret := links.Settings{Password: &password}
	l := b.created(&limited, links.Draft{URL: "https://example.com/"})
	r := b.one(&limited, links.Draft{URL: "https://example.com/", Settings: secret})
	_, edited := b.Edit(t.Context(), &limited, l.Code, links.Edit{Settings: secret})
	for name, err := range map[string]error{"create": r.Err, "edit": edited} {
		if !errors.Is(err, links.ErrLimited) || !errors.Is(err, mine) {
			t.Errorf("%s with a password = %v, want ErrLimited and the error of the quota", name, err)
		}
	}
	if _, err := b.Edit(t.Context(), &limited, "unknown", links.Edit{Settings: secret}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("edit of an unknown link with a password = %v, want %v", err, store.ErrNotFound)
	}
	if r := b.one(&limited, links.Draft{URL: "nonsense", Settings: secret}); !store.IsInvalid(r.Err) {
		t.Errorf("create of an invalid link with a password = %v, want an error of the field", r.Err)
	}
}

// TestReuseOfAnEndedLink checks that a link that no longer redirects is not reused.
func TestReuseOfAnEndedLink(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	clicks := int64(1)
	d := links.Draft{URL: "https://example.com/", Settings: links.Settings{MaxClicks: &clicks}, Reuse: true}
	first := b.created(owner, d)
	if again := b.one(owner, d); !again.Found || again.Link.Code != first.Code {
		t.Errorf("create with reuse = %+v, want the link %s", again, first.Code)
	}
	_, err := b.database.Consume(t.Context(), first.Code, b.now())
	must(t, err)
	if again := b.created(owner, d); again.Code == first.Code {
		t.Errorf("create with reuse = %s, which has reached its click limit, want another link", again.Code)
	}
}

// TestBatchKeepsTheOrder checks that every result belongs to the draft at its position.
func TestBatchKeepsTheOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	drafts := make([]links.Draft, 500)
	for i := range drafts {
		drafts[i].URL = fmt.Sprint("https://example.com/", i)
	}
	results, err := b.Create(t.Context(), owner, links.Batch{Drafts: drafts})
	must(t, err)
	for i, r := range results {
		if r.Err != nil || r.Link.URL != drafts[i].URL {
			t.Errorf("result %d = %+v, want a link to %s", i, r, drafts[i].URL)
		}
	}
}

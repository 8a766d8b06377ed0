package links_test

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/domains"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
)

// The domains of newDomains. mine and theirs are active domains of owner and other.
const (
	mineID, mine       = "mine00001", "mine.example"
	theirsID, theirs   = "theirs001", "theirs.example"
	sharedID, shared   = "shared001", "shared.example"
	pendingID, pending = "pending01", "pending.example"
	removedID, removed = "removed01", "removed.example"
)

// newDomains returns a bench with domains, which are in the database.
func newDomains(t *testing.T, change ...func(*links.Options)) *bench {
	t.Helper()
	add := func(o *links.Options) {
		database, ok := o.Store.(*sqlite.Store)
		if !ok {
			t.Fatalf("store = %T, want the embedded database", o.Store)
		}
		registry := domains.NewRegistry(database, func() time.Time { return time.Unix(1, 0).UTC() })
		for _, d := range []store.Domain{
			{ID: mineID, Host: mine, Owner: owner.Owner(), State: store.DomainActive},
			{ID: theirsID, Host: theirs, Owner: other.Owner(), State: store.DomainActive},
			{ID: sharedID, Host: shared, Owner: other.Owner(), State: store.DomainActive, Shared: true},
			{ID: pendingID, Host: pending, Owner: owner.Owner(), State: store.DomainPending},
			{ID: removedID, Host: removed, Owner: owner.Owner(), State: store.DomainRemoved},
		} {
			_, err := registry.Add(t.Context(), d, "www."+d.Host)
			must(t, err)
		}
		known, err := domains.New(t.Context(), domains.Options{
			Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
			Sources: []domains.Source{{Name: "embedded", Domains: database}},
		})
		must(t, err)
		o.Domains, o.Rules.Served = known, known
	}
	return newBench(t, append([]func(*links.Options){add}, change...)...)
}

// TestSameCodeOnThreeDomains creates, edits, deletes, creates again, lists and reads the history of
// links that differ only in their domain.
func TestSameCodeOnThreeDomains(t *testing.T) {
	t.Parallel()
	b := newDomains(t)
	alias := "spring"
	for host, id := range map[string]string{"go.terse.example": "", mine: mineID, "WWW.shared.example.": sharedID} {
		l := b.created(owner, links.Draft{URL: "https://example.com/" + id, Domain: &host, Alias: &alias})
		if l.Code != store.LinkKey(id, alias) || b.HostOf(l.Code) == "" {
			t.Errorf("create on %s = %q on %q, want the key of the domain", host, l.Code, b.HostOf(l.Code))
		}
		if r := b.one(owner, links.Draft{URL: "https://example.com/2", Domain: &host, Alias: &alias}); !errors.Is(r.Err, store.ErrExists) {
			t.Errorf("second create on %s = %v, want %v", host, r.Err, store.ErrExists)
		}
		page, err := b.List(t.Context(), owner, links.Query{Domain: host, Search: alias, Limit: 10})
		if err != nil || len(page.Links) != 1 || page.Links[0].Code != l.Code {
			t.Errorf("List() on %s = %+v, %v, want %q", host, page.Links, err, l.Code)
		}
	}
	key := func(host string) string {
		k, err := b.Key(owner, host, alias)
		must(t, err)
		return k
	}
	target := "https://example.com/edited"
	_, err := b.Edit(t.Context(), owner, key(mine), links.Edit{URL: &target})
	must(t, err)
	must(t, b.Delete(t.Context(), owner, key(shared), nil))
	_, err = b.Disable(t.Context(), admin, key("go.terse.example"), nil, "abuse")
	must(t, err)
	if l, err := b.Get(t.Context(), owner, key("WWW.MINE.EXAMPLE")); err != nil || l.URL != target || l.Version != 2 || !l.DisabledAt.IsZero() {
		t.Errorf("edited link = %+v, %v, want only the edit", l, err)
	}
	if l, err := b.Get(t.Context(), owner, alias); err != nil || l.URL != "https://example.com/" || l.DisabledAt.IsZero() {
		t.Errorf("disabled link = %+v, %v, want only the takedown", l, err)
	}
	if _, err := b.Get(t.Context(), owner, key(shared)); !errors.Is(err, store.ErrGone) {
		t.Errorf("Get() of the deleted link = %v, want %v", err, store.ErrGone)
	}
	again := b.created(owner, links.Draft{URL: target, Domain: new(shared), Alias: &alias})
	history, err := b.ReadHistory(t.Context(), owner, again.Code, "", 10)
	if err != nil || len(history.Entries) != 3 || again.Version != 3 {
		t.Errorf("history of the link that was created again = %+v, %v, want three versions", history.Entries, err)
	}
	if _, err := b.Edit(t.Context(), owner, key(mine), links.Edit{Rename: &links.Rename{Alias: "summer"}}); !slices.Equal(fields(err), []string{"alias"}) {
		t.Errorf("rename on another domain = %v, want an error for alias", err)
	}
}

// TestDomainOfACreate checks on which domains a caller may create links.
func TestDomainOfACreate(t *testing.T) {
	t.Parallel()
	b := newDomains(t, func(o *links.Options) { o.AnonymousCreate = true })
	anonymous := &links.Caller{}
	bound := keyed("key_owner", store.ScopeLinksWrite)
	bound.Key.Domains, bound.Key.DefaultDomain = []string{mineID, pendingID, theirsID}, mineID
	given := keyed("key_owner", store.ScopeLinksWrite)
	given.Key.DefaultDomain = theirsID
	removedDefault := keyed("key_owner", store.ScopeLinksWrite)
	removedDefault.Key.DefaultDomain = removedID
	for name, tt := range map[string]struct {
		who  *links.Caller
		host *string
		want string // the ID; "refused" for an error
	}{
		"no domain":             {owner, nil, ""},
		"the base host":         {owner, new("GO.terse.example:443"), ""},
		"one's own":             {owner, new(mine), mineID},
		"a further host":        {owner, new("www." + mine), mineID},
		"a shared one":          {owner, new(shared), sharedID},
		"another owner's":       {owner, new(theirs), "refused"},
		"another owner's admin": {admin, new(theirs), theirsID},
		"pending":               {owner, new(pending), "refused"},
		"removed":               {owner, new(removed), "refused"},
		"unknown":               {owner, new("unknown.example"), "refused"},
		"empty":                 {owner, new(""), "refused"},
		"an ID":                 {owner, new(mineID), "refused"},
		"a NUL":                 {owner, new("mine.example\x00"), "refused"},
		"a user":                {owner, new("mine.example@evil.example"), "refused"},
		"percent-encoded":       {owner, new("mine%2eexample"), mineID},
		"anonymous, shared":     {anonymous, new(shared), "refused"},
		"anonymous, owned":      {anonymous, new(mine), "refused"},
		"bound, default":        {bound, nil, mineID},
		"bound, named":          {bound, new(mine), mineID},
		"bound, base":           {bound, new("go.terse.example"), "refused"},
		"bound, shared":         {bound, new(shared), "refused"},
		"bound, pending":        {bound, new(pending), "refused"},
		"bound, another's":      {bound, new(theirs), theirsID},
		"default of another":    {given, nil, theirsID},
		"given, base":           {given, new("go.terse.example"), ""},
		"default removed":       {removedDefault, nil, "refused"},
	} {
		for _, dry := range []bool{true, false} {
			results, err := b.Create(t.Context(), tt.who, links.Batch{DryRun: dry, Drafts: []links.Draft{{URL: "https://example.com/", Domain: tt.host}}})
			must(t, err)
			l, err := results[0].Link, results[0].Err
			switch {
			case tt.want == "refused":
				if got := fields(err); !slices.Equal(got, []string{"domain"}) {
					t.Errorf("%s: create = %+v, %v, want an error for domain", name, l, err)
				}
			case err != nil || !dry && l.DomainID() != tt.want:
				t.Errorf("%s: create = %q, %v, want a link on %q", name, l.Code, err, tt.want)
			}
		}
	}
	if key, err := b.Key(owner, "", "spring"); err != nil || key != "spring" {
		t.Errorf("Key() without a host = %q, %v, want the default domain of the server", key, err)
	}
	if key, err := b.Key(owner, "", mineID+"/spring"); err != nil || key != "" {
		t.Errorf("Key() of a key = %q, %v, want none", key, err)
	}
	if key, err := b.Key(owner, "unknown.example", "spring"); !slices.Equal(fields(err), []string{"domain"}) {
		t.Errorf("Key() on an unknown host = %q, %v, want an error for domain", key, err)
	}
}

// TestReuseAndKeysByDomain checks that reuse, idempotency keys and the order of equal aliases in a
// batch belong to one domain.
func TestReuseAndKeysByDomain(t *testing.T) {
	t.Parallel()
	b := newDomains(t)
	made := map[string]bool{}
	for _, host := range []string{"go.terse.example", mine, shared} {
		draft := links.Draft{URL: "https://example.com/reuse", Domain: &host, Reuse: true}
		first := b.one(owner, draft)
		must(t, first.Err)
		second := b.one(owner, draft)
		if first.Found || made[first.Link.Code] || second.Err != nil || !second.Found || second.Link.Code != first.Link.Code {
			t.Errorf("reuse on %s = %q, then %q, %v, want one link of its own", host, first.Link.Code, second.Link.Code, second.Err)
		}
		made[first.Link.Code] = true

		keyed := links.Draft{URL: "https://example.com/keyed", Domain: &host, Key: "key on " + host, Request: []byte(host)}
		one, two := b.created(owner, keyed), b.created(owner, keyed)
		if one.Code != two.Code || one.DomainID() != first.Link.DomainID() {
			t.Errorf("creates with one key on %s = %q and %q, want one link", host, one.Code, two.Code)
		}
		keyed.Key, keyed.Request = "one key", []byte(host)
		if r := b.one(owner, keyed); (r.Err == nil) != (len(made) == 1) || r.Err != nil && !errors.Is(r.Err, links.ErrOtherRequest) {
			t.Errorf("create with the key of another domain on %s = %v, want %v after the first", host, r.Err, links.ErrOtherRequest)
		}
	}

	var drafts []links.Draft
	for range 2 {
		for _, host := range []string{"go.terse.example", mine, shared} {
			drafts = append(drafts, links.Draft{URL: "https://example.com/batch", Domain: &host, Alias: new("batch")})
		}
	}
	for _, dry := range []bool{true, false} {
		results, err := b.Create(t.Context(), owner, links.Batch{Drafts: slices.Clone(drafts), DryRun: dry})
		must(t, err)
		for i, r := range results {
			if taken := errors.Is(r.Err, store.ErrExists); taken != (i >= 3) || !taken && r.Err != nil {
				t.Errorf("dry run %v: result %d = %v, want a link for the first alias of each domain", dry, i, r.Err)
			}
		}
	}
}

// TestOwnDomainsAsTargets checks that targets on a host of any domain are refused in creates and
// edits, unless the domain was removed or the host is not verified.
func TestOwnDomainsAsTargets(t *testing.T) {
	t.Parallel()
	b := newDomains(t)
	l := b.created(owner, links.Draft{URL: "https://example.com/"})
	for host, refused := range map[string]bool{mine: true, "www." + theirs + ":8443": true, "PENDING.example.": false, removed: false, "sub." + mine: false} {
		url := "https://" + host + "/x"
		created := b.one(owner, links.Draft{URL: url, Domain: new(mine)}).Err
		_, edited := b.Edit(t.Context(), owner, l.Code, links.Edit{URL: &url})
		for _, err := range []error{created, edited} {
			if got := slices.Equal(fields(err), []string{"url"}); got != refused || !refused && err != nil {
				t.Errorf("link to %s = %v, want refused: %v", url, err, refused)
			}
		}
	}
}

// TestImportOnDomains imports links with one code on several domains.
func TestImportOnDomains(t *testing.T) {
	t.Parallel()
	b := newDomains(t)
	rows := func() []links.Archived {
		return []links.Archived{
			{Link: store.Link{Code: "kept", URL: "https://example.com/0"}},
			{Link: store.Link{Code: "kept", URL: "https://example.com/1"}, Domain: "www." + mine},
			{Link: store.Link{Code: "kept", URL: "https://example.com/2"}, Domain: pending},
			{Link: store.Link{Code: "kept", URL: "https://example.com/3"}, Domain: "unknown.example"},
			{Link: store.Link{Code: "a/b", URL: "https://example.com/4"}, Domain: mine},
			{Link: store.Link{Code: "old", URL: "https://old.example/new"}, Domain: mine, RenamedTo: "new"},
		}
	}
	want := [][]string{nil, nil, nil, {"domain"}, {"code"}, {"renamed_to"}}
	for _, found := range []bool{false, true} {
		results, err := b.Import(t.Context(), admin, rows(), false)
		must(t, err)
		for i, r := range results {
			if got := fields(r.Err); !slices.Equal(got, want[i]) || want[i] == nil && (r.Err != nil || r.Found != found) {
				t.Errorf("import of row %d = %+v, %v, want errors for %v and found %v", i, r.Link, r.Err, want[i], found)
			}
		}
	}
}

// TestUnknownDomains checks that a node that has not read all domains answers neither that a host
// is unknown nor that it is the default domain.
func TestUnknownDomains(t *testing.T) {
	t.Parallel()
	unread, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	must(t, unread.Close())
	b := newBench(t, func(o *links.Options) {
		o.Domains, err = domains.New(t.Context(), domains.Options{
			Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
			Sources: []domains.Source{{Name: "unread", Domains: unread}},
		})
		must(t, err)
	})
	if r := b.one(owner, links.Draft{URL: "https://example.com/", Domain: new(mine)}); !errors.Is(r.Err, store.ErrUnavailable) {
		t.Errorf("create on a domain that is not known yet = %v, want %v", r.Err, store.ErrUnavailable)
	}
	if _, err := b.Key(owner, mine, "spring"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Key() on a domain that is not known yet = %v, want %v", err, store.ErrUnavailable)
	}
	b.created(owner, links.Draft{URL: "https://example.com/"})
}

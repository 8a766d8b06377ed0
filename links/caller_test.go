package links_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/idgen"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// useCases are all use cases, each called for an existing link of the owner.
var useCases = map[string]func(b *bench, who *links.Caller, code string) error{
	"create": func(b *bench, who *links.Caller, _ string) error {
		results, err := b.Create(b.t.Context(), who, links.Batch{Drafts: []links.Draft{{URL: "https://example.com/"}}})
		if err == nil {
			err = results[0].Err
		}
		return err
	},
	"get": func(b *bench, who *links.Caller, code string) error {
		_, err := b.Get(b.t.Context(), who, code)
		return err
	},
	"list": func(b *bench, who *links.Caller, _ string) error {
		_, err := b.List(b.t.Context(), who, links.Query{Limit: 1})
		return err
	},
	"history": func(b *bench, who *links.Caller, code string) error {
		_, err := b.ReadHistory(b.t.Context(), who, code, "", 1)
		return err
	},
	"edit": func(b *bench, who *links.Caller, code string) error {
		_, err := b.Edit(b.t.Context(), who, code, links.Edit{})
		return err
	},
	"roll back": func(b *bench, who *links.Caller, code string) error {
		_, err := b.RollBack(b.t.Context(), who, code, links.RollBack{To: 1})
		return err
	},
	"delete": func(b *bench, who *links.Caller, code string) error { return b.Delete(b.t.Context(), who, code, nil) },
	"disable": func(b *bench, who *links.Caller, code string) error {
		_, err := b.Disable(b.t.Context(), who, code, nil, "phishing")
		return err
	},
	"enable": func(b *bench, who *links.Caller, code string) error {
		_, err := b.Enable(b.t.Context(), who, code, nil, "")
		return err
	},
	"export": func(b *bench, who *links.Caller, _ string) error {
		_, _, err := b.Export(b.t.Context(), who, "", 1)
		return err
	},
	"count": func(b *bench, who *links.Caller, code string) error {
		errs, err := b.MayCount(b.t.Context(), who, []string{code})
		if err != nil {
			return err
		}
		return errs[0]
	},
	"count all": func(b *bench, who *links.Caller, _ string) error {
		_, _, err := b.Stored(who, links.ClickSet{})
		return err
	},
	"share": func(b *bench, who *links.Caller, code string) error {
		_, _, err := b.ShareLink(b.t.Context(), who, code, links.Share{})
		return err
	},
	"share all": func(b *bench, who *links.Caller, _ string) error {
		_, _, err := b.ShareSet(b.t.Context(), who, links.ClickSet{}, links.Share{})
		return err
	},
	"import": func(b *bench, who *links.Caller, _ string) error {
		_, err := b.Import(b.t.Context(), who, nil, false)
		return err
	},
}

// TestWhoMayDoWhat calls every use case as every kind of caller.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	var (
		ok      error
		noKey   = links.ErrNoKey
		lacks   = errors.New("a scope is missing") // stands for every *links.ScopeError
		missing = store.ErrNotFound
	)
	callers := []*links.Caller{
		{Client: "192.0.2.1"},
		owner, keyed("key_reader", store.ScopeLinksRead), keyed("key_writer", store.ScopeLinksWrite),
		keyed("key_stats", store.ScopeStatsRead), other, admin, links.System("system:test"),
	}
	want := map[string][8]error{ //    no key, owner, reader, writer, stats, other, admin, system
		"create":    {noKey, ok, lacks, ok, lacks, ok, ok, ok},
		"get":       {noKey, ok, missing, lacks, lacks, missing, ok, ok},
		"list":      {noKey, ok, ok, lacks, lacks, ok, ok, ok},
		"history":   {noKey, ok, missing, lacks, lacks, missing, ok, ok},
		"edit":      {noKey, ok, lacks, missing, lacks, missing, ok, ok},
		"roll back": {noKey, ok, lacks, missing, lacks, missing, ok, ok},
		"delete":    {noKey, ok, lacks, missing, lacks, missing, ok, ok},
		"disable":   {noKey, lacks, lacks, lacks, lacks, lacks, ok, ok},
		"enable":    {noKey, lacks, lacks, lacks, lacks, lacks, ok, ok},
		"count":     {noKey, lacks, lacks, lacks, missing, lacks, ok, ok},
		"count all": {noKey, lacks, lacks, lacks, ok, lacks, ok, ok},
		"share":     {noKey, lacks, lacks, lacks, missing, lacks, ok, ok},
		"share all": {noKey, lacks, lacks, lacks, ok, lacks, ok, ok},
		"export":    {noKey, lacks, lacks, lacks, lacks, lacks, ok, ok},
		"import":    {noKey, lacks, lacks, lacks, lacks, lacks, ok, ok},
	}
	b := newBench(t)
	for name, call := range useCases {
		for i, who := range callers {
			l := b.created(owner, links.Draft{URL: "https://example.com/"})
			err := call(b, who, l.Code)
			if _, is := errors.AsType[*links.ScopeError](err); is {
				err = lacks
			}
			if want := want[name][i]; !errors.Is(err, want) {
				t.Errorf("%s by caller %d = %v, want %v", name, i, err, want)
			}
		}
	}
}

func TestAnonymousCreate(t *testing.T) {
	t.Parallel()
	nobody := &links.Caller{Client: "192.0.2.1"}
	for _, allowed := range []bool{true, false} {
		b := newBench(t, func(o *links.Options) { o.AnonymousCreate = allowed })
		if err := useCases["create"](b, nobody, ""); (err == nil) != allowed {
			t.Errorf("create without a key = %v, want allowed: %v", err, allowed)
		}
		if err := b.May(nobody, links.Editing); !errors.Is(err, links.ErrNoKey) {
			t.Errorf("edit without a key = %v, want %v", err, links.ErrNoKey)
		}
	}
}

func TestNewNamesEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := links.New(links.Options{PasswordCost: 99, Rules: store.RulesOptions{Reserved: []string{"a/b"}}})
	for _, want := range []string{"Store", "Archive", "History", "Tags", "Minter", "Keys", "Registerer", "PasswordCost", "Rules"} {
		if err == nil || !strings.Contains(err.Error(), "Options."+want) {
			t.Errorf("New = %v, want an error that names %s", err, want)
		}
	}
	b := newBench(t)
	opts := links.Options{Store: b.database, Archive: b.database, History: b.database, Tags: b.database, Minter: new(idgen.Codes), Keys: b.database, BaseURL: baseURL, Registerer: prometheus.NewRegistry()}
	if _, err := links.New(opts); err != nil {
		t.Errorf("New with the required options = %v", err)
	}
}

// TestWorkspace checks that the keys of a workspace own its links together, and that the history names
// the key of each edit.
func TestWorkspace(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	member := func(id, workspace string) *links.Caller {
		who := keyed(id, store.ScopeLinksRead, store.ScopeLinksWrite)
		who.Key.Workspace = workspace
		return who
	}
	ann, bob, eve := member("key_ann", "marketing"), member("key_bob", "marketing"), member("key_eve", "sales")
	joined := member("key_joined", owner.Key.ID) // the workspace of a key without one

	l := b.created(ann, links.Draft{URL: "https://example.com/"})
	if l.Owner != "marketing" {
		t.Errorf("the owner of a new link = %q, want the workspace", l.Owner)
	}
	if _, err := b.Edit(t.Context(), bob, l.Code, links.Edit{URL: new("https://example.com/new")}); err != nil {
		t.Errorf("Edit by another key of the workspace = %v", err)
	}
	if page, err := b.List(t.Context(), bob, links.Query{Limit: 10}); err != nil || len(page.Links) != 1 {
		t.Errorf("List by another key of the workspace = %+v, %v, want the link", page, err)
	}
	history, err := b.ReadHistory(t.Context(), ann, l.Code, "", 10)
	if err != nil || len(history.Entries) != 2 || history.Entries[0].Actor != "key_bob" || history.Entries[1].Actor != "marketing" {
		t.Errorf("ReadHistory = %+v, %v, want the workspace as creator and the key of the edit", history, err)
	}
	for _, who := range []*links.Caller{eve, keyed("marketing-2", store.ScopeLinksRead), joined} {
		if _, err := b.Get(t.Context(), who, l.Code); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get by %s of another workspace = %v, want %v", who.Key.ID, err, store.ErrNotFound)
		}
	}
	old := b.created(owner, links.Draft{URL: "https://example.com/old"})
	if _, err := b.Get(t.Context(), joined, old.Code); err != nil {
		t.Errorf("Get by a key that joined the workspace of another key = %v", err)
	}
}

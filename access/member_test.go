package access_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/access"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// join invites a person and accepts. It returns the member, its sign-in key and its session.
func (b *bench) join(workspace, name string, role store.Role) (m store.Key, key string, session store.Key) {
	b.t.Helper()
	_, token, err := b.Invite(b.t.Context(), admin(), access.NewInvitation{Name: name, Role: role, Workspace: workspace})
	must(b.t, err)
	key, opened, err := b.Accept(b.t.Context(), token)
	must(b.t, err)
	return b.session(key), key, b.session(opened)
}

// live reports whether a session and the key that signed in are usable.
func (b *bench) live(session store.Key) bool {
	b.t.Helper()
	k, err := b.database.KeyByHash(b.t.Context(), session.Hash)
	must(b.t, err)
	origin, err := b.database.KeyByHash(b.t.Context(), session.Session.Hash)
	must(b.t, err)
	return k.Usable(b.now) && origin.Usable(b.now)
}

func errOf(_ store.Key, err error) error { return err }

func caller(k store.Key) *links.Caller { return &links.Caller{Key: &k} }

func TestInvitation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	invitation, token, err := b.Invite(t.Context(), admin(), access.NewInvitation{Name: "Ann", Role: store.RoleEditor, Workspace: "marketing"})
	must(t, err)
	if !invitation.ExpiresAt.Equal(b.now.Add(access.InvitationLife)) || invitation.SignsIn() || invitation.IsAPIKey() {
		t.Errorf("Invite made %+v, want an invitation for %v", invitation, access.InvitationLife)
	}
	type result struct{ key, session string }
	var accepted []result
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			key, session, err := b.Accept(context.Background(), token)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				accepted = append(accepted, result{key, session})
			} else if !errors.Is(err, access.ErrLink) {
				t.Errorf("Accept = %v, want %v", err, access.ErrLink)
			}
		})
	}
	all.Wait()
	if len(accepted) != 1 {
		t.Fatalf("%d concurrent calls accepted the invitation, want one", len(accepted))
	}
	s := b.session(accepted[0].session)
	if s.Owner() != "marketing" || !s.Can(store.ScopeLinksWrite) || s.Can(store.ScopeWorkspaceWrite) || s.Can(store.ScopeAdmin) || s.Name != "Ann" || !b.live(s) {
		t.Errorf("the session is %+v, want a live one of an editor", s)
	}
	again, err := b.SignIn(t.Context(), b.session(accepted[0].key))
	must(t, err)
	if other := b.session(again); other.Session.Key != s.Session.Key {
		t.Errorf("the sign-in key signs %q in, want %q", other.Session.Key, s.Session.Key)
	}
	members, err := b.Members(t.Context(), admin(), "marketing")
	if err != nil || len(members) != 1 || members[0].Name != "Ann" || members[0].Member.By != store.AuthorAdmin {
		t.Errorf("Members = %+v, %v, want Ann, invited by the administrator", members, err)
	}
}

func TestInvitationsThatEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(b *bench, invitation store.Key){
		"too old": func(b *bench, _ store.Key) { b.now = b.now.Add(access.InvitationLife) },
		"withdrawn": func(b *bench, invitation store.Key) {
			_, err := b.Remove(b.t.Context(), admin(), invitation.ID)
			must(b.t, err)
		},
		"the key of its author was revoked": func(b *bench, invitation store.Key) {
			_, err := b.database.RevokeKey(b.t.Context(), invitation.Member.By, b.now) // as terse key revoke does
			must(b.t, err)
		},
		"its author was removed": func(b *bench, invitation store.Key) {
			_, err := b.Remove(b.t.Context(), admin(), invitation.Member.By)
			must(b.t, err)
		},
		"its author has another role": func(b *bench, invitation store.Key) {
			_, err := b.SetRole(b.t.Context(), admin(), invitation.Member.By, store.RoleViewer)
			must(b.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			_, _, manager := b.join("marketing", "Max", store.RoleManager)
			invitation, token, err := b.Invite(t.Context(), caller(manager), access.NewInvitation{Name: "Ann", Role: store.RoleManager})
			must(t, err)
			end(b, invitation)
			if _, _, err := b.Accept(t.Context(), token); !errors.Is(err, access.ErrLink) {
				t.Errorf("Accept = %v, want %v", err, access.ErrLink)
			}
		})
	}
	b := newBench(t)
	for name, change := range map[string]func(author store.Key){
		"is usable":   func(store.Key) {},
		"was revoked": func(author store.Key) { must(t, errOf(b.RevokeKey(t.Context(), admin(), author.ID))) },
		"has expired": func(author store.Key) { b.now = author.ExpiresAt },
	} {
		author, _, err := b.CreateKey(t.Context(), admin(), access.NewKey{Name: "x", Workspace: "marketing", Scopes: store.RoleManager.Scopes(), ExpiresAt: b.now.Add(time.Hour)})
		must(t, err)
		_, token, err := b.Invite(t.Context(), caller(author), access.NewInvitation{Name: "Ann", Role: store.RoleManager})
		must(t, err)
		change(author)
		if _, _, err := b.Accept(t.Context(), token); (err == nil) != (name == "is usable") || err != nil && !errors.Is(err, access.ErrLink) {
			t.Errorf("Accept of the invitation of an API key that %s = %v", name, err)
		}
	}
	// An author who may send invitations and lacks the scopes of the role.
	author := b.key(store.Key{Workspace: "marketing", Scopes: []store.Scope{store.ScopeWorkspaceWrite}})
	token, hash := store.NewToken()
	must(t, b.database.CreateKey(t.Context(), store.Key{
		ID: store.NewKeyID(), Hash: hash, Workspace: "marketing", CreatedAt: b.now, Member: &store.Member{Role: store.RoleViewer, By: author.ID},
	}))
	if _, _, err := b.Accept(t.Context(), token); !errors.Is(err, access.ErrLink) {
		t.Errorf("Accept of a role that the author may not give = %v, want %v", err, access.ErrLink)
	}
	_, apiKey, err := b.CreateKey(t.Context(), admin(), access.NewKey{Name: "x", Scopes: store.Scopes()})
	must(t, err)
	_, memberKey, _ := b.join("marketing", "Max", store.RoleManager)
	unknown, _ := store.NewToken()
	for name, token := range map[string]string{"empty": "", "unknown": unknown, "API key": apiKey, "sign-in key": memberKey, "one-time link": b.OneTimeLink()} {
		if _, _, err := b.Accept(t.Context(), token); !errors.Is(err, access.ErrLink) {
			t.Errorf("Accept(%s) = %v, want %v", name, err, access.ErrLink)
		}
	}
}

func TestInviteRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, _, err := b.Invite(t.Context(), admin(), access.NewInvitation{Name: " ", Workspace: "a b", Role: "owner", ExpiresAt: b.now})
	for _, field := range []string{"name", "workspace", "role", "expires_at"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("Invite with invalid fields = %v, want an error that names %s", err, field)
		}
	}
	_, _, editor := b.join("marketing", "Ann", store.RoleEditor)
	_, _, manager := b.join("marketing", "Max", store.RoleManager)
	manages := b.key(store.Key{Workspace: "marketing", Scopes: []store.Scope{store.ScopeWorkspaceWrite}})
	reads := b.key(store.Key{Workspace: "marketing", Scopes: append(store.RoleViewer.Scopes(), store.ScopeWorkspaceWrite)})
	writes := b.key(store.Key{Workspace: "marketing", Scopes: append(store.RoleEditor.Scopes(), store.ScopeWorkspaceWrite)})
	for name, tt := range map[string]struct {
		who  store.Key
		in   access.NewInvitation
		want func(error) bool
	}{
		"an editor":                    {editor, access.NewInvitation{Name: "x", Role: store.RoleViewer}, lacksScope},
		"to another workspace":         {manager, access.NewInvitation{Name: "x", Role: store.RoleViewer, Workspace: "sales"}, notFound},
		"a manager, an administrator":  {manager, access.NewInvitation{Name: "x", Role: store.RoleAdmin}, lacksScope},
		"a key for members, a viewer":  {manages, access.NewInvitation{Name: "x", Role: store.RoleViewer}, lacksScope},
		"a key that reads, an editor":  {reads, access.NewInvitation{Name: "x", Role: store.RoleEditor}, lacksScope},
		"a key that writes, a manager": {writes, access.NewInvitation{Name: "x", Role: store.RoleManager}, lacksScope},
	} {
		if _, _, err := b.Invite(t.Context(), caller(tt.who), tt.in); !tt.want(err) {
			t.Errorf("Invite by %s = %v, want a refusal", name, err)
		}
	}
	_, _, err = b.Invite(t.Context(), caller(reads), access.NewInvitation{Name: "x", Role: store.RoleViewer})
	must(t, err)
}

func lacksScope(err error) bool {
	_, is := errors.AsType[*links.ScopeError](err)
	return is
}

func notFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

func TestRoleChanges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first, key, before := b.join("marketing", "Ann", store.RoleEditor)
	_, _, manager := b.join("marketing", "Max", store.RoleManager)
	m, id := first, first.ID
	for _, role := range []store.Role{store.RoleViewer, store.RoleManager, store.RoleViewer} {
		var err error
		m, err = b.SetRole(t.Context(), caller(manager), id, role)
		must(t, err)
		if id = m.ID; b.live(before) {
			t.Errorf("the session lives after the role became %s", role)
		}
		token, err := b.SignIn(t.Context(), b.session(key))
		must(t, err)
		before = b.session(token)
		if want := role.Scopes(); !slices.Equal(before.Scopes, want) || !b.live(before) {
			t.Errorf("the new session of a %s has %v, want %v", role, before.Scopes, want)
		}
	}
	if members, err := b.Members(t.Context(), caller(manager), "marketing"); err != nil || len(members) != 2 {
		t.Errorf("Members = %+v, %v, want each person once", members, err)
	}
	_, err := b.Remove(t.Context(), caller(manager), id)
	must(t, err)
	if b.live(before) {
		t.Error("the session lives after the member was removed")
	}
	if _, err := b.SignIn(t.Context(), b.session(key)); !notFound(err) {
		t.Errorf("SignIn of a removed member = %v, want %v", err, store.ErrNotFound)
	}
	for name, change := range map[string]func() error{
		"SetRole": func() error {
			_, err := b.SetRole(t.Context(), caller(manager), id, store.RoleViewer)
			return err
		},
		"Remove": func() error {
			_, err := b.Remove(t.Context(), caller(manager), id)
			return err
		},
	} {
		if err := change(); !notFound(err) {
			t.Errorf("%s of a removed member = %v, want %v", name, err, store.ErrNotFound)
		}
	}
}

func TestConcurrentRoleChanges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ticks = true
	m, _, _ := b.join("marketing", "Ann", store.RoleEditor)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			role := []store.Role{store.RoleViewer, store.RoleManager}[i%2]
			if _, err := b.SetRole(context.Background(), admin(), m.ID, role); err != nil && !errors.Is(err, access.ErrChanged) && !notFound(err) {
				t.Errorf("SetRole = %v, want success, %v or %v", err, access.ErrChanged, store.ErrNotFound)
			}
		})
	}
	all.Wait()
	if members, err := b.Members(t.Context(), admin(), "marketing"); err != nil || len(members) != 1 {
		t.Errorf("Members = %+v, %v, want one", members, err)
	}
}

func TestMembersOfOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, _, editor := b.join("marketing", "Ann", store.RoleEditor)
	max, _, manager := b.join("marketing", "Max", store.RoleManager)
	root, _, _ := b.join("marketing", "Root", store.RoleAdmin)
	sue, _, other := b.join("sales", "Sue", store.RoleManager)

	if _, err := b.Members(t.Context(), caller(other), "marketing"); !notFound(err) {
		t.Errorf("Members of another workspace = %v, want %v", err, store.ErrNotFound)
	}
	if _, err := b.Members(t.Context(), caller(editor), "marketing"); !lacksScope(err) {
		t.Errorf("Members for an editor = %v, want a ScopeError", err)
	}
	for name, tt := range map[string]struct {
		who  store.Key
		id   string
		want func(error) bool
	}{
		"an editor":              {editor, ann.ID, lacksScope},
		"another workspace":      {other, ann.ID, notFound},
		"an administrator":       {manager, root.ID, lacksScope},
		"an unknown member":      {manager, "key_none", notFound},
		"a session":              {manager, manager.ID, notFound},
		"the last manager":       {other, sue.ID, func(err error) bool { return errors.Is(err, access.ErrLastManager) }},
		"a member, in a session": {manager, editor.ID, notFound},
	} {
		if _, err := b.Remove(t.Context(), caller(tt.who), tt.id); !tt.want(err) {
			t.Errorf("Remove of %s = %v, want a refusal", name, err)
		}
		if _, err := b.SetRole(t.Context(), caller(tt.who), tt.id, store.RoleViewer); !tt.want(err) {
			t.Errorf("SetRole of %s = %v, want a refusal", name, err)
		}
	}
	if _, err := b.SetRole(t.Context(), caller(manager), ann.ID, store.RoleAdmin); !lacksScope(err) {
		t.Errorf("SetRole to admin by a manager = %v, want a ScopeError", err)
	}
	writes := b.key(store.Key{Workspace: "marketing", Scopes: append(store.RoleEditor.Scopes(), store.ScopeWorkspaceWrite)})
	if _, err := b.SetRole(t.Context(), caller(writes), ann.ID, store.RoleManager); !lacksScope(err) {
		t.Errorf("SetRole to manager by a key without domains:write = %v, want a ScopeError", err)
	}
	_, err := b.RevokeKey(t.Context(), admin(), writes.ID)
	must(t, err)
	if _, err := b.SetRole(t.Context(), caller(manager), ann.ID, "owner"); !store.IsInvalid(err) {
		t.Errorf("SetRole to an unknown role = %v, want a field error", err)
	}
	_, err = b.Remove(t.Context(), caller(manager), max.ID) // not the last: an administrator is a member too
	must(t, err)
	_, err = b.Remove(t.Context(), admin(), sue.ID)
	must(t, err)

	all, err := b.Workspaces(t.Context(), admin())
	want := []access.Workspace{{ID: "marketing", Members: 2}}
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("Workspaces = %+v, %v, want %+v", all, err, want)
	}
}

func TestKeysOfAManager(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, _, manager := b.join("marketing", "Max", store.RoleManager)
	foreign := b.key(store.Key{Name: "foreign", Workspace: "sales"})
	own, _, err := b.CreateKey(t.Context(), caller(manager), access.NewKey{Name: "own", Scopes: store.RoleManager.Scopes()})
	if err != nil || own.Workspace != "marketing" {
		t.Errorf("CreateKey = %+v, %v, want a key of the workspace", own, err)
	}
	if _, _, err := b.CreateKey(t.Context(), caller(manager), access.NewKey{Name: "x", Scopes: []store.Scope{store.ScopeAdmin}}); !lacksScope(err) {
		t.Errorf("CreateKey with a scope that the caller lacks = %v, want a ScopeError", err)
	}
	if _, _, err := b.CreateKey(t.Context(), caller(manager), access.NewKey{Name: "x", Workspace: "sales", Scopes: []store.Scope{store.ScopeLinksRead}}); !notFound(err) {
		t.Errorf("CreateKey in another workspace = %v, want %v", err, store.ErrNotFound)
	}
	if _, err := b.RevokeKey(t.Context(), caller(manager), foreign.ID); !notFound(err) {
		t.Errorf("RevokeKey of another workspace = %v, want %v", err, store.ErrNotFound)
	}
	if keys, err := b.Keys(t.Context(), caller(manager)); err != nil || len(keys) != 1 || keys[0].ID != own.ID {
		t.Errorf("Keys = %+v, %v, want the one of the workspace", keys, err)
	}
	wider := b.key(store.Key{Name: "wider", Workspace: "marketing", Scopes: []store.Scope{store.ScopeAdmin}})
	if _, err := b.RevokeKey(t.Context(), caller(manager), wider.ID); !lacksScope(err) {
		t.Errorf("RevokeKey of a key with a scope that the caller lacks = %v, want a ScopeError", err)
	}
	_, err = b.RevokeKey(t.Context(), admin(), wider.ID)
	must(t, err)
	_, err = b.RevokeKey(t.Context(), caller(manager), own.ID)
	must(t, err)
	if all, err := b.Workspaces(t.Context(), caller(manager)); err != nil || !slices.Equal(all, []access.Workspace{{ID: "marketing", Members: 1}}) {
		t.Errorf("Workspaces = %+v, %v, want the caller's", all, err)
	}
	if _, err := b.Workspaces(t.Context(), caller(store.Key{Scopes: store.RoleEditor.Scopes()})); !lacksScope(err) {
		t.Errorf("Workspaces for an editor = %v, want a ScopeError", err)
	}
}

// TestChangesAtTheSameTime makes a second change while the first one runs.
func TestChangesAtTheSameTime(t *testing.T) {
	t.Parallel()
	remove := func(b *bench, id string) error { return errOf(b.Remove(b.t.Context(), admin(), id)) }
	give := func(role store.Role) func(b *bench, id string) error {
		return func(b *bench, id string) error { return errOf(b.SetRole(b.t.Context(), admin(), id, role)) }
	}
	newest := func(role store.Role) func(b *bench, id string) error {
		return func(b *bench, _ string) error {
			members, err := b.Members(b.t.Context(), admin(), "marketing")
			must(b.t, err)
			return give(role)(b, members[len(members)-1].ID)
		}
	}
	for name, tt := range map[string]struct {
		first, second func(b *bench, id string) error
		want          []store.Role // afterwards
	}{
		"a role while the member is removed":         {remove, give(store.RoleManager), []store.Role{store.RoleManager}},
		"a removal while the role changes":           {give(store.RoleManager), remove, nil},
		"a removal twice":                            {remove, remove, nil},
		"another role while the role changes":        {give(store.RoleManager), give(store.RoleViewer), []store.Role{store.RoleViewer}},
		"the old role while the role changes":        {give(store.RoleManager), give(store.RoleEditor), []store.Role{store.RoleEditor}},
		"the same role again while the role changes": {give(store.RoleManager), newest(store.RoleManager), []store.Role{store.RoleManager}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.ticks = true
			m, _, _ := b.join("marketing", "Ann", store.RoleEditor)
			b.once("revoke", func() { must(t, tt.second(b, m.ID)) })
			if err := tt.first(b, m.ID); !errors.Is(err, access.ErrChanged) {
				t.Errorf("the first change = %v, want %v", err, access.ErrChanged)
			}
			if got := b.roles("marketing"); !slices.Equal(got, tt.want) {
				t.Errorf("the roles are %v, want %v", got, tt.want)
			}
		})
	}
	b := newBench(t)
	b.ticks = true
	invitation, token, err := b.Invite(t.Context(), admin(), access.NewInvitation{Name: "Ann", Role: store.RoleViewer, Workspace: "marketing"})
	must(t, err)
	b.once("revoke", func() {
		_, _, err := b.Accept(t.Context(), token)
		must(t, err)
	})
	if err := remove(b, invitation.ID); !errors.Is(err, access.ErrChanged) || len(b.roles("marketing")) != 1 {
		t.Errorf("Remove of an invitation that is accepted meanwhile = %v, want %v and a member", err, access.ErrChanged)
	}
}

// roles returns the roles of the members of a workspace.
func (b *bench) roles(workspace string) (roles []store.Role) {
	b.t.Helper()
	members, err := b.Members(b.t.Context(), admin(), workspace)
	must(b.t, err)
	for _, m := range members {
		roles = append(roles, m.Member.Role)
	}
	return roles
}

// TestOutages signs members in while a part of the database is unreachable.
func TestOutages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, _, _ := b.join("marketing", "Ann", store.RoleViewer)
	_, token, err := b.Invite(t.Context(), admin(), access.NewInvitation{Name: "Bob", Role: store.RoleViewer, Workspace: "marketing"})
	must(t, err)
	b.fail("list")
	if _, err := b.SignIn(t.Context(), ann); err != nil {
		t.Errorf("SignIn while no list of keys can be read = %v", err)
	}
	if _, _, err := b.Accept(t.Context(), token); err != nil {
		t.Errorf("Accept while no list of keys can be read = %v", err)
	}
	b.before = nil
	_, token, err = b.Invite(t.Context(), admin(), access.NewInvitation{Name: "Cid", Role: store.RoleViewer, Workspace: "marketing"})
	must(t, err)
	b.fail("open")
	key, session, err := b.Accept(t.Context(), token)
	b.before = nil
	if !errors.Is(err, store.ErrUnavailable) || key == "" || session != "" {
		t.Fatalf("Accept while no session can be stored = %q, %q, %v, want the sign-in key with the error", key, session, err)
	}
	if _, err := b.SignIn(t.Context(), b.session(key)); err != nil {
		t.Errorf("SignIn with that key afterwards = %v", err)
	}
}

// TestHalfAChange repeats a change of a role that has failed half-way.
func TestHalfAChange(t *testing.T) {
	t.Parallel()
	for name, index := range map[string]int{"by the old ID": 0, "by the new ID": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.ticks = true
			m, _, before := b.join("marketing", "Ann", store.RoleManager)
			b.fail("revoke")
			if _, err := b.SetRole(t.Context(), admin(), m.ID, store.RoleViewer); !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("SetRole = %v, want %v", err, store.ErrUnavailable)
			}
			b.before = nil
			members, err := b.Members(t.Context(), admin(), "marketing")
			must(t, err)
			_, err = b.SetRole(t.Context(), admin(), members[index].ID, store.RoleViewer)
			must(t, err)
			if got := b.roles("marketing"); !slices.Equal(got, []store.Role{store.RoleViewer}) || b.live(before) {
				t.Errorf("the roles after the repeated change are %v, want one viewer without the session before", got)
			}
		})
	}
}

// TestWithdrawnWhileAccepted withdraws invitations while they are accepted: a withdrawn one leaves no member.
func TestWithdrawnWhileAccepted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ticks = true
	for range 20 {
		b.now = b.now.Add(time.Second)
		invitation, token, err := b.Invite(t.Context(), admin(), access.NewInvitation{Name: "Ann", Role: store.RoleViewer, Workspace: "marketing"})
		must(t, err)
		var all sync.WaitGroup
		var accepted, withdrawn error
		all.Go(func() { _, _, accepted = b.Accept(context.Background(), token) })
		all.Go(func() {
			withdrawn = errOf(b.Remove(context.Background(), admin(), invitation.ID))
		})
		all.Wait()
		if (withdrawn == nil) == (accepted == nil) {
			t.Fatalf("Remove = %v and Accept = %v, want one success", withdrawn, accepted)
		}
		members, err := b.Members(t.Context(), admin(), "marketing")
		must(t, err)
		if want := accepted == nil; (len(members) == 1) != want || len(members) > 1 {
			t.Fatalf("Accept = %v, and the members are %+v", accepted, members)
		}
		for _, m := range members {
			_, err := b.Remove(t.Context(), admin(), m.ID)
			must(t, err)
		}
	}
}

// TestAttempt begins and resumes sign-ins at identity providers.
func TestAttempt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	begun, cookie := b.Attempt("corp", "/~/links?q=a\nb")
	resumed, err := b.Resume(cookie, "corp", begun.State)
	if err != nil || resumed.ReturnTo != "/~/links?q=a\nb" || resumed.Verifier != begun.Verifier || resumed.Nonce != begun.Nonce || len(begun.Verifier) < 43 {
		t.Errorf("Resume = %+v, %v, want %+v", resumed, err, begun)
	}
	if begun.State == begun.Nonce || begun.State == begun.Verifier || strings.Contains(cookie, begun.State) {
		t.Errorf("the values of %+v are not independent", begun)
	}
	other, _ := b.Attempt("corp", "")
	foreign, err := access.New(b.options("another secret"))
	must(t, err)
	forged, forgedCookie := foreign.Attempt("corp", "")
	for name, tt := range map[string]struct{ cookie, provider, state string }{
		"no cookie":            {"", "corp", begun.State},
		"noise":                {"noise", "corp", begun.State},
		"another state":        {cookie, "corp", other.State},
		"no state":             {cookie, "corp", ""},
		"another provider":     {cookie, "evil", begun.State},
		"another server":       {forgedCookie, "corp", forged.State},
		"another page":         {cookie[:len(cookie)-2] + "AA", "corp", begun.State},
		"a cookie that is cut": {cookie[:20], "corp", begun.State},
	} {
		if _, err := b.Resume(tt.cookie, tt.provider, tt.state); !errors.Is(err, access.ErrAttempt) {
			t.Errorf("Resume with %s = %v, want %v", name, err, access.ErrAttempt)
		}
	}
	b.now = b.now.Add(access.AttemptLife)
	if _, err := b.Resume(cookie, "corp", begun.State); !errors.Is(err, access.ErrAttempt) {
		t.Errorf("Resume after %v = %v, want %v", access.AttemptLife, err, access.ErrAttempt)
	}
}

// TestSignInPerson follows a person whose roles change at the provider.
func TestSignInPerson(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := access.Person{Issuer: "https://id.example", Subject: "1", Name: "Ann"}
	signIn := func(roles map[string]store.Role) (store.Key, error) {
		b.t.Helper()
		b.now = b.now.Add(time.Second)
		a, _ := b.Attempt("corp", "")
		p := ann
		p.Roles = roles
		token, err := b.SignInPerson(t.Context(), a, p)
		if err != nil {
			return store.Key{}, err
		}
		return b.session(token), nil
	}
	members := func(workspace string) int {
		all, err := b.Members(t.Context(), admin(), workspace)
		must(t, err)
		return len(all)
	}
	first, err := signIn(map[string]store.Role{"marketing": store.RoleEditor, "sales": store.RoleViewer})
	if err != nil || first.Owner() != "marketing" || !first.Can(store.ScopeLinksWrite) || members("sales") != 1 {
		t.Fatalf("the first sign-in = %+v, %v, want an editor of marketing and a viewer of sales", first, err)
	}
	second, err := signIn(map[string]store.Role{"marketing": store.RoleEditor, "sales": store.RoleViewer})
	if err != nil || second.Session.Key != first.Session.Key || !b.live(first) {
		t.Errorf("the second sign-in = %+v, %v, want the same member, and the first session alive", second, err)
	}
	ann.Name = "Ann Lee"
	renamed, err := signIn(map[string]store.Role{"marketing": store.RoleEditor, "sales": store.RoleViewer})
	if err != nil || renamed.Session.Key != first.Session.Key || renamed.Name != "Ann Lee" || !b.live(first) {
		t.Errorf("the sign-in with another name = %+v, %v, want the same member with the new name, and the first session alive", renamed, err)
	}
	if _, err := b.SetRole(t.Context(), admin(), first.Session.Key, store.RoleViewer); !errors.Is(err, access.ErrProvided) {
		t.Errorf("SetRole = %v, want %v", err, access.ErrProvided)
	}
	if other, _, _ := b.join("marketing", "Ann", store.RoleManager); other.ID == first.Session.Key {
		t.Error("an invited person with the same name is the same member")
	}
	changed, err := signIn(map[string]store.Role{"marketing": store.RoleViewer})
	if err != nil || changed.Can(store.ScopeLinksWrite) || b.live(first) || b.live(second) || members("sales") != 0 || members("marketing") != 2 {
		t.Errorf("the sign-in with another role = %+v, %v, want a viewer without the old sessions and without sales", changed, err)
	}
	if _, err := signIn(nil); !errors.Is(err, access.ErrNoRole) || b.live(changed) || members("marketing") != 1 {
		t.Errorf("the sign-in without a role = %v, want %v and no session", err, access.ErrNoRole)
	}
	back, err := signIn(map[string]store.Role{"marketing": store.RoleViewer})
	if err != nil || !b.live(back) {
		t.Errorf("the sign-in after the role came back = %+v, %v", back, err)
	}
	ann.Subject = "2"
	if other, err := signIn(map[string]store.Role{"marketing": store.RoleViewer}); err != nil || other.Session.Key == back.Session.Key {
		t.Errorf("another subject = %+v, %v, want another member", other, err)
	}
	a, _ := b.Attempt("corp", "")
	ann.Roles = map[string]store.Role{"marketing": store.RoleViewer}
	_, err = b.SignInPerson(t.Context(), a, ann)
	must(t, err)
	if _, err := b.SignInPerson(t.Context(), a, ann); !errors.Is(err, access.ErrAttempt) {
		t.Errorf("SignInPerson with a used attempt = %v, want %v", err, access.ErrAttempt)
	}
}

// TestConcurrentSignInsOfAPerson signs a person in several times at once: there is one member.
func TestConcurrentSignInsOfAPerson(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			a, _ := b.Attempt("corp", "")
			_, err := b.SignInPerson(context.Background(), a, access.Person{Issuer: "i", Subject: "1", Name: "Ann", Roles: map[string]store.Role{"marketing": store.RoleEditor}})
			if err != nil {
				t.Errorf("SignInPerson = %v", err)
			}
		})
	}
	all.Wait()
	if members, err := b.Members(t.Context(), admin(), "marketing"); err != nil || len(members) != 1 {
		t.Errorf("Members = %+v, %v, want one", members, err)
	}
}

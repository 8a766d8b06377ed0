package store_test

import (
	"slices"
	"testing"

	"github.com/terse/terse/store"
)

func TestRolesGrow(t *testing.T) {
	t.Parallel()
	var before store.Key
	for _, role := range store.Roles() {
		k := store.Key{Scopes: role.Scopes()}
		for _, scope := range store.Scopes() {
			if before.Can(scope) && !k.Can(scope) {
				t.Errorf("role %s lacks the scope %s of the role before it", role, scope)
			}
		}
		if got, want := slices.Contains(k.Scopes, store.ScopeAdmin), role == store.RoleAdmin; got != want {
			t.Errorf("role %s has the scope admin: %t, want %t", role, got, want)
		}
		if got, want := k.Can(store.ScopeWorkspaceWrite), role.Manages(); got != want {
			t.Errorf("role %s has the scope %s: %t, want %t", role, store.ScopeWorkspaceWrite, got, want)
		}
		before = k
	}
	if got := store.Role("owner").Scopes(); got != nil {
		t.Errorf("an unknown role has the scopes %v, want none", got)
	}
}

func TestKindsOfKeys(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		key            store.Key
		isAPI, signsIn bool
	}{
		"API key":    {store.Key{}, true, true},
		"share":      {store.Key{Share: &store.Share{}}, false, false},
		"session":    {store.Key{Session: &store.Session{}}, false, false},
		"member":     {store.Key{Member: &store.Member{Role: store.RoleViewer, Subject: "key_a"}}, false, true},
		"invitation": {store.Key{Member: &store.Member{Role: store.RoleViewer}}, false, false},
	} {
		if got := tt.key.IsAPIKey(); got != tt.isAPI {
			t.Errorf("IsAPIKey of %s = %t, want %t", name, got, tt.isAPI)
		}
		if got := tt.key.SignsIn(); got != tt.signsIn {
			t.Errorf("SignsIn of %s = %t, want %t", name, got, tt.signsIn)
		}
	}
}

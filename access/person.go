package access

import (
	"cmp"
	"slices"
	"strings"

	"github.com/terse/terse/store"
)

// Person is a person whom an identity provider or a trusted proxy has identified.
type Person struct {
	Issuer, Subject string // see store.Member
	Name            string
	Roles           map[string]store.Role // by workspace
}

// Grant gives a role to the people in a group.
type Grant struct {
	Group     string // name of a group or a role; AllPeople for everybody
	Workspace string
	Role      store.Role
}

// AllPeople is the group of everybody whom the provider or the proxy identifies.
const AllPeople = "*"

// RolesOf returns the widest role that grants give to a person in each workspace.
func RolesOf(grants []Grant, groups []string) map[string]store.Role {
	roles := map[string]store.Role{}
	for _, g := range grants {
		if g.Group != AllPeople && !slices.Contains(groups, g.Group) {
			continue
		}
		have := roles[g.Workspace]
		roles[g.Workspace] = slices.MaxFunc([]store.Role{have, g.Role}, func(a, b store.Role) int {
			return cmp.Compare(slices.Index(store.Roles(), a), slices.Index(store.Roles(), b))
		})
	}
	return roles
}

// NameOf returns the first of the names that a member can have.
func NameOf(names ...string) string {
	for _, name := range names {
		if strings.TrimSpace(name) != "" && store.CheckText("name", name, store.MaxKeyNameLen) == nil {
			return name
		}
	}
	return "a person"
}

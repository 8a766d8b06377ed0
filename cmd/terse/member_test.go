//go:build unix

package main

import (
	"regexp"
	"strings"
	"testing"
)

// TestMemberCommands invites a person, changes the role, and removes the person.
func TestMemberCommands(t *testing.T) {
	t.Parallel()
	p, environ := startWithKey(t, "admin")
	invited := terse(t, environ, "member", "invite", "Ann", "--role", "viewer", "--workspace", "marketing", "--expires", "3d")
	address := strings.TrimSpace(invited.ok(t))
	if !strings.HasPrefix(address, p.url+"/~/in/tk_") {
		t.Errorf("member invite printed %q, want only the address of the invitation", address)
	}
	list := func() string { return terse(t, environ, "member", "list", "--workspace", "marketing").ok(t) }
	row := regexp.MustCompile(`(key_\w+)\s+Ann\s+viewer\s+invited`).FindStringSubmatch(list())
	if row == nil {
		t.Fatalf("member list printed %q, want the invitation", list())
	}
	if out := terse(t, environ, "workspace", "list").ok(t); !regexp.MustCompile(`(?m)^marketing\s+0\s+1\s+0$`).MatchString(out) {
		t.Errorf("workspace list printed %q, want one invitation in marketing", out)
	}
	if r := terse(t, environ, "member", "edit", row[1], "--role", "editor"); r.status != 1 || !strings.Contains(r.stderr, "no such member") {
		t.Errorf("member edit of an invitation = %d %q, want a refusal", r.status, r.stderr)
	}
	terse(t, environ, "member", "remove", row[1]).ok(t)
	if out := list(); strings.Contains(out, row[1]) {
		t.Errorf("member list printed %q after the invitation was withdrawn", out)
	}
	if r := terse(t, environ, "member", "invite", "Ann", "--role", "owner"); r.status != 2 {
		t.Errorf("member invite with an unknown role = %d, want 2", r.status)
	}
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	terseclient "github.com/terse/terse/client"
)

type workspaceCommand struct {
	List workspaceList `cmd:"" help:"List your workspaces, or all with an admin key."`
}

type workspaceList struct {
	clientFlags
	JSON bool `name:"json" help:"Print each workspace as a line of JSON."`
}

// Run lists the workspaces.
func (c *workspaceList) Run(ctx context.Context, out output) error {
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	all, err := api.Workspaces(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(table, "WORKSPACE\tMEMBERS\tINVITATIONS\tKEYS")
	}
	for i := range all {
		w := &all[i]
		if c.JSON {
			err = errors.Join(err, printJSON(out.stdout, w))
			continue
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", w.ID, w.Members, w.Invitations, w.Keys)
	}
	return errors.Join(err, table.Flush())
}

type memberCommand struct {
	List   memberList   `cmd:"" help:"List the members of a workspace and its open invitations."`
	Invite memberInvite `cmd:"" help:"Invite a person and print the address to send."`
	Edit   memberEdit   `cmd:"" help:"Give a member another role. The member's sessions end."`
	Remove memberRemove `cmd:"" help:"Remove a member, or withdraw an invitation. The member's sessions end."`
}

type memberList struct {
	clientFlags
	Workspace string `placeholder:"ID" help:"The workspace. Needs an admin key for another one. Default: the workspace of the key."`
	JSON      bool   `name:"json" help:"Print each member as a line of JSON."`
}

// Run lists the members.
func (c *memberList) Run(ctx context.Context, out output) error {
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	all, err := api.Members(ctx, c.Workspace)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(table, "ID\tNAME\tROLE\tSTATE\tSINCE\tEXPIRES\tLAST USED\tPROVIDER")
	}
	for i := range all {
		m := &all[i]
		if c.JSON {
			err = errors.Join(err, printJSON(out.stdout, m))
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, oneLine(m.Name), m.Role, m.State, shownTime(m.CreatedAt), shownEnd(m.ExpiresAt), shownEnd(m.LastUsedAt), cmp.Or(m.Issuer, "-"))
	}
	return errors.Join(err, table.Flush())
}

// shownEnd returns a time that may be nil for never.
func shownEnd(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return shownTime(*t)
}

type memberInvite struct {
	clientFlags
	Name      string `arg:"" help:"Name of the person, for other members."`
	Role      string `default:"editor" enum:"viewer,editor,manager,admin" help:"viewer, editor, manager or admin. Default: editor."`
	Workspace string `placeholder:"ID" help:"The workspace. Needs an admin key for another one; a new name makes a new workspace. Default: the workspace of the key."`
	Expires   string `placeholder:"WHEN" help:"End of the invitation: a time from now such as 3d, or a date such as 2027-01-31. Default: 7d."`
}

// Help is shown below the command's purpose.
func (*memberInvite) Help() string {
	return `Only the address goes to stdout. It works once:

    terse member invite Ann --role editor --workspace marketing`
}

// Run invites a person.
func (c *memberInvite) Run(ctx context.Context, out output) error {
	in := terseclient.Invitation{Name: c.Name, Role: c.Role, Workspace: c.Workspace}
	ends, err := parseExpiry(c.Expires, time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return settingsError{err}
	}
	if !ends.IsZero() {
		in.ExpiresAt = &ends
	}
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	m, address, err := api.Invite(ctx, in)
	if err != nil {
		return err
	}
	fmt.Fprintf(out.stderr, "Invited %s (%s) as %s of %s, until %s. Send the address to the person: it works once and is not shown again.\n",
		m.ID, oneLine(m.Name), m.Role, m.Workspace, shownEnd(m.ExpiresAt))
	_, err = fmt.Fprintln(out.stdout, address)
	return err
}

type memberEdit struct {
	clientFlags
	ID   string `arg:"" help:"Id of the member, as terse member list shows it."`
	Role string `required:"" enum:"viewer,editor,manager,admin" help:"viewer, editor, manager or admin."`
}

// Run gives a member another role.
func (c *memberEdit) Run(ctx context.Context, out output) error {
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	m, err := api.SetRole(ctx, c.ID, c.Role)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.stdout, "%s is %s of %s, with the id %s.\n", oneLine(m.Name), m.Role, m.Workspace, m.ID)
	return err
}

type memberRemove struct {
	clientFlags
	ID string `arg:"" help:"Id of the member or the invitation, as terse member list shows it."`
}

// Run removes a member.
func (c *memberRemove) Run(ctx context.Context, out output) error {
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	if err := api.RemoveMember(ctx, c.ID); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.stdout, "Removed %s.\n", c.ID)
	return err
}

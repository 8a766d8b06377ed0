package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	terseclient "github.com/terse/terse/client"
	"github.com/terse/terse/store"
)

type domainCommand struct {
	Add    domainAdd    `cmd:"" help:"Add a domain and print the DNS records to set."`
	List   domainList   `cmd:"" help:"List your domains and the shared ones."`
	Show   domainShow   `cmd:"" help:"Show a domain and its DNS records."`
	Edit   domainEdit   `cmd:"" help:"Change a domain. No link changes."`
	Verify domainVerify `cmd:"" help:"Check the DNS records and the answers of a domain now."`
	Remove domainRemove `cmd:"" help:"Remove a domain. Only its owner can add it again, with its links."`
}

// domainArg is the argument of a command that works on one domain.
type domainArg struct {
	Host string `arg:"" help:"A host of the domain, such as go.example.com."`
}

// domainSettingFlags are the properties that add and edit share.
type domainSettingFlags struct {
	Alias          []string `sep:"none" placeholder:"HOST" help:"A further host of the domain. Repeat the flag for more."`
	Verified       bool     `help:"Do not verify the hosts, for names that the server cannot reach itself. Needs an admin key."`
	Shared         *bool    `negatable:"" help:"Let every API key create links on the domain."`
	Robots         *string  `placeholder:"POLICY" help:"What robots.txt of the domain allows: default or disallow."`
	RootURL        *string  `placeholder:"URL" help:"Where visits of the path / are redirected. An empty URL removes it."`
	RootStatus     *int     `placeholder:"CODE" help:"Status of that redirect: 301, 302, 307 or 308. Default: 302."`
	NotFoundURL    *string  `placeholder:"URL" help:"Where visits of unknown codes are redirected."`
	NotFoundStatus *int     `placeholder:"CODE" help:"Status of that redirect. Default: 302."`
	EndedURL       *string  `placeholder:"URL" help:"Where visits of ended links are redirected."`
	EndedStatus    *int     `placeholder:"CODE" help:"Status of that redirect. Default: 302."`

	AppleAppSiteAssociation *string `placeholder:"FILE" help:"File apple-app-site-association of the domain. - reads standard input, an empty name removes the file."`
	Assetlinks              *string `placeholder:"FILE" help:"File assetlinks.json of the domain. - reads standard input, an empty name removes the file."`

	JSON bool `name:"json" help:"Print the domain as JSON."`
}

// changes returns the properties for the API. Its error has every problem of the files.
func (f *domainSettingFlags) changes(stdin io.Reader) (terseclient.DomainChanges, error) {
	changes := terseclient.DomainChanges{
		Verified: f.Verified, Shared: f.Shared, Robots: f.Robots, RootURL: f.RootURL, RootStatus: f.RootStatus,
		NotFoundURL: f.NotFoundURL, NotFoundStatus: f.NotFoundStatus, EndedURL: f.EndedURL, EndedStatus: f.EndedStatus,
	}
	if f.Alias != nil {
		changes.Aliases = &f.Alias
	}
	var problems []error
	for _, file := range []struct {
		flag string
		path *string
		to   **string
	}{{"--apple-app-site-association", f.AppleAppSiteAssociation, &changes.Apple}, {"--assetlinks", f.Assetlinks, &changes.AssetLinks}} {
		if file.path == nil {
			continue
		}
		text, err := readSmallFile(file.flag, *file.path, stdin, store.MaxDomainFileLen)
		if err != nil {
			problems = append(problems, err)
		}
		*file.to = &text
	}
	if len(problems) > 0 {
		return changes, settingsError{errors.Join(problems...)}
	}
	return changes, nil
}

type domainAdd struct {
	clientFlags
	domainArg
	domainSettingFlags
}

// Help is shown below the command's purpose.
func (*domainAdd) Help() string {
	return `The domain becomes active by itself when the DNS records are there:

    terse domain add go.example.com
    terse domain add go.example.com --alias www.go.example.com --root-url https://example.com`
}

// Run adds a domain.
func (c *domainAdd) Run(ctx context.Context, out output) error {
	changes, err := c.changes(out.stdin)
	if err != nil {
		return err
	}
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	changes.Host = &c.Host
	d, err := api.AddDomain(ctx, changes)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(out.stdout, &d)
	case d.State == "active":
		_, err := fmt.Fprintf(out.stderr, "Added %s. It is active.\n", d.Host)
		return err
	}
	fmt.Fprintf(out.stderr, "Added %s. Set these DNS records. The domain then becomes active by itself, or at once by: terse domain verify %s\n", d.Host, d.Host)
	return printRecords(out.stdout, d.DNS)
}

// printRecords prints DNS records as a table.
func printRecords(w io.Writer, records []terseclient.DNSRecord) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TYPE\tNAME\tVALUE")
	alias := false
	for _, r := range records {
		fmt.Fprintf(table, "%s\t%s\t%s\n", r.Type, r.Name, r.Value)
		alias = alias || r.Type == "ALIAS"
	}
	if err := table.Flush(); err != nil || !alias {
		return err
	}
	_, err := fmt.Fprintln(w, "ALIAS: an ALIAS or ANAME record if your DNS provider has them, or else A and AAAA records with the addresses of the value.")
	return err
}

type domainList struct {
	clientFlags
	JSON bool `name:"json" help:"Print each domain as a line of JSON."`
}

// Run lists the domains.
func (c *domainList) Run(ctx context.Context, out output) error {
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	table := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(table, "HOST\tSTATE\tSHARED\tOWNER\tADDED\tALIASES")
	}
	for cursor := ""; ; {
		page, err := api.Domains(ctx, 0, cursor)
		if err != nil {
			return errors.Join(err, table.Flush())
		}
		for i := range page.Domains {
			d := &page.Domains[i]
			if c.JSON {
				if err := printJSON(out.stdout, d); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(table, "%s\t%s\t%t\t%s\t%s\t%s\n", d.Host, d.State, d.Shared, d.Owner, d.CreatedAt.Format(time.RFC3339), shownAliases(d))
		}
		if cursor = page.NextCursor; cursor == "" {
			return table.Flush()
		}
	}
}

// shownAliases returns the hosts of a domain besides the primary one.
func shownAliases(d *terseclient.Domain) string {
	var names []string
	for _, h := range d.Hosts {
		if h.Host != d.Host {
			names = append(names, h.Host)
		}
	}
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ",")
}

type domainShow struct {
	clientFlags
	domainArg
	JSON bool `name:"json" help:"Print the domain as JSON."`
}

// Run shows a domain.
func (c *domainShow) Run(ctx context.Context, out output) error {
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	d, err := api.Domain(ctx, c.Host)
	if err != nil {
		return err
	}
	return printDomain(out.stdout, &d, c.JSON)
}

// printDomain prints a domain as a table or as JSON.
func printDomain(w io.Writer, d *terseclient.Domain, asJSON bool) error {
	if asJSON {
		return printJSON(w, d)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(table, "%s\t%s\n", name, value) }
	redirect := func(name string, target *string, status *int) {
		if target != nil && status != nil {
			row(name, fmt.Sprintf("%s (%d)", *target, *status))
		}
	}
	row("host", d.Host)
	row("state", d.State)
	row("id", d.ID)
	row("owner", d.Owner)
	row("shared", fmt.Sprint(d.Shared))
	row("robots", d.Robots)
	redirect("root", d.RootURL, d.RootStatus)
	redirect("not found", d.NotFoundURL, d.NotFoundStatus)
	redirect("ended", d.EndedURL, d.EndedStatus)
	for _, file := range []struct {
		name string
		text *string
	}{{"apple-app-site-association", d.Apple}, {"assetlinks.json", d.AssetLinks}} {
		if file.text != nil {
			row(file.name, fmt.Sprintf("%d bytes, see --json", len(*file.text)))
		}
	}
	for _, h := range d.Hosts {
		verified := "not verified"
		if h.VerifiedAt != nil {
			verified = "verified " + h.VerifiedAt.Format(time.RFC3339)
		}
		row("has host", h.Host+", "+verified)
		if h.Certificate != nil {
			row("certificate", shownCertificate(h.Certificate))
		}
	}
	row("added", d.CreatedAt.Format(time.RFC3339))
	row("version", fmt.Sprint(d.Version))
	if err := table.Flush(); err != nil || len(d.DNS) == 0 {
		return err
	}
	fmt.Fprintln(w)
	return printRecords(w, d.DNS)
}

// shownCertificate describes a certificate in one line.
func shownCertificate(c *terseclient.Certificate) string {
	text := c.State
	if c.EndsAt != nil {
		text += fmt.Sprintf(" until %s, by %s", c.EndsAt.Format(time.RFC3339), oneLine(c.Issuer))
	}
	if c.Problem != "" {
		text += ": " + oneLine(c.Problem)
	}
	if c.RetryAt != nil {
		text += fmt.Sprintf(" (next attempt at %s)", c.RetryAt.Format(time.RFC3339))
	}
	return text
}

type domainEdit struct {
	clientFlags
	domainArg
	domainSettingFlags

	Primary   *string `placeholder:"HOST" help:"The new primary host, which is in short URLs. While the domain is active, the new host must be a verified alias. The previous host becomes an alias."`
	Off       *bool   `negatable:"" help:"Turn the domain off: its hosts answer 421."`
	IfVersion int64   `placeholder:"N" help:"Change only if the domain has this version. Default: any version."`
}

// Help is shown below the command's purpose.
func (*domainEdit) Help() string {
	return `Only the given properties change. --alias replaces all aliases; one empty alias removes them:

    terse domain edit go.example.com --alias new.example.com
    terse domain edit go.example.com --primary new.example.com`
}

// Run changes a domain.
func (c *domainEdit) Run(ctx context.Context, out output) error {
	if len(c.Alias) == 1 && c.Alias[0] == "" {
		c.Alias = []string{}
	}
	changes, err := c.changes(out.stdin)
	if err != nil {
		return err
	}
	changes.Host, changes.Off = c.Primary, c.Off
	if changes == (terseclient.DomainChanges{}) {
		return settingsError{errors.New("nothing to change: pass at least one of the flags of terse domain edit --help")}
	}
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	d, err := api.EditDomain(ctx, c.Host, changes, c.IfVersion)
	if err != nil {
		return err
	}
	return printDomain(out.stdout, &d, c.JSON)
}

type domainVerify struct {
	clientFlags
	domainArg
	JSON bool `name:"json" help:"Print the result as JSON."`
}

// Run verifies a domain. It is an error if a check fails.
func (c *domainVerify) Run(ctx context.Context, out output) error {
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	v, err := api.VerifyDomain(ctx, c.Host)
	if err != nil {
		return err
	}
	failed := 0
	for _, check := range v.Checks {
		if !check.OK {
			failed++
		}
	}
	if c.JSON {
		err = printJSON(out.stdout, &v)
	} else {
		err = printChecks(out.stdout, v.Checks)
	}
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d checks of %s failed. The domain is %s. The server tries again by itself", failed, len(v.Checks), v.Domain.Host, v.Domain.State)
	}
	return err
}

// printChecks prints checks with the expected and the found values.
func printChecks(w io.Writer, checks []terseclient.DomainCheck) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range checks {
		result := "ok"
		if !c.OK {
			result = "failed: " + c.Problem
		}
		fmt.Fprintf(table, "%s %s\t%s\n\texpected\t%s\n", c.Type, c.Name, result, c.Expected)
		for _, found := range c.Found {
			fmt.Fprintf(table, "\tfound\t%s\n", oneLine(found))
		}
	}
	return table.Flush()
}

type domainRemove struct {
	clientFlags
	domainArg
	Force     bool  `help:"Remove the domain although it has links. They no longer redirect."`
	IfVersion int64 `placeholder:"N" help:"Remove only if the domain has this version. Default: any version."`
}

// Run removes a domain.
func (c *domainRemove) Run(ctx context.Context, out output) error {
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	if err := api.RemoveDomain(ctx, c.Host, c.IfVersion, c.Force); err != nil {
		return err
	}
	fmt.Fprintf(out.stderr, "Removed %s. Only its owner can add it again, with its links: terse domain add %s\n", c.Host, c.Host)
	return nil
}

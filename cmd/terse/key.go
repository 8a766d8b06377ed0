package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/domains"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache/remote"
	"github.com/terse/terse/store/keyring"
)

type keyCommand struct {
	Create keyCreate `cmd:"" help:"Create a key and print its token. The token is not shown again."`
	List   keyList   `cmd:"" help:"List the keys, oldest first."`
	Revoke keyRevoke `cmd:"" help:"Revoke a key."`
}

type keyCreate struct {
	dataFlags
	initFlag
	Name          string   `required:"" help:"Who or what uses the key. Only shown to people."`
	Scope         []string `default:"links:read,links:write,stats:read" help:"Permissions: links:read, links:write, stats:read, domains:read, domains:write, workspace:write, admin. Default: links:read,links:write,stats:read."`
	Workspace     string   `placeholder:"ID" help:"Workspace that owns the links of the key: a name of your choice, such as marketing, or the id of another key. All keys of a workspace see its links. Default: a workspace of its own."`
	Domain        []string `sep:"none" placeholder:"HOST" help:"A domain on which the key may create links; default is the default domain of the server. Repeat the flag for more domains. Default: all domains that the key may use."`
	Limit         string   `placeholder:"N/TIME" help:"Creates by this key, such as 600/1m, or off. Default: the limit of the server for all keys."`
	DefaultDomain string   `placeholder:"HOST" help:"The domain of links that are created without a domain. Default: the first --domain, else the default domain of the server."`
	Expires       string   `placeholder:"WHEN" help:"End of the key: a time from now such as 30d, or a date such as 2027-01-31. Default: never."`
}

// Help is shown below the command's purpose.
func (*keyCreate) Help() string {
	return `Only the token goes to stdout, so you can store it in a variable:

    KEY=$(terse key create --name laptop)
    curl -H "Authorization: Bearer $KEY" http://localhost:8080/api/v1/links`
}

// Run creates the key. Only the token goes to stdout, for use in a pipe.
func (c *keyCreate) Run(ctx context.Context, out output) error {
	key, err := c.key(time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return settingsError{err}
	}
	if err := c.requireOrInit(ctx, &c.dataFlags); err != nil {
		return err
	}
	token, hash := store.NewToken()
	key.Hash, key.Prefix = hash, store.TokenPrefix(token)
	return withDatabase(ctx, &c.dataFlags, out, func(d administered) error {
		if err := c.bind(ctx, d, &key); err != nil {
			return err
		}
		if err := d.CreateKey(ctx, key); err != nil {
			return fmt.Errorf("create key: %w", err)
		}
		fmt.Fprintf(out.stderr, "Created %s (%s). Save the token: it is not shown again.\n", key.ID, key.Name)
		_, err := fmt.Fprintln(out.stdout, token)
		return err
	})
}

// defaultDomain names the default domain of the server in flags.
const defaultDomain = "default"

// bind sets the domains of a key. Its error has every unknown domain.
func (c *keyCreate) bind(ctx context.Context, d store.Domains, key *store.Key) error {
	registry := domains.NewRegistry(d, time.Now)
	var problems []error
	id := func(flag, host string) string {
		if host == defaultDomain || host == "" {
			return ""
		}
		found, err := registry.Get(ctx, host)
		switch {
		case errors.Is(err, store.ErrNotFound):
			problems = append(problems, settingsError{fmt.Errorf("--%s: there is no domain %q", flag, host)})
		case err != nil:
			problems = append(problems, err)
		}
		return found.ID
	}
	for _, host := range c.Domain {
		key.Domains = append(key.Domains, id("domain", host))
	}
	if key.DefaultDomain = id("default-domain", c.DefaultDomain); c.DefaultDomain == "" && len(c.Domain) > 0 {
		key.DefaultDomain = key.Domains[0]
	}
	if problems == nil && len(key.Domains) > 0 && !slices.Contains(key.Domains, key.DefaultDomain) {
		problems = append(problems, settingsError{errors.New("--default-domain: must be one of the domains of --domain")})
	}
	return errors.Join(problems...)
}

// key returns the key that the flags describe, without a token. Its error has every problem
// of the flags.
func (c *keyCreate) key(now time.Time) (store.Key, error) {
	var problems []error
	key := store.Key{ID: store.NewKeyID(), Name: c.Name, Workspace: c.Workspace, CreatedAt: now}
	if err := store.CheckText("--name", c.Name, store.MaxKeyNameLen); err != nil {
		problems = append(problems, err)
	}
	if strings.TrimSpace(c.Name) == "" {
		problems = append(problems, errors.New("--name: must not be empty"))
	}
	if c.Workspace != "" {
		if err := store.CheckWorkspace("--workspace", c.Workspace); err != nil {
			problems = append(problems, err)
		}
	}
	if slices.Contains(c.Scope, string(store.ScopeWorkspaceWrite)) && (len(c.Domain) > 0 || c.Limit != "") {
		problems = append(problems, errors.New("--scope: workspace:write creates keys without these bounds, so it cannot be combined with --domain and --limit"))
	}
	if len(c.Scope) == 0 {
		problems = append(problems, fmt.Errorf("--scope: must name at least one of %v", store.Scopes()))
	}
	for _, s := range c.Scope {
		if !slices.Contains(store.Scopes(), store.Scope(s)) {
			problems = append(problems, fmt.Errorf("--scope: %q must be one of %v", s, store.Scopes()))
		}
		key.Scopes = append(key.Scopes, store.Scope(s))
	}
	if slices.Contains(c.Domain, "") {
		problems = append(problems, errors.New("--domain: must not be empty"))
	}
	if c.Limit != "" {
		limit, err := ratelimit.ParseLimit(c.Limit)
		if err != nil {
			problems = append(problems, fmt.Errorf("--limit: %w", err))
		}
		key.CreateLimit = limit.String()
	}
	var err error
	if key.ExpiresAt, err = parseExpiry(c.Expires, now); err != nil {
		problems = append(problems, err)
	}
	return key, errors.Join(problems...)
}

type keyList struct{ dataFlags }

// Run lists the keys as a table.
func (c *keyList) Run(ctx context.Context, out output) error {
	if err := c.requireDatabase(ctx); err != nil {
		return err
	}
	return withDatabase(ctx, &c.dataFlags, out, func(d administered) error {
		all, err := d.ListKeys(ctx)
		if err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		w := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tWORKSPACE\tTOKEN\tSCOPES\tLIMIT\tDOMAINS\tCREATED\tEXPIRES\tLAST USED\tREVOKED")
		for _, k := range all {
			if k.Session != nil && !k.Usable(time.Now()) {
				continue // ended sessions are many, and are deleted some days later
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Owner(), shownPrefix(k.Prefix), shownScopes(&k),
				cmp.Or(k.CreateLimit, "default"), shownDomains(ctx, d, k.Domains), shownTime(k.CreatedAt), shownTime(k.ExpiresAt), shownTime(k.LastUsedAt), shownTime(k.RevokedAt))
		}
		return w.Flush()
	})
}

// shownDomains returns the hosts of domains. It returns the ID of a domain that cannot be read.
func shownDomains(ctx context.Context, d store.Domains, ids []string) string {
	hosts := make([]string, len(ids))
	for i, id := range ids {
		if hosts[i] = cmp.Or(id, defaultDomain); id == "" {
			continue
		}
		if found, err := d.Domain(ctx, id); err == nil {
			hosts[i] = found.Host
		}
	}
	return cmp.Or(strings.Join(hosts, ","), "all")
}

type keyRevoke struct {
	dataFlags
	RedisURL string `name:"redis-url" placeholder:"URL" help:"Redis that the servers share, so that they reject the key at once. Default: none." setting:"" secret:""`
	ID       string `arg:"" help:"Id of the key, as terse key list shows it."`
}

// Help is shown below the command's purpose.
func (*keyRevoke) Help() string {
	return fmt.Sprintf(`Servers reject the key within %v, or at once with TERSE_REDIS_URL.`, keyring.MaxTTL)
}

// Run revokes the key.
func (c *keyRevoke) Run(ctx context.Context, out output) error {
	if err := errors.Join(variableErrors("REDIS_URL", remote.CheckURL(c.RedisURL))...); err != nil {
		return settingsError{err}
	}
	if err := c.requireDatabase(ctx); err != nil {
		return err
	}
	return withKeys(ctx, &c.dataFlags, out, func(keys store.Keys) error {
		key, err := keys.RevokeKey(ctx, c.ID, time.Now().UTC().Truncate(time.Microsecond))
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no key %q. List the keys with: terse key list", c.ID)
		}
		if err != nil {
			return fmt.Errorf("revoke key: %w", err)
		}
		if _, err = fmt.Fprintf(out.stdout, "Revoked %s (%s).\n", key.ID, key.Name); err != nil || c.RedisURL == "" {
			return err
		}
		if err := announceRevocation(ctx, c.RedisURL, key); err != nil {
			fmt.Fprintf(out.stderr, "terse: could not notify the servers; they reject the key within %v: %v\n", keyring.MaxTTL, err)
		}
		return nil
	})
}

// announceRevocation notifies all servers that share the Redis at url.
func announceRevocation(ctx context.Context, url string, key store.Key) error {
	redis, err := remote.New(remote.Options{URL: url, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return errors.Join(redis.AnnounceRevocation(ctx, key), redis.Close())
}

// shownScopes returns the scopes of a key, the statistics that it opens, the role of a member, or who signed
// in.
func shownScopes(k *store.Key) string {
	if k.Session != nil {
		return "session of " + k.Session.Key
	}
	if k.Member != nil && k.Member.Invites() {
		return "invitation as " + string(k.Member.Role)
	}
	if k.Member != nil {
		return "member as " + string(k.Member.Role)
	}
	if k.Passkey != nil {
		return "passkey of " + k.Passkey.Subject
	}
	if k.Share != nil {
		return "statistics of " + strings.TrimSpace(sharedNames[k.Share.Kind]+" "+k.Share.Key)
	}
	names := make([]string, len(k.Scopes))
	for i, s := range k.Scopes {
		names[i] = string(s)
	}
	return strings.Join(names, ",")
}

// sharedNames are names of the kinds of store.Share. The key of a day of clicks follows.
var sharedNames = map[store.ClickKind]string{
	store.ClickLink: "link", store.ClickOwner: "key", store.ClickTag: "tag", store.ClickDomain: "domain", store.ClickAll: "all links",
}

// shownPrefix formats the prefix of a token. Old keys were stored without a prefix.
func shownPrefix(prefix string) string {
	if prefix == "" {
		return "unknown"
	}
	return prefix + "…"
}

func shownTime(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format(time.RFC3339)
}

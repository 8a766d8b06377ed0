package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/terse/terse/access"
	"github.com/terse/terse/access/oidc"
	"github.com/terse/terse/api"
	"github.com/terse/terse/store"
)

// providerFlags are the settings of identity providers.
type providerFlags struct {
	OIDC      string `name:"oidc" placeholder:"PROVIDERS" help:"Identity providers for the console, separated by semicolons or newlines. Each is NAME ISSUER CLIENT_ID CLIENT_SECRET. Default: none." setting:"" secret:""`
	OIDCRoles string `name:"oidc-roles" placeholder:"ROLES" help:"Roles of the groups of these providers, such as corp/Sales=marketing:editor, separated by commas. Default: none." setting:""`
}

// read returns the providers. They have no RedirectURL yet.
func (f *providerFlags) read(try func(name string, err error)) []oidc.Options {
	providers, err := parseProviders(f.OIDC)
	try("OIDC", err)
	try("OIDC_ROLES", addGrants(providers, f.OIDCRoles))
	return providers
}

// maxProviders bounds the number of identity providers, because the page to sign in shows all.
const maxProviders = 8

// parseProviders parses identity providers separated by semicolons or newlines. Errors never contain a client
// secret.
func parseProviders(text string) ([]oidc.Options, error) {
	var providers []oidc.Options
	var problems []error
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		fields := strings.Fields(part)
		if len(fields) == 0 {
			continue
		}
		problem := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("provider %d: %w", len(providers)+1, fmt.Errorf(format, args...)))
		}
		switch {
		case len(fields) != 4:
			problem("must be NAME ISSUER CLIENT_ID CLIENT_SECRET")
			fields = append(fields, "", "", "")
		case !shardName.MatchString(fields[0]):
			problem("must begin with a name of up to 32 characters: a-z, 0-9 and -")
		case slices.ContainsFunc(providers, func(o oidc.Options) bool { return o.Name == fields[0] }):
			problem("another provider is named %s too", fields[0])
		case slices.ContainsFunc(providers, func(o oidc.Options) bool { return o.Issuer == fields[1] }):
			problem("another provider has the same issuer")
		default:
			if err := checkIssuer(fields[1]); err != nil {
				problem("%s: %w", fields[0], err)
			}
			if isSample(fields[3]) {
				problem("%s: the client secret: %w", fields[0], errSample)
			}
		}
		providers = append(providers, oidc.Options{Name: fields[0], Issuer: fields[1], ClientID: fields[2], ClientSecret: fields[3]})
	}
	if len(providers) == 0 && strings.TrimSpace(text) != "" {
		problems = append(problems, errors.New("names no provider"))
	}
	if len(providers) > maxProviders {
		problems = append(problems, fmt.Errorf("names %d providers; the limit is %d", len(providers), maxProviders))
	}
	return providers, errors.Join(problems...)
}

// checkIssuer rejects text that is not the URL of an issuer. Only an issuer on this machine may use http.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the issuer must be a URL such as https://login.example.com, without a query")
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if local := u.Hostname() == "localhost" || err == nil && ip.IsLoopback(); u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return errors.New("the issuer must begin with https://")
	}
	return nil
}

// addGrants adds the roles of groups to the providers. Unlike in other lists, a group may contain spaces.
func addGrants(providers []oidc.Options, text string) error {
	var problems []error
	for entry := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' }) {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		name, rest, hasGroup := strings.Cut(entry, "/")
		end := strings.LastIndexByte(rest, '=')
		if !hasGroup || end < 1 {
			problems = append(problems, fmt.Errorf("%q must be PROVIDER/GROUP=WORKSPACE:ROLE", entry))
			continue
		}
		group := rest[:end]
		workspace, role, _ := strings.Cut(rest[end+1:], ":")
		i := slices.IndexFunc(providers, func(o oidc.Options) bool { return o.Name == name })
		if i < 0 {
			problems = append(problems, fmt.Errorf("%q: there is no provider %q in %sOIDC", entry, name, envPrefix))
		}
		if err := store.CheckWorkspace("the workspace", workspace); err != nil {
			problems = append(problems, fmt.Errorf("%q: %w", entry, err))
		}
		if !slices.Contains(store.Roles(), store.Role(role)) {
			problems = append(problems, fmt.Errorf("%q: the role must be one of %v", entry, store.Roles()))
		}
		if i >= 0 {
			providers[i].Grants = append(providers[i].Grants, access.Grant{Group: group, Workspace: workspace, Role: store.Role(role)})
		}
	}
	return errors.Join(problems...)
}

// providers returns the identity providers. They need the base URL: people come back to it.
func (p *process) providers() ([]api.Provider, error) {
	var all []api.Provider
	for _, opts := range p.settings.providers {
		opts.RedirectURL = strings.TrimSuffix(p.settings.baseURL, "/") + api.ProviderBackPath(opts.Name)
		one, err := oidc.New(opts)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

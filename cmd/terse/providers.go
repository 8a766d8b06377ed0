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

	ProxySignIn      string `placeholder:"HEADER [HEADER]" help:"Header in which a trusted proxy names the person who signs in to the console, and optionally the header with the groups, such as Remote-User Remote-Groups. Default: none." setting:""`
	ProxySignInRoles string `placeholder:"ROLES" help:"Roles of these groups, such as Sales=marketing:editor, separated by commas. Default: none." setting:""`
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

// addGrants adds the roles of groups to the providers.
func addGrants(providers []oidc.Options, text string) error {
	var problems []error
	for _, entry := range grantEntries(text) {
		name, rest, hasGroup := strings.Cut(entry, "/")
		if !hasGroup || strings.LastIndexByte(rest, '=') < 1 {
			problems = append(problems, fmt.Errorf("%q must be PROVIDER/GROUP=WORKSPACE:ROLE", entry))
			continue
		}
		i := slices.IndexFunc(providers, func(o oidc.Options) bool { return o.Name == name })
		if i < 0 {
			problems = append(problems, fmt.Errorf("%q: there is no provider %q in %sOIDC", entry, name, envPrefix))
		}
		grant, err := parseGrant(rest)
		if err != nil {
			problems = append(problems, fmt.Errorf("%q: %w", entry, err))
		}
		if i >= 0 {
			providers[i].Grants = append(providers[i].Grants, grant)
		}
	}
	return errors.Join(problems...)
}

// grantEntries splits a list of roles. Unlike in other lists, a group may contain spaces.
func grantEntries(text string) (entries []string) {
	for entry := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' }) {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}

// parseGrant parses GROUP=WORKSPACE:ROLE.
func parseGrant(text string) (access.Grant, error) {
	end := strings.LastIndexByte(text, '=')
	if end < 1 {
		return access.Grant{}, errors.New("must be GROUP=WORKSPACE:ROLE")
	}
	workspace, role, _ := strings.Cut(text[end+1:], ":")
	grant := access.Grant{Group: text[:end], Workspace: workspace, Role: store.Role(role)}
	var problems []error
	if err := store.CheckWorkspace("the workspace", workspace); err != nil {
		problems = append(problems, err)
	}
	if !slices.Contains(store.Roles(), grant.Role) {
		problems = append(problems, fmt.Errorf("the role must be one of %v", store.Roles()))
	}
	return grant, errors.Join(problems...)
}

// readProxy returns how trusted proxies sign people in. trusted is whether there are such proxies.
func (f *providerFlags) readProxy(trusted bool, try func(name string, err error)) api.ProxySignIn {
	var s api.ProxySignIn
	headers := strings.Fields(f.ProxySignIn)
	for i, to := range []*string{&s.User, &s.Groups} {
		if i < len(headers) {
			name, err := api.ParseHeaderName(headers[i])
			*to = name
			try("PROXY_SIGN_IN", err)
		}
	}
	switch {
	case len(headers) > 2:
		try("PROXY_SIGN_IN", errors.New("must be one header, or two: for the person and for the groups"))
	case s.User != "" && s.User == s.Groups:
		try("PROXY_SIGN_IN", errors.New("must name two different headers"))
	case s.User != "" && !trusted:
		try("PROXY_SIGN_IN", fmt.Errorf("requires %sTRUSTED_PROXIES: everybody else could send the header", envPrefix))
	}
	entries := grantEntries(f.ProxySignInRoles)
	if s.User == "" && len(entries) > 0 {
		try("PROXY_SIGN_IN_ROLES", fmt.Errorf("requires %sPROXY_SIGN_IN", envPrefix))
	}
	for _, entry := range entries {
		grant, err := parseGrant(entry)
		if err != nil {
			err = fmt.Errorf("%q: %w", entry, err)
		}
		try("PROXY_SIGN_IN_ROLES", err)
		if s.User != "" && s.Groups == "" && grant.Group != access.AllPeople {
			try("PROXY_SIGN_IN_ROLES", fmt.Errorf("%q: a group other than * requires a second header in %sPROXY_SIGN_IN", entry, envPrefix))
		}
		s.Grants = append(s.Grants, grant)
	}
	return s
}

// providers returns the identity providers. They need the address of the console: people come back to it.
func (p *process) providers() ([]api.Provider, error) {
	var all []api.Provider
	for _, opts := range p.settings.providers {
		opts.RedirectURL = strings.TrimSuffix(p.settings.consoleURL(), "/") + api.ProviderBackPath(opts.Name)
		one, err := oidc.New(opts)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

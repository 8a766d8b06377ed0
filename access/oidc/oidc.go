// Package oidc signs people in at an identity provider by OpenID Connect: with discovery, PKCE (RFC 7636),
// state and nonce. It finds the roles of a person by the groups that the provider names. It knows neither
// sessions nor cookies.
package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/terse/terse/access"
)

// requestTimeout bounds each request to a provider.
const requestTimeout = 3 * time.Second

// Options configure New.
type Options struct {
	Name         string         // Required. The name of the provider in paths and on the page.
	Issuer       string         // Required. The URL of the provider.
	ClientID     string         // Required.
	ClientSecret string         // Required.
	RedirectURL  string         // Required. Where the provider sends people back.
	Grants       []access.Grant // roles of groups; the widest of a workspace applies; default none

	Client *http.Client // for requests to the provider; default: a client of its own
}

func (o *Options) validate() error {
	var problems []error
	for _, field := range []struct{ name, value string }{
		{"Name", o.Name}, {"Issuer", o.Issuer}, {"ClientID", o.ClientID}, {"ClientSecret", o.ClientSecret}, {"RedirectURL", o.RedirectURL},
	} {
		if field.value == "" {
			problems = append(problems, errors.New("oidc: Options."+field.name+" is required"))
		}
	}
	return errors.Join(problems...)
}

// Provider is an identity provider. Make one with New. Safe for concurrent use.
type Provider struct {
	opts   Options
	flight singleflight.Group
	found  atomic.Pointer[endpoints] // nil until discovery has succeeded
}

// endpoints is what discovery finds.
type endpoints struct {
	provider   *oidc.Provider
	oauth      oauth2.Config
	keys       *oidc.RemoteKeySet
	algorithms []string // of signatures
}

// New returns a Provider. It sends no request: a provider that is unreachable does not stop the server.
func New(opts Options) (*Provider, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if opts.Client == nil {
		opts.Client = &http.Client{Timeout: requestTimeout}
	}
	return &Provider{opts: opts}, nil
}

// Name returns the name of the provider.
func (p *Provider) Name() string { return p.opts.Name }

// discover returns the endpoints of the provider. It reads them once, for all callers that wait; after a
// failure the next call tries again.
func (p *Provider) discover(ctx context.Context) (*endpoints, error) {
	if found := p.found.Load(); found != nil {
		return found, nil
	}
	done := p.flight.DoChan("", func() (any, error) {
		// The library keeps the context for later requests of the keys. The timeout of the client bounds them.
		found, err := p.read(oidc.ClientContext(context.WithoutCancel(ctx), p.opts.Client))
		if err == nil {
			p.found.Store(found)
		}
		return found, err
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, fmt.Errorf("%w: %w", access.ErrProvider, r.Err)
		}
		return r.Val.(*endpoints), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", access.ErrProvider, ctx.Err())
	}
}

// read reads the endpoints from the provider.
func (p *Provider) read(ctx context.Context) (*endpoints, error) {
	provider, err := oidc.NewProvider(ctx, p.opts.Issuer)
	if err != nil {
		return nil, err
	}
	var offers struct {
		Scopes     []string `json:"scopes_supported"`
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&offers); err != nil {
		return nil, err
	}
	scopes := []string{oidc.ScopeOpenID, "profile", "email"}
	if slices.Contains(offers.Scopes, "groups") {
		scopes = append(scopes, "groups")
	}
	e := &endpoints{provider: provider, keys: oidc.NewRemoteKeySet(ctx, offers.Keys), oauth: oauth2.Config{
		ClientID: p.opts.ClientID, ClientSecret: p.opts.ClientSecret, RedirectURL: p.opts.RedirectURL, Endpoint: provider.Endpoint(), Scopes: scopes,
	}}
	for _, algorithm := range offers.Algorithms {
		if slices.Contains(publicKeyAlgorithms, algorithm) {
			e.algorithms = append(e.algorithms, algorithm)
		}
	}
	return e, nil
}

// publicKeyAlgorithms are the algorithms of signatures that a client with the client secret cannot make.
var publicKeyAlgorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// verify checks an ID token. It returns access.ErrAnswer, and access.ErrProvider if the keys of the provider cannot be
// read.
func (p *Provider) verify(ctx context.Context, e *endpoints, raw string) (*oidc.IDToken, error) {
	keys := &watchedKeys{keys: e.keys}
	id, err := oidc.NewVerifier(p.opts.Issuer, keys, &oidc.Config{ClientID: p.opts.ClientID, SupportedSigningAlgs: e.algorithms}).Verify(ctx, raw)
	switch {
	case keys.unreadable:
		return nil, fmt.Errorf("%w: %w", access.ErrProvider, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", access.ErrAnswer, err)
	}
	return id, nil
}

// watchedKeys are the keys of a provider. They record whether the keys could not be read: the verifier returns the same
// kind of error for that and for a wrong signature. One call uses them.
type watchedKeys struct {
	keys       *oidc.RemoteKeySet
	unreadable bool
}

// VerifySignature implements oidc.KeySet.
func (k *watchedKeys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.keys.VerifySignature(ctx, token)
	k.unreadable = errors.Unwrap(err) != nil // the error for a wrong signature wraps nothing
	return payload, err
}

// URL returns the address at the provider where the person signs in. It returns access.ErrProvider.
func (p *Provider) URL(ctx context.Context, a access.Attempt) (string, error) {
	e, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	return e.oauth.AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), nil
}

// claims are the claims about a person. Providers call groups differently.
type claims struct {
	Nonce             string            `json:"nonce"`
	AuthorizedParty   string            `json:"azp"`
	Name              string            `json:"name"`
	PreferredUsername string            `json:"preferred_username"`
	Email             string            `json:"email"`
	Groups            names             `json:"groups"`
	Roles             names             `json:"roles"`
	Elsewhere         map[string]string `json:"_claim_names"` // OpenID Connect Core 1.0, section 5.6.2
}

// names is a list of texts, or one text.
type names []string

// UnmarshalJSON implements json.Unmarshaler.
func (n *names) UnmarshalJSON(b []byte) error {
	var one string
	if err := json.Unmarshal(b, &one); err == nil {
		*n = names{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(n))
}

// Person returns the person whom the provider identifies by a code, with the roles that the groups of the person
// give. issuer is the parameter iss of the answer (RFC 9207), which may be empty. It returns
// access.ErrProvider, access.ErrAnswer and access.ErrTooManyGroups.
func (p *Provider) Person(ctx context.Context, a access.Attempt, code, issuer string) (access.Person, error) {
	e, err := p.discover(ctx)
	if err != nil {
		return access.Person{}, err
	}
	if issuer != "" && issuer != p.opts.Issuer {
		return access.Person{}, fmt.Errorf("%w: it comes from another issuer", access.ErrAnswer)
	}
	ctx = oidc.ClientContext(ctx, p.opts.Client)
	token, err := e.oauth.Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	if refused, is := errors.AsType[*oauth2.RetrieveError](err); is && !failed(refused.Response.StatusCode) {
		return access.Person{}, fmt.Errorf("%w: %w", access.ErrAnswer, err)
	}
	if err != nil {
		return access.Person{}, fmt.Errorf("%w: %w", access.ErrProvider, err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := p.verify(ctx, e, raw)
	if err != nil {
		return access.Person{}, err
	}
	var c claims
	if err := id.Claims(&c); err != nil {
		return access.Person{}, fmt.Errorf("%w: %w", access.ErrAnswer, err)
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(c.Nonce), []byte(a.Nonce)) != 1:
		err = errors.New("the nonce is of another sign-in")
	case len(id.Audience) > 1 && c.AuthorizedParty == "", c.AuthorizedParty != "" && c.AuthorizedParty != p.opts.ClientID:
		err = errors.New("the token is for another client")
	case id.Subject == "":
		err = errors.New("the token has no subject")
	case c.Groups == nil && c.Roles == nil && c.Elsewhere["groups"] == "" && e.provider.UserInfoEndpoint() != "":
		err = p.userInfo(ctx, e, token, id.Subject, &c)
	}
	if errors.Is(err, access.ErrProvider) {
		return access.Person{}, err
	}
	if err != nil {
		return access.Person{}, fmt.Errorf("%w: %w", access.ErrAnswer, err)
	}
	if c.Roles == nil && c.Groups == nil && c.Elsewhere["groups"] != "" {
		return access.Person{}, access.ErrTooManyGroups
	}
	// Not id.Issuer: Google writes its issuer with and without https://.
	return access.Person{
		Issuer: p.opts.Issuer, Subject: id.Subject,
		Name:  access.NameOf(c.Name, c.PreferredUsername, c.Email, id.Subject),
		Roles: access.RolesOf(p.opts.Grants, append(c.Groups, c.Roles...)),
	}, nil
}

// failed reports whether a status of the token endpoint is a failure of the provider, and no answer about the code.
func failed(status int) bool {
	return status >= http.StatusInternalServerError || status == http.StatusTooManyRequests
}

// userInfo adds the claims of the UserInfo endpoint. It returns access.ErrProvider if the endpoint does not answer, or
// rejects the access token that the provider has just given.
func (p *Provider) userInfo(ctx context.Context, e *endpoints, token *oauth2.Token, subject string, c *claims) error {
	info, err := e.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return fmt.Errorf("%w: %w", access.ErrProvider, err)
	}
	if info.Subject != subject {
		return errors.New("the UserInfo endpoint describes another person")
	}
	return info.Claims(c)
}

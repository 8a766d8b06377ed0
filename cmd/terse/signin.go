package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/terse/terse/access"
	"github.com/terse/terse/api"
	"github.com/terse/terse/idgen"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
)

type signInCommand struct {
	dataFlags
	BaseURL string `placeholder:"URL" help:"Start of every short URL, as for the server. Default: http://localhost:8080." setting:""`
	AppURL  string `name:"app-url" placeholder:"URL" help:"The console on a host of its own, as for the server. Default: the console is below --base-url." setting:""`
	CodeKey string `placeholder:"KEY" help:"Secret key for the codes, as for the server. Required with shards. Default: the key in the embedded database." setting:"" secret:""`
}

// linkLife is access.LinkLife for people.
var linkLife = fmt.Sprintf("%.0f minutes", access.LinkLife.Minutes())

// Help is shown below the command's purpose.
func (*signInCommand) Help() string {
	return fmt.Sprintf(`Open the link in a browser within %s. It works once, and signs in with all rights: send it to nobody.`, linkLife)
}

// Run prints the link. Only the link goes to stdout.
func (c *signInCommand) Run(ctx context.Context, out output) error {
	key, err := parseCodeKey(c.CodeKey)
	problems := variableErrors("CODE_KEY", err)
	base := cmp.Or(c.BaseURL, "http://localhost"+defaultListen)
	if _, err := api.ParseBaseURL(base); err != nil {
		problems = append(problems, variableErrors("BASE_URL", err)...)
	}
	problems = append(problems, variableErrors("APP_URL", checkAppURL(c.AppURL, c.BaseURL, httpsSettings{}))...)
	if err := errors.Join(problems...); err != nil {
		return settingsError{err}
	}
	if c.Shards == "" {
		key, err = c.storedKey(ctx, key)
	} else if key == nil {
		err = settingsError{fmt.Errorf("%sCODE_KEY: is required with %sSHARDS", envPrefix, envPrefix)}
	}
	if err != nil {
		return err
	}
	service, err := access.New(access.Options{Keys: noKeys{}, Secret: key})
	if err != nil {
		return err
	}
	fmt.Fprintf(out.stderr, "Open this link in a browser within %s. It signs in once as an administrator.\n", linkLife)
	_, err = fmt.Fprintln(out.stdout, cmp.Or(c.AppURL, base)+api.OneTimePath(service.OneTimeLink()))
	return err
}

// noKeys are the keys of a service that only makes links.
type noKeys struct{ store.Keys }

// errNotServed is the error for a database without a code key.
var errNotServed = errors.New("no server has used this database yet. Start the server first: it prints a link")

// storedKey returns the code key of the embedded database. given is nil, or must be the same key.
func (c *signInCommand) storedKey(ctx context.Context, given []byte) (key []byte, err error) {
	if err := c.requireDatabase(ctx); err != nil {
		return nil, err
	}
	d, err := sqlite.Open(ctx, sqlite.Options{Dir: c.DataDir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	key, err = idgen.StoredKey(ctx, storedSecrets{d}, given)
	if errors.Is(err, idgen.ErrOtherKey) {
		err = settingsError{fmt.Errorf("%sCODE_KEY: %w. Use the key of the server, or remove this setting", envPrefix, err)}
	}
	return key, err
}

// storedSecrets are the secrets that exist. A command must not make secrets for the server.
type storedSecrets struct{ idgen.Secrets }

// Secret implements idgen.Secrets.
func (s storedSecrets) Secret(ctx context.Context, name string, _ func() ([]byte, error)) ([]byte, error) {
	return s.Secrets.Secret(ctx, name, func() ([]byte, error) { return nil, errNotServed })
}

// access returns the use cases on keys and sessions.
func (p *process) access(s *stores) (*access.Service, error) {
	return access.New(access.Options{Keys: s.keyring, Secret: s.codeKey, Revoked: p.revoked, Now: s.linkTime})
}

// firstSignIn returns a line with a one-time link while the embedded database has no API key and no
// session. It returns an empty text otherwise, and with shards: the log of a cluster has many readers.
func (p *process) firstSignIn(ctx context.Context, s *stores) (string, error) {
	if s.router != nil {
		return "", nil
	}
	keys, err := s.keys.ListKeys(ctx)
	if err != nil || len(keys) > 0 {
		return "", err
	}
	service, err := p.access(s)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Sign in once as an administrator, within %s: %s\n", linkLife, p.settings.consoleURL()+api.OneTimePath(service.OneTimeLink())), nil
}

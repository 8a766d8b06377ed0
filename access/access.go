// Package access has the use cases on API keys, members of workspaces and sessions: sign in, sign out,
// create, list and revoke keys, invite people and change their roles. It knows neither HTTP nor a
// database.
//
// A session is a store.Key of its own. It ends when the API key or the member that signed in ends, when it
// is revoked, after store.SessionIdle without use, and after store.SessionLife.
package access

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/terse/terse/store"
)

// Caller is the sender of a request. A links.Caller is one.
type Caller interface {
	// Require returns an error if the caller lacks the scope, else nil.
	Require(scope store.Scope) error

	// Author returns the id of the caller's API key or member, also for a session.
	Author() string

	// Owner returns the workspace of the caller.
	Owner() string
}

// Options configure New.
type Options struct {
	Keys store.Keys // Required.

	// Secret authenticates one-time links. All processes over one database need the same one.
	// Required.
	Secret []byte

	// Revoked informs other processes that a key was revoked. Default: they read it from Keys.
	Revoked func(ctx context.Context, k store.Key)

	Now func() time.Time // the time of the database; default time.Now
}

func (o *Options) validate() error {
	var problems []error
	if o.Keys == nil {
		problems = append(problems, errors.New("access: Options.Keys is required"))
	}
	if len(o.Secret) == 0 {
		problems = append(problems, errors.New("access: Options.Secret is required"))
	}
	return errors.Join(problems...)
}

// Service does the use cases. Make one with New. Safe for concurrent use.
type Service struct {
	opts     Options
	links    []byte // key of the signatures of one-time links
	sessions []byte // key of the tokens of sessions that began with a one-time link
	attempts []byte // key of the cookies of sign-ins at identity providers
	members  []byte // key of the sign-in keys of members who accept an invitation
}

// New returns a Service. The error names every missing option.
func New(opts Options) (*Service, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Revoked == nil {
		opts.Revoked = func(context.Context, store.Key) {}
	}
	s := &Service{opts: opts}
	var errs [4]error
	s.links, errs[0] = hkdf.Key(sha256.New, opts.Secret, nil, "terse one-time links", sha256.Size)
	s.sessions, errs[1] = hkdf.Key(sha256.New, opts.Secret, nil, "terse sessions of one-time links", sha256.Size)
	s.members, errs[2] = hkdf.Key(sha256.New, opts.Secret, nil, "terse sign-in keys of members", sha256.Size)
	s.attempts, errs[3] = hkdf.Key(sha256.New, opts.Secret, nil, "terse sign-ins at identity providers", sha256.Size)
	if err := cmp.Or(errs[:]...); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	return s, nil
}

// now returns the time of the database in the precision of stores.
func (s *Service) now() time.Time { return s.opts.Now().UTC().Truncate(time.Microsecond) }

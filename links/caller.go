package links

import (
	"context"
	"errors"

	"github.com/terse/terse/store"
)

// Caller is the sender of a request: an API key, a client without a key, or a component of
// the server.
type Caller struct {
	Key *store.Key // nil: no API key

	// Client distinguishes callers without a key, for example by their network address. It
	// must contain no NUL. An idempotency key identifies a link of one Client only.
	Client string

	Quota Quota // limits the work that the caller may cause; nil: no limit

	system string // name of a component of the server; empty for other callers
}

// System returns the caller for a component of the server, such as store.AuthorBlocklist. This
// caller may do everything.
func System(name string) *Caller { return &Caller{system: name} }

// Quota limits the costly work of one caller.
type Quota interface {
	// TakePassword counts one password that is about to be hashed. It returns an error if
	// the caller's limit is reached. The use case then returns ErrLimited and this error.
	TakePassword(ctx context.Context) error
}

// Owner returns the Owner of links that the caller creates; "" without a key.
func (c *Caller) Owner() string {
	if c.Key == nil {
		return ""
	}
	return c.Key.Owner()
}

// Author returns the author of the caller's writes, see store.Author; "" without a key.
func (c *Caller) Author() string {
	switch {
	case c.system != "":
		return c.system
	case c.Key == nil:
		return ""
	}
	return c.Key.Author()
}

// Sees reports whether the caller may know that the link exists.
func (c *Caller) Sees(l *store.Link) bool {
	return c.system != "" || c.Key != nil && (c.Key.Can(store.ScopeAdmin) || l.Owner == c.Key.Owner())
}

// The errors of rejected requests.
var (
	// ErrNoKey is the error for a caller without a key.
	ErrNoKey = errors.New("an API key is required")

	// ErrLimited wraps the error of a Quota.
	ErrLimited = errors.New("a limit of the caller is reached")

	// ErrOtherRequest is the error for an idempotency key of another request.
	ErrOtherRequest = errors.New("the idempotency key was used with another request")
)

// ScopeError is the error for a caller with a key that lacks a scope.
type ScopeError struct{ Scope store.Scope }

func (e *ScopeError) Error() string { return "the API key lacks the scope " + string(e.Scope) }

// Require returns ErrNoKey or a *ScopeError if the caller lacks the scope, else nil.
func (c *Caller) Require(scope store.Scope) error {
	switch {
	case c.system != "":
		return nil
	case c.Key == nil:
		return ErrNoKey
	case !c.Key.Can(scope):
		return &ScopeError{scope}
	}
	return nil
}

// Action is a group of use cases that require the same scope.
type Action uint8

// The actions, each with its methods of Service.
const (
	Creating   Action = iota // Create
	Reading                  // Get, List, ListTags, ReadHistory
	Editing                  // Edit, RollBack, Delete, MayReset
	Moderating               // Disable, Enable, DisableTarget
	Archiving                // Export, Import
	Counting                 // MayCount, Stored
)

// scopes are the scopes that the actions require. Keys with store.ScopeAdmin have all scopes
// and see the links of all owners.
var scopes = [...]store.Scope{
	Creating:   store.ScopeLinksWrite, // callers without a key need none, if Options.AnonymousCreate
	Reading:    store.ScopeLinksRead,
	Editing:    store.ScopeLinksWrite,
	Moderating: store.ScopeAdmin,
	Archiving:  store.ScopeAdmin,
	Counting:   store.ScopeStatsRead,
}

// May returns ErrNoKey or a *ScopeError if the caller must not do the action, else nil. Each
// method of Service checks it. Call it only to reject a request before its body is decoded.
func (s *Service) May(who *Caller, do Action) error {
	if do == Creating && who.Key == nil && s.opts.AnonymousCreate {
		return nil
	}
	return who.Require(scopes[do])
}

// Package abuse has the use cases against abuse: admins block hosts and handle reports, and
// visitors report links. It checks what a caller may do, see Service.May. Package links has
// the takedown of links.
//
// It depends neither on HTTP nor on a database. Its subpackages do the work in the background:
// they keep the blocked hosts in memory, scan existing links and count open reports.
package abuse

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/terse/terse/store"
)

// Caller is the sender of a request. A links.Caller is one.
type Caller interface {
	// Require returns an error if the caller lacks the scope, else nil.
	Require(scope store.Scope) error

	// Author returns the id of the caller's API key; "" without a key.
	Author() string
}

// Options configure New.
type Options struct {
	Blocklist store.Blocklist // Required.
	Reports   store.Reports   // Required.

	// Secret keys the digests of clients in reports. All processes over one database need
	// the same one. Required.
	Secret []byte

	Now func() time.Time // the time of the database; default time.Now
}

func (o *Options) validate() error {
	var problems []error
	required := func(name string, missing bool) {
		if missing {
			problems = append(problems, errors.New("abuse: Options."+name+" is required"))
		}
	}
	required("Blocklist", o.Blocklist == nil)
	required("Reports", o.Reports == nil)
	required("Secret", len(o.Secret) == 0)
	return errors.Join(problems...)
}

// Service does the use cases. Make one with New. Safe for concurrent use.
//
// Every method for admins first checks that the caller may call it, see May. For invalid input
// a method returns a store.InvalidError or a *store.FieldError. Other errors come from
// Caller.Require and from the stores.
type Service struct {
	opts   Options
	secret []byte // keys the digests of clients
}

// New returns a Service. The error names every missing option.
func New(opts Options) (*Service, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Service{opts: opts, secret: digest(opts.Secret, "clients of reports")}, nil
}

// May returns the error of Caller.Require if the caller is no admin, else nil. Call it only to
// reject a request before its body is decoded.
func (s *Service) May(who Caller) error { return who.Require(store.ScopeAdmin) }

// now returns the time with the precision of stores.
func (s *Service) now() time.Time { return s.opts.Now().UTC().Truncate(time.Microsecond) }

// clientDigest returns the digest of a client for store.Report. It does not reveal the client
// to a reader of the database, who could try all addresses without the secret.
func (s *Service) clientDigest(client string) string {
	if client == "" {
		return ""
	}
	return hex.EncodeToString(digest(s.secret, client)[:16])
}

func digest(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

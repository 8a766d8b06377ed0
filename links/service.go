// Package links has the use cases on links: create, read, edit, delete, disable, enable,
// roll back, export and import. It also decides whose statistics a caller may read and share, and
// makes the keys of shared pages. It checks what a caller may do, see Service.May.
//
// It depends neither on HTTP nor on a database: package api translates requests to its types,
// and implementations of store.Store store the links. Package api resolves codes for visitors
// without this package.
package links

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

	"github.com/terse/terse/store"
)

// Minter mints new codes for links.
type Minter interface {
	// NextKey returns a key that consists of prefix and a new code. It returns an error when
	// it cannot mint now, for example because the lease of the node id was lost.
	NextKey(prefix string) (string, error)

	// NextKeyNear is NextKey, but prefers a key on the shard of the given bucket. After some
	// attempts it returns a key of any shard.
	NextKeyNear(prefix string, bucket int) (string, error)
}

// Clock is the time of the database. Links start and expire by it.
type Clock interface {
	// LinkTime returns the time. known is false while the database has not reported its
	// time: now is then the time of this node.
	LinkTime() (now time.Time, known bool)
}

// Options configure New.
type Options struct {
	Store   store.Store   // Required.
	Archive store.Archive // Required. Exports and imports the links of Store.
	History store.History // Required. The history of the links of Store.
	Tags    store.Tags    // Required. The tags of the links of Store.
	Minter  Minter        // Required.
	Keys    Keys          // Required. Stores the keys of shared statistics.
	BaseURL string        // Required. The start of short URLs of the default domain, without a final slash.
	Domains Domains       // Default: only the default domain.

	Rules           store.RulesOptions // which targets and aliases are allowed
	Countries       bool               // whether the server knows the countries of visits, so that rules may have conditions on them
	AnonymousCreate bool               // whether callers without a key may create links
	AnonymousLife   time.Duration      // the longest and default time until a link without an owner expires; 0: no bound
	PasswordCost    int                // work factor of bcrypt; default bcrypt.DefaultCost, about 50 ms of a core
	Clock           Clock              // Default: the clock of this node.

	Registerer prometheus.Registerer // Required.
}

func (o *Options) validate() error {
	var problems []error
	required := func(name string, missing bool) {
		if missing {
			problems = append(problems, fmt.Errorf("links: Options.%s is required", name))
		}
	}
	required("Store", o.Store == nil)
	required("Archive", o.Archive == nil)
	required("History", o.History == nil)
	required("Tags", o.Tags == nil)
	required("Minter", o.Minter == nil)
	required("Keys", o.Keys == nil)
	if _, err := hostOf(o.BaseURL); err != nil {
		problems = append(problems, fmt.Errorf("links: Options.BaseURL: %w", err))
	}
	required("Registerer", o.Registerer == nil)
	if o.AnonymousLife < 0 {
		problems = append(problems, errors.New("links: Options.AnonymousLife must not be negative"))
	}
	if o.PasswordCost != 0 && (o.PasswordCost < bcrypt.MinCost || o.PasswordCost > maxHashCost) {
		problems = append(problems, fmt.Errorf("links: Options.PasswordCost must be %d to %d", bcrypt.MinCost, maxHashCost))
	}
	return errors.Join(problems...)
}

func (o *Options) withDefaults() {
	o.PasswordCost = cmp.Or(o.PasswordCost, bcrypt.DefaultCost)
	if o.Clock == nil {
		o.Clock = NodeClock{}
	}
	if o.Domains == nil {
		o.Domains = noDomains{}
	}
}

// Service does the use cases. Make one with New. Safe for concurrent use.
//
// Every method first checks that the caller may call it, see May. For links of other owners it
// returns store.ErrNotFound, as if they did not exist. For invalid input it returns a
// store.InvalidError or a *store.FieldError. The other errors are defined in this package and
// in package store.
type Service struct {
	opts       Options
	host       string // of the default domain
	rules      *store.Rules
	collisions prometheus.Counter
	hashing    hashing
	hashers    atomic.Int64 // new passwords that are being hashed or wait for it
}

// New returns a Service. The error names every missing or invalid option.
func New(opts Options) (*Service, error) {
	rules, err := store.NewRules(opts.Rules)
	if err != nil {
		err = fmt.Errorf("links: Options.Rules: %w", err)
	}
	if err := errors.Join(opts.validate(), err); err != nil {
		return nil, err
	}
	opts.withDefaults()
	s := &Service{opts: opts, rules: rules, hashing: newHashing()}
	s.host, _ = hostOf(opts.BaseURL)
	s.collisions = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "terse_code_collisions_total",
		Help: "Minted codes that were already in use, so that another code was minted.",
	})
	if err := opts.Registerer.Register(s.collisions); err != nil {
		return nil, fmt.Errorf("links: register metrics: %w", err)
	}
	return s, nil
}

// hostOf returns the canonical host of a base URL.
func hostOf(baseURL string) (string, error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		return "", err
	}
	return store.CanonicalHost(u.Host)
}

// ErrTimeUnknown rejects a use case that depends on the database's time while that time is
// unknown.
var ErrTimeUnknown = fmt.Errorf("%w: the time of the database is unknown", store.ErrUnavailable)

// now returns the database's time, or the time of this node while that is unknown.
func (s *Service) now() time.Time {
	now, _ := s.opts.Clock.LinkTime()
	return micros(now)
}

// micros returns t in UTC, truncated to microseconds, which is the precision of stores.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// NodeClock is a Clock with the time of this node.
type NodeClock struct{}

// LinkTime implements Clock.
func (NodeClock) LinkTime() (time.Time, bool) { return time.Now(), true }

// authored returns ctx for a write by the caller. The history records the caller and the
// note.
func authored(ctx context.Context, who *Caller, note string) context.Context {
	return store.WithAuthor(ctx, store.Author{ID: who.Author(), Note: note})
}

package shard_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

// member is a shard with an embedded store. It owns buckets and returns store.ErrMoved for
// others. A test can make it fail.
type member struct {
	*sqlite.Store

	mu       sync.RWMutex // read-locked by calls that depend on owned
	owned    map[int]int64
	version  int64
	fault    error         // the error of every call, or nil
	clicks   error         // the error of the next AddClicks, or nil
	revokes  error         // the error of the next RevokeKey, or nil
	hold     chan struct{} // if set, Buckets and List wait for it
	readings int           // number of calls of Buckets
}

func newMember(tb testing.TB) *member {
	tb.Helper()
	s := sqlitetest.Open(tb)
	return &member{Store: s, owned: map[int]int64{}, version: 1}
}

// fail makes every call return err. nil ends that.
func (m *member) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = err
}

// failClicks makes the next AddClicks return err.
func (m *member) failClicks(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clicks = err
}

// failRevoke makes the next RevokeKey return err.
func (m *member) failRevoke(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revokes = err
}

// hang makes Buckets and List wait until the returned function is called.
func (m *member) hang() (release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	hold := make(chan struct{})
	m.hold = hold
	return sync.OnceFunc(func() { close(hold) })
}

func (m *member) lose(bucket int) (epoch int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	epoch = m.owned[bucket]
	delete(m.owned, bucket)
	m.version++
	return epoch
}

func (m *member) gain(bucket int, epoch int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owned[bucket] = epoch
	m.version++
}

func (m *member) read() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.readings
}

func (m *member) Buckets(ctx context.Context) ([]store.Bucket, int64, error) {
	m.mu.Lock()
	m.readings++
	m.mu.Unlock()
	if err := m.wait(ctx); err != nil {
		return nil, 0, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.fault != nil {
		return nil, 0, m.fault
	}
	var buckets []store.Bucket
	for number, epoch := range maps.All(m.owned) {
		buckets = append(buckets, store.Bucket{Number: number, Epoch: epoch})
	}
	return buckets, m.version, nil
}

// wait waits while the member hangs.
func (m *member) wait(ctx context.Context) error {
	m.mu.RLock()
	hold := m.hold
	m.mu.RUnlock()
	if hold == nil {
		return nil
	}
	select {
	case <-hold:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fenced calls fn if the member owns the buckets of all keys.
func fenced[T any](m *member, fn func() (T, error), keys ...string) (T, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var none T
	if m.fault != nil {
		return none, m.fault
	}
	for _, key := range keys {
		if m.owned[store.BucketOf(key)] == 0 {
			return none, fmt.Errorf("bucket %d: %w", store.BucketOf(key), store.ErrMoved)
		}
	}
	return fn()
}

func (m *member) Create(ctx context.Context, l store.Link) (store.Link, error) {
	return fenced(m, func() (store.Link, error) { return m.Store.Create(ctx, l) }, l.Code)
}

func (m *member) Resolve(ctx context.Context, code string) (store.Link, error) {
	return fenced(m, func() (store.Link, error) { return m.Store.Resolve(ctx, code) }, code)
}

func (m *member) Get(ctx context.Context, code string) (store.Link, error) {
	return fenced(m, func() (store.Link, error) { return m.Store.Get(ctx, code) }, code)
}

func (m *member) Confirm(ctx context.Context, code string) (store.Link, error) {
	return fenced(m, func() (store.Link, error) { return m.Store.Confirm(ctx, code) }, code)
}

func (m *member) Update(ctx context.Context, l store.Link) (store.Link, error) {
	return fenced(m, func() (store.Link, error) { return m.Store.Update(ctx, l) }, l.Code)
}

func (m *member) Delete(ctx context.Context, code string, version int64, at time.Time) (store.Link, error) {
	return fenced(m, func() (store.Link, error) { return m.Store.Delete(ctx, code, version, at) }, code)
}

func (m *member) Consume(ctx context.Context, code string, now time.Time) (store.Link, error) {
	return fenced(m, func() (store.Link, error) { return m.Store.Consume(ctx, code, now) }, code)
}

func (m *member) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := m.wait(ctx); err != nil {
		return store.Page{}, err
	}
	return fenced(m, func() (store.Page, error) { return m.Store.List(ctx, q) })
}

// Export exports in the order that Shard requires.
func (m *member) Export(ctx context.Context, after string, limit int) ([]store.Link, error) {
	if err := m.wait(ctx); err != nil {
		return nil, err
	}
	return fenced(m, func() ([]store.Link, error) {
		var links []store.Link
		for last := ""; ; last = links[len(links)-1].Code {
			page, err := m.Store.Export(ctx, last, store.MaxPageLen)
			if err != nil {
				return nil, err
			}
			links = append(links, page...)
			if len(page) < store.MaxPageLen {
				break
			}
		}
		order := func(a, b string) int {
			return cmp.Or(cmp.Compare(store.BucketOf(a), store.BucketOf(b)), strings.Compare(a, b))
		}
		slices.SortFunc(links, func(a, b store.Link) int { return order(a.Code, b.Code) })
		links = slices.DeleteFunc(links, func(l store.Link) bool { return after != "" && order(l.Code, after) <= 0 })
		return links[:min(limit, len(links))], nil
	})
}

func (m *member) Import(ctx context.Context, l store.Link) (store.Link, error) {
	return fenced(m, func() (store.Link, error) { return m.Store.Import(ctx, l) }, l.Code)
}

func (m *member) Reserve(ctx context.Context, r store.Reservation) (store.Reservation, error) {
	return fenced(m, func() (store.Reservation, error) { return m.Store.Reserve(ctx, r) }, r.Owner+"\x00"+r.Key)
}

func (m *member) CreateOnce(ctx context.Context, l store.Link, r store.Reservation) (store.Link, store.Reservation, error) {
	var stands store.Reservation
	made, err := fenced(m, func() (made store.Link, err error) {
		made, stands, err = m.Store.CreateOnce(ctx, l, r)
		return made, err
	}, l.Code, r.Owner+"\x00"+r.Key)
	return made, stands, err
}

func (m *member) Restore(ctx context.Context, l store.Link) (store.Link, error) {
	return fenced(m, func() (store.Link, error) { return m.Store.Restore(ctx, l) }, l.Code)
}

func (m *member) CreateKey(ctx context.Context, k store.Key) error {
	_, err := fenced(m, func() (struct{}, error) { return struct{}{}, m.Store.CreateKey(ctx, k) }, string(k.Hash[:]))
	return err
}

func (m *member) KeyByHash(ctx context.Context, hash [sha256.Size]byte) (store.Key, error) {
	return fenced(m, func() (store.Key, error) { return m.Store.KeyByHash(ctx, hash) }, string(hash[:]))
}

func (m *member) ListKeys(ctx context.Context) ([]store.Key, error) {
	return fenced(m, func() ([]store.Key, error) { return m.Store.ListKeys(ctx) })
}

func (m *member) RevokeKey(ctx context.Context, id string, at time.Time) (store.Key, error) {
	m.mu.Lock()
	fault := m.revokes
	m.revokes = nil
	m.mu.Unlock()
	if fault != nil {
		return store.Key{}, fault
	}
	return fenced(m, func() (store.Key, error) { return m.Store.RevokeKey(ctx, id, at) })
}

func (m *member) UseKeys(ctx context.Context, uses []store.KeyUse) error {
	_, err := fenced(m, func() (struct{}, error) { return struct{}{}, m.Store.UseKeys(ctx, uses) })
	return err
}

func (m *member) AddClicks(ctx context.Context, b store.ClickBatch) error {
	var codes []string
	for _, c := range b.Counts {
		codes = append(codes, c.Code)
	}
	for _, d := range b.Days {
		if d.Kind == store.ClickLink {
			codes = append(codes, d.Key)
		}
	}
	m.mu.Lock()
	fault := m.clicks
	m.clicks = nil
	m.mu.Unlock()
	if fault != nil {
		return fault
	}
	_, err := fenced(m, func() (struct{}, error) { return struct{}{}, m.Store.AddClicks(ctx, b) }, codes...)
	return err
}

func (m *member) ListClickDays(ctx context.Context, kind store.ClickKind, keys []string, from, to int32) ([]store.ClickDay, error) {
	var codes []string
	if kind == store.ClickLink {
		codes = keys
	}
	return fenced(m, func() ([]store.ClickDay, error) { return m.Store.ListClickDays(ctx, kind, keys, from, to) }, codes...)
}

func (m *member) ResetClicks(ctx context.Context, key string) error {
	_, err := fenced(m, func() (struct{}, error) { return struct{}{}, m.Store.ResetClicks(ctx, key) }, key)
	return err
}

func (m *member) ClickSalt(ctx context.Context, day int32) ([]byte, error) {
	return fenced(m, func() ([]byte, error) { return m.Store.ClickSalt(ctx, day) })
}

func (m *member) PutCertificateFile(ctx context.Context, f store.CertificateFile) error {
	_, err := fenced(m, func() (struct{}, error) { return struct{}{}, m.Store.PutCertificateFile(ctx, f) })
	return err
}

func (m *member) CertificateFile(ctx context.Context, key string) (store.CertificateFile, error) {
	return fenced(m, func() (store.CertificateFile, error) { return m.Store.CertificateFile(ctx, key) })
}

func (m *member) CertificateFiles(ctx context.Context, prefix, after string, limit int) ([]store.CertificateFile, error) {
	return fenced(m, func() ([]store.CertificateFile, error) {
		return m.Store.CertificateFiles(ctx, prefix, after, limit)
	})
}

func (m *member) LockCertificate(ctx context.Context, name, holder string, ttl time.Duration) (bool, error) {
	return fenced(m, func() (bool, error) { return m.Store.LockCertificate(ctx, name, holder, ttl) })
}

func (m *member) RenewCertificateLock(ctx context.Context, name, holder string, ttl time.Duration) (bool, error) {
	return fenced(m, func() (bool, error) { return m.Store.RenewCertificateLock(ctx, name, holder, ttl) })
}

func (m *member) UnlockCertificate(ctx context.Context, name, holder string) error {
	_, err := fenced(m, func() (struct{}, error) { return struct{}{}, m.Store.UnlockCertificate(ctx, name, holder) })
	return err
}

package certificates

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
)

const (
	lockTTL   = 30 * time.Second // a crash delays the work of other nodes by at most this time
	lockRenew = lockTTL / 3
	lockPoll  = 500 * time.Millisecond // between two attempts to take a lock
)

// errLockLost reports that another node may have taken a lock of this one.
var errLockLost = errors.New("the lock ended before the work on the certificate was finished")

// lease is a lock that this process has, or had when its work began.
type lease struct {
	holder string    // random, so that no other process and no later lease has the same
	until  time.Time // by the clock of this process; the store's lease ends later
	stop   context.CancelFunc
}

// Lock implements certmagic.Storage. It waits until the lock is free or ctx ends. The lock is a
// lease that this process renews until Unlock, so that it ends soon after a crash.
func (s *storage) Lock(ctx context.Context, name string) error {
	l := &lease{holder: rand.Text()}
	for {
		began := time.Now()
		held, err := s.under.LockCertificate(ctx, name, l.holder, lockTTL)
		if err != nil {
			return err
		}
		if held {
			l.until = began.Add(lockTTL)
			break
		}
		wait := time.NewTimer(lockPoll)
		select {
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		case <-wait.C:
		}
	}
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	s.mu.Lock()
	s.leases[name] = l
	s.mu.Unlock()
	s.renew.Go(func() { s.keep(renewing, name, l) })
	return nil
}

// keep renews a lease until it is stopped or lost.
func (s *storage) keep(ctx context.Context, name string, l *lease) {
	tick := time.NewTicker(lockRenew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		held, err := s.under.RenewCertificateLock(ctx, name, l.holder, lockTTL)
		s.mu.Lock()
		switch {
		case err != nil: // the lease stays valid until its end
		case held:
			l.until = began.Add(lockTTL)
		default:
			l.until = time.Time{}
		}
		s.mu.Unlock()
		if err == nil && !held {
			return
		}
	}
}

// Unlock implements certmagic.Storage.
func (s *storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	l := s.leases[name]
	delete(s.leases, name)
	s.mu.Unlock()
	if l == nil {
		return fmt.Errorf("lock %s is not held", name)
	}
	l.stop()
	return s.under.UnlockCertificate(ctx, name, l.holder)
}

// RenewLockLease implements certmagic.LockLeaseRenewer. The lease is renewed anyway; a longer
// one would outlive a crash.
func (s *storage) RenewLockLease(_ context.Context, name string, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.leases[name]; l == nil || !time.Now().Before(l.until) {
		return errLockLost
	}
	return nil
}

// fenced returns errLockLost if this process works on the certificate of key under a lock that
// may belong to another node by now.
func (s *storage) fenced(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, l := range s.leases {
		host, ok := strings.CutPrefix(name, "issue_cert_")
		if ok && strings.HasPrefix(key, "certificates/") && strings.Contains(key, "/"+certmagic.StorageKeys.Safe(host)+"/") && !time.Now().Before(l.until) {
			return fmt.Errorf("%s: %w", key, errLockLost)
		}
	}
	return nil
}

// close stops the renewal of locks. The locks end by themselves.
func (s *storage) close() {
	s.mu.Lock()
	for _, l := range s.leases {
		l.stop()
	}
	s.mu.Unlock()
	s.renew.Wait()
}

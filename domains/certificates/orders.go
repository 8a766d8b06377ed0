package certificates

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/terse/terse/store"
)

const (
	orderTimeout  = 5 * time.Minute  // for one order, the wait for the lock included
	loadTimeout   = time.Minute      // for reading one certificate
	manageEvery   = 15 * time.Second // between two searches for managed hosts without a certificate
	handshakeWait = time.Minute      // for a handshake without a certificate yet
)

// errNotAllowed is the error for a host that may not have a certificate.
var errNotAllowed = errors.New("the host may not have a certificate")

// Manage obtains certificates for hosts in the background, before a client asks for them. It
// returns at once. A host that is no longer allowed is forgotten. hosts are canonical.
func (m *Manager) Manage(hosts ...string) {
	m.mu.Lock()
	for _, host := range hosts {
		if _, known := m.managed[host]; !known {
			m.managed[host] = m.opts.Now()
		}
	}
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// keepManaged obtains missing certificates of managed hosts until Close. The cache renews
// certificates that it has.
func (m *Manager) keepManaged() {
	tick := time.NewTicker(manageEvery)
	defer tick.Stop()
	for {
		for _, host := range m.missing() {
			m.background.Go(func() {
				_ = m.wait(m.ctx, host) // obtain logs the error
				m.mu.Lock()
				delete(m.trying, host)
				m.mu.Unlock()
			})
		}
		select {
		case <-m.ctx.Done():
			return
		case <-m.wake:
		case <-tick.C:
		}
	}
}

// missing returns the managed hosts without a certificate in memory that may be tried now, and marks
// them as being tried.
func (m *Manager) missing() (hosts []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.opts.Now()
	for host := range m.managed {
		if !m.opts.Hosts.Allowed(host) {
			delete(m.managed, host)
			continue
		}
		if !m.loaded[host] && !m.trying[host] && !now.Before(m.failed[host].Next) {
			m.trying[host] = true
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// wait returns once a certificate of host is in the cache, or ctx ends. Concurrent calls share
// the work, which continues when their contexts end.
func (m *Manager) wait(ctx context.Context, host string) error {
	done := m.loading.DoChan(host, func() (any, error) {
		if !m.begin() {
			return nil, context.Canceled
		}
		defer m.background.Done()
		return nil, m.obtain(m.ctx, host)
	})
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin reports whether the Manager is open, and then counts one more piece of work in the
// background. The caller must call background.Done.
func (m *Manager) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return false
	}
	m.background.Add(1)
	return true
}

// obtain loads the certificate of host into the cache, and orders a missing one.
func (m *Manager) obtain(ctx context.Context, host string) error {
	began := m.opts.Now()
	err := m.loadOrOrder(ctx, host)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.trying, host) // before callers of wait return, so that Status shows the result
	if err == nil {
		m.loaded[host] = true
		return nil
	}
	if f := m.failed[host]; ctx.Err() == nil && f.At.Before(began) && !began.Before(f.Next) {
		m.opts.Logger.WarnContext(ctx, "certificate could not be loaded", "host", host, "err", err)
	}
	return err
}

func (m *Manager) loadOrOrder(ctx context.Context, host string) error {
	cert, err := m.load(ctx, host)
	switch {
	case err == nil && !cert.Expired():
		if cert.NeedsRenewal(m.config) { // while the node was down
			m.background.Go(func() { m.renew(host) })
		}
		return nil
	case err == nil:
		err = m.order(ctx, host, func(ctx context.Context) error { return m.config.RenewCertSync(ctx, host, false) })
		if err != nil { // an expired certificate is better than none
			m.opts.Logger.DebugContext(ctx, "expired certificate is served", "host", host, "err", err)
			return nil
		}
	case errors.Is(err, fs.ErrNotExist):
		err = m.order(ctx, host, func(ctx context.Context) error { return m.config.ObtainCertSync(ctx, host) })
	case errors.Is(err, store.ErrUnavailable) || errors.Is(err, errSealed) || errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
		return err
	default: // a node died between writing the certificate and its private key
		err = m.order(ctx, host, func(ctx context.Context) error { return m.replaceBroken(ctx, host) })
	}
	if err == nil {
		_, err = m.load(ctx, host)
	}
	return err
}

// renew renews a certificate in the background. If that fails, the cache tries again later.
func (m *Manager) renew(host string) {
	ctx := m.ctx
	err := m.order(ctx, host, func(ctx context.Context) error { return m.config.RenewCertSync(ctx, host, false) })
	if err == nil {
		_, err = m.load(ctx, host)
	}
	if err != nil {
		m.opts.Logger.DebugContext(ctx, "certificate was not renewed", "host", host, "err", err)
	}
}

// load loads a stored certificate of host into the cache, as soon as fewer than maxLoads are loaded.
// The error is context.DeadlineExceeded if the store did not answer in time.
func (m *Manager) load(ctx context.Context, host string) (certmagic.Certificate, error) {
	select {
	case m.reading <- struct{}{}:
	case <-ctx.Done():
		return certmagic.Certificate{}, ctx.Err()
	}
	defer func() { <-m.reading }()
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	cert, err := m.config.CacheManagedCertificate(ctx, host)
	if err != nil && ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	return cert, err
}

// order calls run as soon as fewer than maxOrders orders are running. Only then the time of the
// order begins.
func (m *Manager) order(ctx context.Context, host string, run func(ctx context.Context) error) error {
	if !m.opts.Hosts.Allowed(host) {
		return errNotAllowed
	}
	if err := m.settle(ctx, host); err != nil {
		return err
	}
	select {
	case m.ordering <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-m.ordering }()
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	return run(ctx)
}

// settle waits until all nodes know host. The authority sends its challenge to any node, and a node
// that does not know the host rejects it.
func (m *Manager) settle(ctx context.Context, host string) error {
	if host == m.opts.DefaultHost {
		return nil
	}
	m.Manage(host)
	m.mu.Lock()
	since := m.managed[host]
	m.mu.Unlock()
	wait := time.NewTimer(since.Add(m.opts.Settle).Sub(m.opts.Now()))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// replaceBroken deletes the files of a certificate that does not belong to its private key, and
// obtains another one.
func (m *Manager) replaceBroken(ctx context.Context, host string) error {
	const lock = "issue_cert_"
	if err := m.storage.Lock(ctx, lock+host); err != nil {
		return err
	}
	_, err := m.config.CacheManagedCertificate(ctx, host)
	if err == nil { // another node was faster
		return m.storage.Unlock(ctx, lock+host)
	}
	err = m.storage.Delete(ctx, certmagic.StorageKeys.CertsSitePrefix(m.issuer.IssuerKey(), host))
	if err := errors.Join(err, m.storage.Unlock(context.WithoutCancel(ctx), lock+host)); err != nil {
		return err
	}
	return m.config.ObtainCertSync(ctx, host)
}

// event is called by certmagic. An error of "cert_obtaining" prevents the order.
func (m *Manager) event(ctx context.Context, event string, data map[string]any) error {
	host, _ := data["identifier"].(string)
	switch event {
	case "cert_obtaining":
		return m.mayOrder(ctx, host)
	case "cert_failed":
		err, _ := data["error"].(error)
		m.fail(ctx, host, err, orderBackoff)
	case "cert_obtained":
		m.succeed(ctx, host)
	}
	return nil
}

// mayOrder returns why a certificate of host must not be ordered now. It is called with the lock
// of the host, for new certificates and for renewals.
func (m *Manager) mayOrder(ctx context.Context, host string) error {
	if !m.opts.Hosts.Allowed(host) {
		return errNotAllowed
	}
	f, err := m.lastFailure(ctx, host)
	if err != nil {
		return err
	}
	if m.opts.Now().Before(f.Next) {
		m.mu.Lock()
		m.failed[host] = f // another node may have failed
		m.mu.Unlock()
		return waiting{f}
	}
	if err := m.reach.check(ctx, host); err != nil {
		m.fail(ctx, host, err, reachBackoff)
		return err
	}
	return nil
}

package certificates

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"

	"github.com/terse/terse/store"
)

// GetCertificate returns the certificate for a handshake, for tls.Config. It waits up to a
// minute for a certificate that must be obtained. For a host that is not allowed, it returns an
// error without reading the store.
func (m *Manager) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host := m.hostOf(hello)
	if !m.opts.Hosts.Allowed(host) {
		return nil, fmt.Errorf("certificates: %q: %w", hello.ServerName, errNotAllowed)
	}
	if hello.ServerName != "" && len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol {
		challenge := *hello
		challenge.ServerName = host // all spellings of a host share one read
		return m.config.GetCertificate(&challenge)
	}
	if cert := m.cached(host); cert != nil {
		return cert, nil
	}
	m.mu.Lock()
	f := m.failed[host]
	m.mu.Unlock()
	if m.opts.Now().Before(f.Next) {
		return nil, fmt.Errorf("certificates: %q: %w", host, waiting{f})
	}
	ctx, cancel := context.WithTimeout(hello.Context(), handshakeWait)
	defer cancel()
	if err := m.wait(ctx, host); err != nil {
		return nil, fmt.Errorf("certificates: %q: %w", host, err)
	}
	if cert := m.cached(host); cert != nil {
		return cert, nil
	}
	return nil, fmt.Errorf("certificates: %q: %w", host, errors.New("the certificate is not in memory"))
}

// hostOf returns the canonical name that a client asks for.
func (m *Manager) hostOf(hello *tls.ClientHelloInfo) string {
	if hello.ServerName == "" {
		return m.opts.DefaultHost
	}
	host, err := store.CanonicalHost(strings.TrimSuffix(hello.ServerName, "."))
	if err != nil {
		return hello.ServerName // which is not allowed
	}
	return host
}

// cached returns the certificate of host in memory that ends last, or nil.
func (m *Manager) cached(host string) *tls.Certificate {
	var best *certmagic.Certificate
	for _, cert := range m.cache.AllMatchingCertificates(host) {
		if best == nil || cert.Leaf.NotAfter.After(best.Leaf.NotAfter) {
			best = &cert
		}
	}
	if best == nil {
		return nil
	}
	return &best.Certificate
}

// TLSConfig returns the configuration of a TLS server: TLS 1.2 and later, HTTP/2, the keys of
// session tickets that all nodes share. The keys change every day until ctx ends.
func TLSConfig(ctx context.Context, get func(*tls.ClientHelloInfo) (*tls.Certificate, error), secret []byte) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: get,
		NextProtos: []string{"h2", "http/1.1", acmez.ACMETLS1Protocol},
	}
	if err := setTicketKeys(config, secret, time.Now()); err != nil {
		return nil, err
	}
	go func() {
		tick := time.NewTicker(ticketCheck)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				_ = setTicketKeys(config, secret, now) // cannot fail: it did not before
			}
		}
	}()
	return config, nil
}

// ticketCheck is how often the keys of session tickets are set, so that they change with the day.
const ticketCheck = 10 * time.Minute

// setTicketKeys sets the key of the day. The keys of the days before and after are accepted too:
// tickets are valid across midnight, and the clocks of nodes differ.
func setTicketKeys(config *tls.Config, secret []byte, now time.Time) error {
	var keys [3][32]byte
	for i, days := range []int{0, -1, 1} {
		key, err := deriveKey(secret, "session tickets "+now.UTC().AddDate(0, 0, days).Format(time.DateOnly))
		if err != nil {
			return err
		}
		copy(keys[i][:], key)
	}
	config.SetSessionTicketKeys(keys[:])
	return nil
}

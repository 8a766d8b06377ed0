package certificates

import (
	"cmp"
	"crypto/x509"
	"strings"
	"time"

	"github.com/terse/terse/store"
)

// Status returns the status of a host's certificate on this node, from memory. The attempts of
// other nodes are known after the next attempt of this node.
func (m *Manager) Status(host string) store.CertificateStatus {
	m.mu.Lock()
	failed, trying := m.failed[host], m.trying[host]
	m.mu.Unlock()
	s := store.CertificateStatus{State: store.CertificateNone, Problem: failed.Error, RetryAt: failed.Next}
	switch cert := m.cached(host); {
	case cert != nil:
		s = described(s, cert.Leaf, m.opts.Now())
	case trying:
		s.State = store.CertificateOrdering
	case failed.Count > 0:
		s.State = store.CertificateFailed
	}
	return s
}

// Status returns the status of the certificate from files for a host.
func (f *Files) Status(host string) store.CertificateStatus {
	leaf := f.current.Load().Leaf
	if leaf.VerifyHostname(host) != nil {
		return store.CertificateStatus{State: store.CertificateFailed, Problem: "the certificate from files is not for this host"}
	}
	return described(store.CertificateStatus{}, leaf, time.Now())
}

// described returns s with the properties of a certificate.
func described(s store.CertificateStatus, leaf *x509.Certificate, now time.Time) store.CertificateStatus {
	s.State, s.EndsAt = store.CertificateValid, leaf.NotAfter
	if !now.Before(leaf.NotAfter) {
		s.State = store.CertificateExpired
	}
	s.Issuer = cmp.Or(leaf.Issuer.CommonName, strings.Join(leaf.Issuer.Organization, " "))
	return s
}

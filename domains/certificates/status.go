package certificates

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/caddyserver/certmagic"
)

// State is the state of a host's certificate.
type State string

// The states of a host's certificate.
const (
	Missing State = "missing" // none yet, and no attempt failed
	Failed  State = "failed"  // none yet, and the latest attempt failed
	Valid   State = "valid"
	Expired State = "expired"
)

// Status describes the certificate of one host. Error and Retry may be set in every state. In
// the state Valid they describe a failed renewal.
type Status struct {
	State    State
	NotAfter time.Time // end of the certificate; zero without one
	Error    string    // why the latest attempt failed; empty after a success
	Retry    time.Time // no attempt is made before this time
}

// Status returns the status of a host's certificate, from the store if it is not in memory.
func (m *Manager) Status(ctx context.Context, host string) (Status, error) {
	f, err := m.lastFailure(ctx, host)
	if err != nil {
		return Status{}, fmt.Errorf("certificates: status of %q: %w", host, err)
	}
	s := Status{State: Missing, Error: f.Error, Retry: f.Next}
	if f.Count > 0 {
		s.State = Failed
	}
	leaf, err := m.leaf(ctx, host)
	if err != nil || leaf == nil {
		return s, err
	}
	if s.NotAfter, s.State = leaf.NotAfter, Valid; !m.opts.Now().Before(leaf.NotAfter) {
		s.State = Expired
	}
	return s, nil
}

// leaf returns the stored certificate of host, or nil without one.
func (m *Manager) leaf(ctx context.Context, host string) (*x509.Certificate, error) {
	text, err := m.storage.Load(ctx, certmagic.StorageKeys.SiteCert(m.issuer.IssuerKey(), host))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("certificates: certificate of %q: %w", host, err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("certificates: certificate of %q is not PEM", host)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificates: certificate of %q: %w", host, err)
	}
	return leaf, nil
}

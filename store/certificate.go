package store

import (
	"context"
	"time"
)

// CertificateFile is something that all nodes share to serve HTTPS: a certificate, its private
// key, an ACME account or a challenge.
type CertificateFile struct {
	Key        string    // a path without leading and trailing slashes; valid UTF-8 without U+0000
	Value      []byte    // nil means that the file was deleted
	ModifiedAt time.Time // UTC, microseconds
}

// Newer reports whether f replaces other. Of two files with the same time, the one with a value
// wins, so that all copies become equal.
func (f CertificateFile) Newer(other CertificateFile) bool {
	if f.ModifiedAt.Equal(other.ModifiedAt) {
		return f.Value != nil && other.Value == nil
	}
	return f.ModifiedAt.After(other.ModifiedAt)
}

// CertificateTombstoneTTL is the shortest time that a store remembers a deleted file. A copy
// that was unreachable for longer may bring the file back. By then the certificates of public
// authorities have expired.
const CertificateTombstoneTTL = 100 * 24 * time.Hour

// Certificates keeps certificate files, and locks for the work on them. Values are stored as
// given: the caller encrypts private keys. Implementations are safe for concurrent use and
// return ErrUnavailable as Store does.
type Certificates interface {
	// PutCertificateFile stores a file, or its deletion, unless the stored file of that key is
	// Newer. It is no error if the stored file stays.
	PutCertificateFile(ctx context.Context, f CertificateFile) error

	// CertificateFile returns a file, which may be a deleted one. ErrNotFound means that there
	// was no such file for CertificateTombstoneTTL.
	CertificateFile(ctx context.Context, key string) (CertificateFile, error)

	// CertificateFiles returns at most limit files, sorted bytewise by key. Their keys begin
	// with prefix and come after the key after. The Value of a deleted file is nil; every other
	// Value is empty.
	CertificateFiles(ctx context.Context, prefix, after string, limit int) ([]CertificateFile, error)

	// LockCertificate takes the lock name for ttl, by the clock of the database. held is false,
	// and nothing changes, while another holder has it.
	LockCertificate(ctx context.Context, name, holder string, ttl time.Duration) (held bool, err error)

	// RenewCertificateLock makes the lock end ttl from now. held is false, and nothing changes,
	// if another holder has taken the lock or it was released.
	RenewCertificateLock(ctx context.Context, name, holder string, ttl time.Duration) (held bool, err error)

	// UnlockCertificate releases the lock. It changes nothing if the holder does not have it.
	UnlockCertificate(ctx context.Context, name, holder string) error
}

// CertificateState is the state of a host's certificate.
type CertificateState string

// The states of a host's certificate.
const (
	CertificateNone     CertificateState = "none"     // there is none, and no attempt has failed
	CertificateOrdering CertificateState = "ordering" // it is being read from the store, or ordered
	CertificateValid    CertificateState = "valid"
	CertificateExpired  CertificateState = "expired"
	CertificateFailed   CertificateState = "failed" // there is none, and the latest attempt failed
)

// CertificateStatus describes the certificate of one host, as one node knows it. Problem and RetryAt
// may be set in every state. In the state CertificateValid they describe a failed renewal.
type CertificateStatus struct {
	State   CertificateState
	Issuer  string    // name of the authority; empty without a certificate
	EndsAt  time.Time // zero without a certificate
	Problem string    // why the latest attempt failed; empty after a success
	RetryAt time.Time // no attempt is made before; zero without a failure
}

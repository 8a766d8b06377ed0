package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

const putCertificateFile = `INSERT INTO certificate_files AS f (modified_at, key, value) VALUES ($1, $2, $3)
	ON CONFLICT (key) DO UPDATE SET modified_at = excluded.modified_at, value = excluded.value
	WHERE f.modified_at < excluded.modified_at OR f.modified_at = excluded.modified_at AND f.value IS NULL`

// pruneCertificateFiles deletes a few old tombstones, more than one put adds.
const pruneCertificateFiles = `DELETE FROM certificate_files WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM certificate_files WHERE value IS NULL AND modified_at < statement_timestamp() - $1::interval
	ORDER BY modified_at LIMIT 4 FOR UPDATE SKIP LOCKED))`

const selectCertificateFile = `SELECT value, modified_at FROM certificate_files WHERE key = $1`

const selectCertificateFiles = `SELECT key, value IS NULL, modified_at FROM certificate_files
	WHERE key > $1 AND key >= $2 AND starts_with(key, $2) ORDER BY key LIMIT $3`

const lockCertificate = `INSERT INTO certificate_locks AS l (held_until, name, holder) VALUES (clock_timestamp() + $3::interval, $1, $2)
	ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
	WHERE l.holder = excluded.holder OR l.held_until <= clock_timestamp()
	RETURNING true`

// pruneCertificateLocks deletes a few locks that ended long ago, more than one call adds.
const pruneCertificateLocks = `DELETE FROM certificate_locks WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM certificate_locks WHERE held_until < statement_timestamp() - interval '1 hour'
	ORDER BY held_until LIMIT 4 FOR UPDATE SKIP LOCKED))`

const renewCertificateLock = `UPDATE certificate_locks SET held_until = clock_timestamp() + $3::interval
	WHERE name = $1 AND holder = $2 RETURNING true`

const unlockCertificate = `DELETE FROM certificate_locks WHERE name = $1 AND holder = $2`

// PutCertificateFile implements store.Certificates.
func (s *Store) PutCertificateFile(ctx context.Context, f store.CertificateFile) error {
	at := micros(f.ModifiedAt)
	_, err := detached(ctx, s, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.primary.do(ctx, writes, func(ctx context.Context, conn *pgx.Conn) error {
			if _, err := conn.Exec(ctx, pruneCertificateFiles, store.CertificateTombstoneTTL); err != nil {
				return err
			}
			_, err := conn.Exec(ctx, putCertificateFile, at, f.Key, f.Value)
			return err
		})
	})
	return wrap(err, "put certificate file", f.Key)
}

// CertificateFile implements store.Certificates. It reads the primary.
func (s *Store) CertificateFile(ctx context.Context, key string) (store.CertificateFile, error) {
	f := store.CertificateFile{Key: key}
	err := s.primary.read(ctx, reads, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, selectCertificateFile, key).Scan(&f.Value, &f.ModifiedAt)
	})
	f.ModifiedAt = f.ModifiedAt.UTC()
	return f, wrap(err, "certificate file", key)
}

// CertificateFiles implements store.Certificates. It reads the primary.
func (s *Store) CertificateFiles(ctx context.Context, prefix, after string, limit int) ([]store.CertificateFile, error) {
	var all []store.CertificateFile
	err := s.primary.read(ctx, lists, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, selectCertificateFiles, after, prefix, max(limit, 1))
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (f store.CertificateFile, err error) {
			var deleted bool
			if err = row.Scan(&f.Key, &deleted, &f.ModifiedAt); err == nil && !deleted {
				f.Value = []byte{}
			}
			f.ModifiedAt = f.ModifiedAt.UTC()
			return f, err
		})
		return err
	})
	return all, wrap(err, "certificate files", prefix)
}

// LockCertificate implements store.Certificates.
func (s *Store) LockCertificate(ctx context.Context, name, holder string, ttl time.Duration) (held bool, err error) {
	held, err = s.changeCertificateLock(ctx, func(ctx context.Context, conn *pgx.Conn) (held bool, err error) {
		if _, err := conn.Exec(ctx, pruneCertificateLocks); err != nil {
			return false, err
		}
		err = conn.QueryRow(ctx, lockCertificate, name, holder, ttl).Scan(&held)
		return held, err
	})
	return held, wrap(err, "lock certificate", name)
}

// RenewCertificateLock implements store.Certificates.
func (s *Store) RenewCertificateLock(ctx context.Context, name, holder string, ttl time.Duration) (held bool, err error) {
	held, err = s.changeCertificateLock(ctx, func(ctx context.Context, conn *pgx.Conn) (held bool, err error) {
		err = conn.QueryRow(ctx, renewCertificateLock, name, holder, ttl).Scan(&held)
		return held, err
	})
	return held, wrap(err, "renew certificate lock", name)
}

// UnlockCertificate implements store.Certificates.
func (s *Store) UnlockCertificate(ctx context.Context, name, holder string) error {
	_, err := s.changeCertificateLock(ctx, func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		_, err := conn.Exec(ctx, unlockCertificate, name, holder)
		return false, err
	})
	return wrap(err, "unlock certificate", name)
}

// changeCertificateLock runs fn. held is false if fn finds no row.
func (s *Store) changeCertificateLock(ctx context.Context, fn func(ctx context.Context, conn *pgx.Conn) (bool, error)) (held bool, err error) {
	return detached(ctx, s, func(ctx context.Context) (held bool, err error) {
		err = s.primary.do(ctx, writes, func(ctx context.Context, conn *pgx.Conn) (err error) {
			held, err = fn(ctx, conn)
			return err
		})
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		return held, err
	})
}

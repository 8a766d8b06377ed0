package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/terse/terse/store"
)

// keyColumns are the columns of a key in the order of scanKey.
const keyColumns = `k.id, k.name, k.prefix, k.hash, k.scopes, k.create_limit, k.workspace, k.domains, k.default_domain,
	k.share_kind, k.share_key, k.share_password, k.session_key, k.session_hash,
	k.member_role, k.member_issuer, k.member_subject, k.member_by, k.passkey_subject, k.passkey_credential, k.created_at, k.expires_at, k.last_used_at, k.revoked_at`

const insertKey = `INSERT INTO api_keys (created_at, expires_at, last_used_at, revoked_at, bucket, id, name, prefix, hash, scopes, create_limit, workspace, domains, default_domain,
		share_kind, share_key, share_password, session_key, session_hash, member_role, member_issuer, member_subject, member_by, passkey_subject, passkey_credential)
	SELECT $3, $4, $5, $6, $1, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26 FROM buckets b WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned'`

const selectKeyByHash = `SELECT ` + keyColumns + `
	FROM buckets b LEFT JOIN api_keys k ON k.hash = $2
	WHERE b.bucket = $1 AND b.state = 'owned'`

const selectKeys = `SELECT ` + keyColumns + `
	FROM api_keys k JOIN buckets b ON b.bucket = k.bucket AND b.state = 'owned'
	ORDER BY k.created_at, k.id`

const selectBucketOfKey = `SELECT k.bucket
	FROM api_keys k JOIN buckets b ON b.bucket = k.bucket AND b.state = 'owned'
	WHERE k.id = $1`

const revokeKey = `UPDATE api_keys k SET revoked_at = coalesce(k.revoked_at, $4)
	FROM buckets b WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned' AND k.bucket = b.bucket AND k.id = $3
	RETURNING ` + keyColumns

// useKeys locks the rows in the order of their digests, so that two nodes that use the
// same keys cannot deadlock.
const useKeys = `WITH due AS (
		SELECT k.id, u.at
		FROM unnest($1::int[], $2::bigint[], $3::bytea[], $4::timestamptz[]) AS u (bucket, epoch, hash, at)
		JOIN api_keys k ON k.hash = u.hash AND (k.last_used_at IS NULL OR k.last_used_at < u.at)
		WHERE u.epoch = (SELECT b.epoch FROM buckets b WHERE b.bucket = u.bucket AND b.state = 'owned')
		ORDER BY k.hash FOR UPDATE OF k
	)
	UPDATE api_keys k SET last_used_at = due.at FROM due WHERE k.id = due.id`

// pruneSessions deletes a few more sessions than one call adds, and skips rows that another call
// deletes. It needs no fence, as pruneReports.
const pruneSessions = `DELETE FROM api_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM api_keys
	WHERE session_key IS NOT NULL AND created_at < $1 ORDER BY created_at LIMIT 4 FOR UPDATE SKIP LOCKED))`

// CreateKey implements store.Keys.
func (s *Store) CreateKey(ctx context.Context, k store.Key) error {
	scopes := make([]string, len(k.Scopes)) // not nil, because nil would be NULL
	for i, scope := range k.Scopes {
		scopes[i] = string(scope)
	}
	var shareKind *int16
	var shareKey, sharePassword *string
	if k.Share != nil {
		shareKind, shareKey, sharePassword = new(int16(k.Share.Kind)), &k.Share.Key, &k.Share.PasswordHash
	}
	var sessionKey *string
	var sessionHash []byte
	if k.Session != nil {
		sessionKey, sessionHash = &k.Session.Key, k.Session.Hash[:]
	}
	var role, issuer, subject, by *string
	if k.Member != nil {
		role, issuer, subject, by = new(string(k.Member.Role)), &k.Member.Issuer, &k.Member.Subject, &k.Member.By
	}
	var passkeySubject *string
	var passkeyCredential []byte
	if k.Passkey != nil {
		passkeySubject, passkeyCredential = &k.Passkey.Subject, k.Passkey.Credential
	}
	bucket := bucketOfHash(k.Hash)
	_, err := detached(ctx, s, func(ctx context.Context) (struct{}, error) {
		epochs, err := s.known(ctx)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.fenced(ctx, []int{bucket}, func(b *pgx.Batch) {
			b.Queue(insertKey, bucket, epochs[bucket], micros(k.CreatedAt), orNull(micros(k.ExpiresAt), time.Time{}),
				orNull(micros(k.LastUsedAt), time.Time{}), orNull(micros(k.RevokedAt), time.Time{}),
				k.ID, k.Name, k.Prefix, k.Hash[:], scopes, k.CreateLimit, orNull(k.Workspace, ""), k.Domains, orNull(k.DefaultDomain, ""),
				shareKind, shareKey, sharePassword, sessionKey, sessionHash, role, issuer, subject, by, passkeySubject, passkeyCredential).
				Exec(func(tag pgconn.CommandTag) error {
					if tag.RowsAffected() == 0 {
						return store.ErrMoved
					}
					return nil
				})
			if k.Session != nil {
				b.Queue(pruneSessions, micros(k.CreatedAt.Add(-store.SessionTTL)))
			}
		})
	})
	return wrap(err, "create key", k.ID)
}

// KeyByHash implements store.Keys.
func (s *Store) KeyByHash(ctx context.Context, hash [sha256.Size]byte) (store.Key, error) {
	var k store.Key
	err := s.primary.read(ctx, reads, func(ctx context.Context, conn *pgx.Conn) (err error) {
		k, err = scanKey(conn.QueryRow(ctx, selectKeyByHash, bucketOfHash(hash), hash[:]))
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return store.ErrMoved
		case err == nil && k.ID == "":
			return store.ErrNotFound
		}
		return err
	})
	return k, wrap(err, "key by hash", "")
}

// ListKeys implements store.Keys.
func (s *Store) ListKeys(ctx context.Context) ([]store.Key, error) {
	var keys []store.Key
	err := s.primary.read(ctx, lists, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, selectKeys)
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Key, error) { return scanKey(row) })
		return err
	})
	return keys, wrap(err, "list keys", "")
}

// RevokeKey implements store.Keys.
func (s *Store) RevokeKey(ctx context.Context, id string, at time.Time) (store.Key, error) {
	k, err := detached(ctx, s, func(ctx context.Context) (k store.Key, err error) {
		var bucket int
		err = s.primary.read(ctx, reads, func(ctx context.Context, conn *pgx.Conn) error {
			return conn.QueryRow(ctx, selectBucketOfKey, id).Scan(&bucket)
		})
		if err != nil {
			return k, err
		}
		epochs, err := s.known(ctx)
		if err != nil {
			return k, err
		}
		err = s.fenced(ctx, []int{bucket}, func(b *pgx.Batch) {
			b.Queue(revokeKey, bucket, epochs[bucket], id, micros(at)).QueryRow(func(row pgx.Row) (err error) {
				if k, err = scanKey(row); errors.Is(err, pgx.ErrNoRows) {
					return store.ErrMoved
				}
				return err
			})
		})
		return k, err
	})
	return k, wrap(err, "revoke key", id)
}

// UseKeys implements store.Keys. It ignores keys of other shards and unknown keys.
func (s *Store) UseKeys(ctx context.Context, uses []store.KeyUse) error {
	if len(uses) == 0 {
		return nil
	}
	buckets, hashes, times := make([]int, len(uses)), make([][]byte, len(uses)), make([]time.Time, len(uses))
	for i := range uses {
		buckets[i], hashes[i], times[i] = bucketOfHash(uses[i].Hash), uses[i].Hash[:], micros(uses[i].At)
	}
	_, err := detached(ctx, s, func(ctx context.Context) (struct{}, error) {
		epochs, err := s.known(ctx)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.fenced(ctx, buckets, func(b *pgx.Batch) {
			b.Queue(useKeys, buckets, epochs.of(buckets), hashes, times)
		})
	})
	return wrap(err, "use keys", "")
}

// bucketOfHash returns the bucket of a key.
func bucketOfHash(hash [sha256.Size]byte) int { return store.BucketOf(string(hash[:])) }

// scanKey reads keyColumns. The ID is empty if an outer join found no key.
func scanKey(row pgx.Row) (store.Key, error) {
	var (
		k      store.Key
		hash   []byte
		scopes []string
		kind   *int16
		share  store.Share

		sessionKey  *string
		sessionHash []byte

		role   *string
		member store.Member

		passkeySubject *string
		passkey        store.Passkey
	)
	err := row.Scan(text(&k.ID), text(&k.Name), text(&k.Prefix), &hash, &scopes, text(&k.CreateLimit), text(&k.Workspace), &k.Domains, text(&k.DefaultDomain),
		&kind, text(&share.Key), text(&share.PasswordHash), &sessionKey, &sessionHash,
		&role, text(&member.Issuer), text(&member.Subject), text(&member.By), &passkeySubject, &passkey.Credential, at(&k.CreatedAt), at(&k.ExpiresAt), at(&k.LastUsedAt), at(&k.RevokedAt))
	if err != nil {
		return store.Key{}, err
	}
	for _, scope := range scopes {
		k.Scopes = append(k.Scopes, store.Scope(scope))
	}
	copy(k.Hash[:], hash)
	if kind != nil {
		share.Kind = store.ClickKind(*kind)
		k.Share = &share
	}
	if sessionKey != nil {
		k.Session = &store.Session{Key: *sessionKey}
		copy(k.Session.Hash[:], sessionHash)
	}
	if role != nil {
		member.Role = store.Role(*role)
		k.Member = &member
	}
	if passkeySubject != nil {
		passkey.Subject = *passkeySubject
		k.Passkey = &passkey
	}
	for _, t := range []*time.Time{&k.CreatedAt, &k.ExpiresAt, &k.LastUsedAt, &k.RevokedAt} {
		*t = t.UTC()
	}
	return k, nil
}

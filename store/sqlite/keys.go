package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/terse/terse/store"
)

const selectKey = `SELECT id, name, prefix, hash, scopes, create_limit, workspace, domains, default_domain,
	share_kind, share_key, share_password, session_key, session_hash, member_role, member_issuer, member_subject, member_by,
	passkey_subject, passkey_credential, created_at, expires_at, last_used_at, revoked_at FROM api_keys `

// useKeys takes a JSON array of [hash in hexadecimal, time].
const useKeys = `UPDATE api_keys SET last_used_at = u.at
	FROM (SELECT unhex(value ->> 0) AS hash, value ->> 1 AS at FROM json_each(?)) u
	WHERE api_keys.hash = u.hash AND last_used_at < u.at`

// pruneSessions deletes up to 4 old sessions, more than one sign-in adds.
const pruneSessions = `DELETE FROM api_keys WHERE id IN
	(SELECT id FROM api_keys WHERE session_key IS NOT NULL AND created_at < ? ORDER BY created_at LIMIT 4)`

// CreateKey implements store.Keys.
func (s *Store) CreateKey(ctx context.Context, k store.Key) error {
	scopes, err := encodeList(k.Scopes)
	if err != nil {
		return wrap(err, "create key", k.ID)
	}
	domains, err := encodeList(k.Domains)
	if err != nil {
		return wrap(err, "create key", k.ID)
	}
	share, member := shareColumns(k.Share), memberColumns(k.Member)
	var sessionKey sql.NullString
	var sessionHash []byte
	if k.Session != nil {
		sessionKey, sessionHash = sql.NullString{String: k.Session.Key, Valid: true}, k.Session.Hash[:]
	}
	var passkeySubject sql.NullString
	var passkeyCredential []byte
	if k.Passkey != nil {
		passkeySubject, passkeyCredential = sql.NullString{String: k.Passkey.Subject, Valid: true}, k.Passkey.Credential
	}
	_, err = change(ctx, s, "create key", k.ID, func(ctx context.Context, tx tx) (none, error) {
		_, err := tx.ExecContext(ctx, `INSERT INTO api_keys
			(id, name, prefix, hash, scopes, create_limit, workspace, domains, default_domain, share_kind, share_key, share_password, session_key, session_hash,
			member_role, member_issuer, member_subject, member_by, passkey_subject, passkey_credential, created_at, expires_at, last_used_at, revoked_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			k.ID, k.Name, k.Prefix, k.Hash[:], scopes, k.CreateLimit, k.Workspace, domains, k.DefaultDomain, share.kind, share.key, share.password, sessionKey, sessionHash,
			member.role, member.issuer, member.subject, member.by, passkeySubject, passkeyCredential,
			micros(k.CreatedAt), micros(k.ExpiresAt), micros(k.LastUsedAt), micros(k.RevokedAt))
		if err == nil && k.Session != nil {
			_, err = tx.ExecContext(ctx, pruneSessions, micros(k.CreatedAt.Add(-store.SessionTTL)))
		}
		return none{}, err
	})
	return err
}

// KeyByHash implements store.Keys.
func (s *Store) KeyByHash(ctx context.Context, hash [sha256.Size]byte) (store.Key, error) {
	k, err := point(ctx, s.points, s.points.keyByHash, scanKey, hash[:])
	return k, wrap(err, "key by hash", "")
}

// ListKeys implements store.Keys.
func (s *Store) ListKeys(ctx context.Context) ([]store.Key, error) {
	rows, err := s.lists.QueryContext(ctx, selectKey+`ORDER BY created_at, id`)
	if err != nil {
		return nil, wrap(err, "list keys", "")
	}
	defer rows.Close()
	var keys []store.Key
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return nil, wrap(err, "list keys", "")
		}
		keys = append(keys, k)
	}
	return keys, wrap(rows.Err(), "list keys", "")
}

// RevokeKey implements store.Keys.
func (s *Store) RevokeKey(ctx context.Context, id string, at time.Time) (store.Key, error) {
	return change(ctx, s, "revoke key", id, func(ctx context.Context, tx tx) (store.Key, error) {
		_, err := tx.ExecContext(ctx, `UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at = 0`, micros(at), id)
		if err != nil {
			return store.Key{}, err
		}
		k, err := scanKey(tx.QueryRowContext(ctx, selectKey+`WHERE id = ?`, id))
		if errors.Is(err, sql.ErrNoRows) {
			err = store.ErrNotFound
		}
		return k, err
	})
}

// UseKeys implements store.Keys.
func (s *Store) UseKeys(ctx context.Context, uses []store.KeyUse) error {
	rows := make([][2]any, len(uses))
	for i, u := range uses {
		rows[i] = [2]any{hex.EncodeToString(u.Hash[:]), micros(u.At)}
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return wrap(err, "use keys", "")
	}
	_, err = change(ctx, s, "use keys", "", func(ctx context.Context, tx tx) (none, error) {
		_, err := tx.ExecContext(ctx, useKeys, string(list))
		return none{}, err
	})
	return err
}

// scanKey reads the columns of selectKey.
func scanKey(row scanner) (store.Key, error) {
	var (
		k                               store.Key
		hash, sessionHash               []byte
		credential                      []byte
		sessionKey, passkey             sql.NullString
		scopes, domains                 string
		share                           share
		member                          member
		created, expires, used, revoked int64
	)
	err := row.Scan(&k.ID, &k.Name, &k.Prefix, &hash, &scopes, &k.CreateLimit, &k.Workspace, &domains, &k.DefaultDomain,
		&share.kind, &share.key, &share.password, &sessionKey, &sessionHash,
		&member.role, &member.issuer, &member.subject, &member.by, &passkey, &credential, &created, &expires, &used, &revoked)
	if err != nil {
		return store.Key{}, err
	}
	if k.Scopes, err = decodeList[store.Scope](scopes); err != nil {
		return store.Key{}, err
	}
	if k.Domains, err = decodeList[string](domains); err != nil {
		return store.Key{}, err
	}
	copy(k.Hash[:], hash)
	k.Share, k.Member = share.value(), member.value()
	if sessionKey.Valid {
		k.Session = &store.Session{Key: sessionKey.String}
		copy(k.Session.Hash[:], sessionHash)
	}
	if passkey.Valid {
		k.Passkey = &store.Passkey{Subject: passkey.String, Credential: credential}
	}
	k.CreatedAt, k.ExpiresAt = moment(created), moment(expires)
	k.LastUsedAt, k.RevokedAt = moment(used), moment(revoked)
	return k, nil
}

// share is the columns of a store.Share, NULL without one.
type share struct {
	kind          sql.NullInt16
	key, password sql.NullString
}

func shareColumns(s *store.Share) share {
	if s == nil {
		return share{}
	}
	return share{
		kind: sql.NullInt16{Int16: int16(s.Kind), Valid: true},
		key:  sql.NullString{String: s.Key, Valid: true}, password: sql.NullString{String: s.PasswordHash, Valid: true},
	}
}

func (s share) value() *store.Share {
	if !s.kind.Valid {
		return nil
	}
	return &store.Share{Kind: store.ClickKind(s.kind.Int16), Key: s.key.String, PasswordHash: s.password.String}
}

// member is the columns of a store.Member, NULL without one.
type member struct{ role, issuer, subject, by sql.NullString }

func memberColumns(m *store.Member) member {
	if m == nil {
		return member{}
	}
	text := func(s string) sql.NullString { return sql.NullString{String: s, Valid: true} }
	return member{text(string(m.Role)), text(m.Issuer), text(m.Subject), text(m.By)}
}

func (m member) value() *store.Member {
	if !m.role.Valid {
		return nil
	}
	return &store.Member{Role: store.Role(m.role.String), Issuer: m.issuer.String, Subject: m.subject.String, By: m.by.String}
}

package links

import (
	"context"
	"fmt"
	"time"

	"github.com/terse/terse/store"
)

// Keys stores the keys of shared pages. A store.Keys is one.
type Keys interface {
	CreateKey(ctx context.Context, k store.Key) error
}

// Share is the settings of a shared page: a page of statistics that everybody with its address may
// open. Each page has its own key, which expires, is listed and is revoked like an API key.
type Share struct {
	ExpiresAt time.Time // the zero time means never
	Password  *string   // in plain text; nil: no password
	Err       error     // see Draft.Err
}

// ShareLink shares the statistics of a link. It returns the key of the page and the token, which is
// a part of the page's address and is stored nowhere.
func (s *Service) ShareLink(ctx context.Context, who *Caller, code string, share Share) (store.Key, string, error) {
	may, err := s.MayCount(ctx, who, []string{code})
	if err == nil {
		err = may[0]
	}
	if err != nil {
		return store.Key{}, "", err
	}
	return s.share(ctx, who, store.Share{Kind: store.ClickLink, Key: code}, share)
}

// ShareSet is ShareLink for the statistics of several links together. See Stored for the sets.
func (s *Service) ShareSet(ctx context.Context, who *Caller, set ClickSet, share Share) (store.Key, string, error) {
	kind, key, err := s.Stored(who, set)
	if err != nil && !store.IsInvalid(err) {
		return store.Key{}, "", err
	}
	share.Err = store.JoinFound(share.Err, err)
	return s.share(ctx, who, store.Share{Kind: kind, Key: key}, share)
}

func (s *Service) share(ctx context.Context, who *Caller, opened store.Share, share Share) (store.Key, string, error) {
	now := s.now()
	ends := micros(share.ExpiresAt)
	var ended, unfit error
	if !share.ExpiresAt.IsZero() && !ends.After(now) {
		ended = &store.FieldError{Field: "expires_at", Reason: "must be in the future"}
	}
	if share.Password != nil {
		unfit = CheckPassword(*share.Password)
	}
	if err := store.JoinFound(share.Err, ended, unfit); err != nil {
		return store.Key{}, "", err
	}
	if share.Password != nil {
		hash, err := s.hashPassword(ctx, who, *share.Password)
		if err != nil {
			return store.Key{}, "", err
		}
		opened.PasswordHash = hash
	}
	token, hash := store.NewToken()
	k := store.Key{
		ID: store.NewKeyID(), Name: "shared by " + who.Author(), Prefix: store.TokenPrefix(token), Hash: hash, Share: &opened, CreatedAt: now,
	}
	if !share.ExpiresAt.IsZero() {
		k.ExpiresAt = ends
	}
	if err := s.opts.Keys.CreateKey(ctx, k); err != nil {
		return store.Key{}, "", fmt.Errorf("share statistics: %w", err)
	}
	return k, token, nil
}

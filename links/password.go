package links

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/terse/terse/store"
)

const (
	// maxPasswordLen is the longest password that bcrypt accepts, in bytes.
	maxPasswordLen = 72

	// hashingPlaces is how many passwords are hashed at the same time. It bounds the
	// processor cores that anonymous clients can use.
	hashingPlaces = 2

	// maxHashers bounds the new passwords that are being hashed or wait to be hashed. Without
	// this bound, waiting creates and edits would prevent the admission of other requests.
	maxHashers = 24
)

// CheckPassword returns a *store.FieldError if bcrypt cannot use the password.
func CheckPassword(password string) error {
	if !mayBePassword(password) {
		return &store.FieldError{Field: "password", Reason: fmt.Sprintf("must have 1 to %d bytes and no NUL", maxPasswordLen)}
	}
	return nil
}

// mayBePassword reports whether bcrypt distinguishes the password from all others. Bcrypt
// reads only maxPasswordLen bytes, and repeats a shorter password with NUL in between.
func mayBePassword(password string) bool {
	return password != "" && len(password) <= maxPasswordLen && !strings.Contains(password, "\x00")
}

// IsPassword reports whether a guess is the password of the link. Call it after EnterHashing
// and before leave.
func IsPassword(l *store.Link, guess string) (bool, error) {
	if !mayBePassword(guess) {
		return false, nil
	}
	err := bcrypt.CompareHashAndPassword([]byte(l.PasswordHash), []byte(guess))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

// EnterHashing waits until this node may hash one more password, or until ctx ends. Without an
// error the caller must call leave after hashing.
func (s *Service) EnterHashing(ctx context.Context) (leave func(), err error) {
	select {
	case s.hashing <- struct{}{}:
		return func() { <-s.hashing }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}

// hashPassword returns the bcrypt hash of a new password.
func (s *Service) hashPassword(ctx context.Context, who *Caller, password string) (string, error) {
	if who.Quota != nil {
		if err := who.Quota.TakePassword(ctx); err != nil {
			return "", fmt.Errorf("%w: %w", ErrLimited, err)
		}
	}
	defer s.hashers.Add(-1)
	if s.hashers.Add(1) > maxHashers {
		return "", fmt.Errorf("%w: too many passwords are waiting to be hashed", store.ErrShed)
	}
	leave, err := s.EnterHashing(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), s.opts.PasswordCost)
	return string(hash), err
}

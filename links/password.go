package links

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/terse/terse/store"
)

const (
	// maxPasswordLen is the longest password that bcrypt accepts, in bytes.
	maxPasswordLen = 72

	// hashingWait is the longest time that a password waits to be hashed. It is shorter than the
	// timeouts of visits and requests, so that clients learn that the server is overloaded.
	hashingWait = 2 * time.Second

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

// IsPassword reports whether a guess is the password with a bcrypt hash. Call it after
// EnterHashing and before leave.
func IsPassword(hash, guess string) (bool, error) {
	if !mayBePassword(guess) {
		return false, nil
	}
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(guess))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

// hashing limits the passwords that this node hashes at the same time, so that anonymous clients
// leave half of the processor cores to other requests.
type hashing struct {
	places chan struct{} // one element for each password that is being hashed
	slow   chan struct{} // an element while a password of enterSlowly is hashed or waits for its place
}

func newHashing() hashing {
	return hashing{places: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), slow: make(chan struct{}, 1)}
}

// EnterHashing waits until this node may hash one more password. It returns store.ErrShed after
// hashingWait, or the error of ctx. Without an error the caller must call leave after hashing.
func (s *Service) EnterHashing(ctx context.Context) (leave func(), err error) {
	return enter(ctx, s.hashing.places)
}

// EnterHashingSlowly is EnterHashing for passwords that are probably guesses. They are hashed one
// after the other, so that other passwords find a place.
func (s *Service) EnterHashingSlowly(ctx context.Context) (leave func(), err error) {
	return enter(ctx, s.hashing.slow, s.hashing.places)
}

// enter takes one place of each semaphore, in this order.
func enter(ctx context.Context, semaphores ...chan struct{}) (leave func(), err error) {
	taken := 0
	leave = func() {
		for _, s := range semaphores[:taken] {
			<-s
		}
	}
	late := time.NewTimer(hashingWait)
	defer late.Stop()
	for _, s := range semaphores {
		select {
		case s <- struct{}{}:
			taken++
			continue
		case <-ctx.Done():
			err = ctx.Err()
		case <-late.C:
			err = store.ErrShed
		}
		leave()
		return nil, fmt.Errorf("wait to hash a password: %w", err)
	}
	return leave, nil
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

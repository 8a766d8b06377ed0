package certificates

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"golang.org/x/sync/singleflight"

	"github.com/terse/terse/store"
)

// storage is the certmagic.Storage of all nodes. It seals every file. Safe for concurrent use.
type storage struct {
	under  store.Certificates
	sealer sealer
	now    func() time.Time

	mu     sync.Mutex
	leases map[string]*lease // of this process, see lock.go
	renew  sync.WaitGroup

	reading singleflight.Group
	places  chan struct{} // one element for each challenge that is read
}

var (
	_ certmagic.Storage          = (*storage)(nil)
	_ certmagic.LockLeaseRenewer = (*storage)(nil)
)

func newStorage(under store.Certificates, s sealer, now func() time.Time) *storage {
	return &storage{under: under, sealer: s, now: now, leases: map[string]*lease{}, places: make(chan struct{}, maxChallenges)}
}

// listPage is the number of files in one call of the store.
const listPage = 1000

// Store implements certmagic.Storage. A node whose lock has ended writes nothing: another node
// may have the lock by now.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	if err := s.fenced(key); err != nil {
		return err
	}
	return s.put(ctx, key, s.sealer.seal(key, value))
}

// put stores a file with a later time than the stored file has, even if the clock of another node
// is ahead.
func (s *storage) put(ctx context.Context, key string, sealed []byte) error {
	at := s.now()
	before, err := s.under.CertificateFile(ctx, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	case !before.ModifiedAt.Before(at):
		at = before.ModifiedAt.Add(time.Microsecond)
	}
	return s.under.PutCertificateFile(ctx, store.CertificateFile{Key: key, Value: sealed, ModifiedAt: at.UTC().Truncate(time.Microsecond)})
}

// Anyone can ask for the challenge of a host, so few are read at once.
const (
	maxChallenges    = 2
	challengeTimeout = 5 * time.Second // for reading one, the wait for a place included
)

// Load implements certmagic.Storage. Concurrent calls for one challenge share a read.
func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	if !strings.Contains(key, "/challenge_tokens/") {
		return s.read(ctx, key)
	}
	done := s.reading.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), challengeTimeout)
		defer cancel()
		select {
		case s.places <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		defer func() { <-s.places }()
		return s.read(ctx, key)
	})
	select {
	case result := <-done:
		plain, _ := result.Val.([]byte)
		return plain, result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// read returns the text of a file.
func (s *storage) read(ctx context.Context, key string) ([]byte, error) {
	f, err := s.file(ctx, key)
	if err != nil {
		return nil, err
	}
	plain, err := s.sealer.open(key, f.Value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return plain, nil
}

// file returns a file that is not deleted, or fs.ErrNotExist.
func (s *storage) file(ctx context.Context, key string) (store.CertificateFile, error) {
	f, err := s.under.CertificateFile(ctx, key)
	if errors.Is(err, store.ErrNotFound) || err == nil && f.Value == nil {
		return f, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	return f, err
}

// Delete implements certmagic.Storage. It deletes the files below key too.
func (s *storage) Delete(ctx context.Context, key string) error {
	if err := s.fenced(key); err != nil {
		return err
	}
	keys, err := s.below(ctx, key)
	if err != nil {
		return err
	}
	if _, err := s.file(ctx, key); err == nil {
		keys = append(keys, key)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, key := range keys {
		if err := s.put(ctx, key, nil); err != nil {
			return err
		}
	}
	return nil
}

// Exists implements certmagic.Storage.
func (s *storage) Exists(ctx context.Context, key string) bool {
	if _, err := s.file(ctx, key); err == nil {
		return true
	}
	keys, err := s.below(ctx, key)
	return err == nil && len(keys) > 0
}

// List implements certmagic.Storage.
func (s *storage) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	keys, err := s.below(ctx, path)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	if recursive {
		return keys, nil
	}
	var names []string
	prefix := folder(path)
	for _, key := range keys {
		name, _, _ := strings.Cut(strings.TrimPrefix(key, prefix), "/")
		if name = prefix + name; len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	return names, nil
}

// below returns the keys of all files in a folder, sorted.
func (s *storage) below(ctx context.Context, path string) ([]string, error) {
	var keys []string
	for last := ""; ; {
		page, err := s.under.CertificateFiles(ctx, folder(path), last, listPage)
		if err != nil {
			return nil, err
		}
		for _, f := range page {
			if f.Value != nil {
				keys = append(keys, f.Key)
			}
		}
		if len(page) < listPage {
			return keys, nil
		}
		last = page[len(page)-1].Key
	}
}

func folder(path string) string {
	if path == "" {
		return ""
	}
	return strings.TrimSuffix(path, "/") + "/"
}

// Stat implements certmagic.Storage.
func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	f, err := s.file(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: f.ModifiedAt, Size: int64(len(f.Value)), IsTerminal: true}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return certmagic.KeyInfo{}, err
	}
	keys, failed := s.below(ctx, key)
	if failed != nil {
		return certmagic.KeyInfo{}, failed
	}
	if len(keys) == 0 {
		return certmagic.KeyInfo{}, err
	}
	return certmagic.KeyInfo{Key: key}, nil
}

package certificates

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// FilesOptions configure Files.
type FilesOptions struct {
	Certificate string                // required: path of a PEM file with the certificate and its chain
	Key         string                // required: path of a PEM file with the private key
	Logger      *slog.Logger          // required
	Registerer  prometheus.Registerer // default: no metrics

	CheckEvery time.Duration // between two checks of the files; default 5 s
}

func (o FilesOptions) withDefaults() FilesOptions {
	o.Registerer = cmp.Or[prometheus.Registerer](o.Registerer, prometheus.NewRegistry())
	o.CheckEvery = cmp.Or(o.CheckEvery, 5*time.Second)
	return o
}

func (o *FilesOptions) validate() error {
	if o.Certificate == "" || o.Key == "" || o.Logger == nil {
		return errors.New("certificates: FilesOptions.Certificate, Key and Logger are required")
	}
	return nil
}

// Files is a certificate in two files. Safe for concurrent use.
type Files struct {
	opts    FilesOptions
	current atomic.Pointer[tls.Certificate]
	seen    [2][]byte // the content at the latest check
}

// OpenFiles reads the certificate. It returns an error if the files are not a certificate with
// its private key.
func OpenFiles(opts FilesOptions) (*Files, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	f := &Files{opts: opts}
	if _, err := f.read(); err != nil {
		return nil, err
	}
	_, err := newMetrics(opts.Registerer, func() counts {
		c := newCounts()
		c.add(f.current.Load().Leaf, time.Now())
		return c
	})
	return f, err
}

// GetCertificate returns the certificate for a handshake, for tls.Config.
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.current.Load(), nil
}

// Run reads the files again whenever they change, until ctx ends. While the files are invalid, the
// last valid certificate stays.
func (f *Files) Run(ctx context.Context) {
	tick := time.NewTicker(f.opts.CheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := f.read()
		switch {
		case err != nil && changed:
			f.opts.Logger.WarnContext(ctx, "new certificate cannot be used, the old one stays", "err", err)
		case changed:
			f.opts.Logger.InfoContext(ctx, "certificate was read again", "not_after", f.current.Load().Leaf.NotAfter)
		}
	}
}

// read reads the files. changed reports whether they differ from the latest check.
func (f *Files) read() (changed bool, err error) {
	certificate, err := os.ReadFile(f.opts.Certificate)
	if err != nil {
		certificate = []byte(err.Error())
	}
	key, failed := os.ReadFile(f.opts.Key)
	if failed != nil {
		key = []byte(failed.Error())
	}
	if bytes.Equal(certificate, f.seen[0]) && bytes.Equal(key, f.seen[1]) {
		return false, nil
	}
	f.seen = [2][]byte{certificate, key}
	if err := errors.Join(err, failed); err != nil {
		return true, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return true, fmt.Errorf("%s and %s: %w", f.opts.Certificate, f.opts.Key, err)
	}
	f.current.Store(&pair)
	return true, nil
}

// Package certificates obtains, renews and serves the certificates of hosts by ACME (RFC 8555).
// All nodes share certificates, accounts, challenges and locks through a store, so that every
// node can answer a challenge that another node began. The package also serves a certificate from
// files.
//
// It does not decide which hosts belong to the server: Hosts does.
package certificates

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/terse/terse/store"
)

// Hosts decides which hosts may have a certificate. Implementations are safe for concurrent use
// and answer from memory: every TLS handshake asks.
type Hosts interface {
	// Allowed reports whether a host may have a certificate. host is canonical, see
	// store.CanonicalHost.
	Allowed(host string) bool
}

// LetsEncrypt is the default of Options.Directory.
const LetsEncrypt = certmagic.LetsEncryptProductionCA

// Options configure a Manager.
type Options struct {
	Store       store.Certificates // required: shared by all nodes
	Secret      []byte             // required: the key of the codes; the keys of this package are derived from it
	Hosts       Hosts              // required
	DefaultHost string             // required: the host of clients that send no name; canonical
	Logger      *slog.Logger       // required

	Directory  string                // URL of the authority's ACME directory; default LetsEncrypt
	Email      string                // for the authority to contact the operator; default none
	Roots      *x509.CertPool        // trusted for the connection to Directory; default the roots of the system
	EABKeyID   string                // id of an external account; default none
	EABKey     string                // MAC key of the external account, in base64url; required with EABKeyID
	Registerer prometheus.Registerer // default: no metrics

	// The listeners of this node, which answer challenges. Default: all addresses, 80 and 443.
	HTTP, HTTPS net.Addr

	DNS      string // HOST:PORT of the DNS server for the check before an order; default the resolver of the system
	HTTPPort int    // public port of HTTP; default 80

	// Control decides to which addresses that check may connect, as net.Dialer.Control. It is not
	// called for DefaultHost, whose address the operator chose. Default: all addresses.
	Control func(network, address string, c syscall.RawConn) error

	CheckEvery time.Duration    // between two searches for certificates to renew; default 1 min
	Settle     time.Duration    // from the first use of a host to its first order, so that all nodes know the host; default 5 s
	Now        func() time.Time // default time.Now
}

func (o Options) withDefaults() Options {
	o.Directory = cmp.Or(o.Directory, LetsEncrypt)
	o.Registerer = cmp.Or[prometheus.Registerer](o.Registerer, prometheus.NewRegistry())
	o.HTTP = cmp.Or[net.Addr](o.HTTP, &net.TCPAddr{Port: certmagic.HTTPChallengePort})
	o.HTTPS = cmp.Or[net.Addr](o.HTTPS, &net.TCPAddr{Port: certmagic.TLSALPNChallengePort})
	o.HTTPPort = cmp.Or(o.HTTPPort, certmagic.HTTPChallengePort)
	o.CheckEvery = cmp.Or(o.CheckEvery, time.Minute)
	o.Settle = cmp.Or(o.Settle, 5*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("certificates: Options."+problem))
		}
	}
	check(o.Store != nil, "Store is required")
	check(len(o.Secret) > 0, "Secret is required")
	check(o.Hosts != nil, "Hosts is required")
	check(o.DefaultHost != "", "DefaultHost is required")
	check(o.Logger != nil, "Logger is required")
	check((o.EABKeyID == "") == (o.EABKey == ""), "EABKeyID and EABKey are required together")
	return errors.Join(errs...)
}

// Manager obtains and renews certificates until Close. Safe for concurrent use.
type Manager struct {
	opts    Options
	storage *storage
	cache   *certmagic.Cache
	config  *certmagic.Config
	issuer  *certmagic.ACMEIssuer
	reach   reach
	metrics *metrics

	loading  singleflight.Group
	ordering chan struct{} // one element for each running order
	reading  chan struct{} // one element for each certificate that is being read

	mu      sync.Mutex
	managed map[string]time.Time // hosts of Manage, and the time of the call
	trying  map[string]bool      // managed hosts whose certificate is being loaded or ordered
	loaded  map[string]bool      // hosts with a certificate in the cache
	failed  map[string]failure   // the latest failure of each host on this node
	wake    chan struct{}        // has an element when managed has changed

	ctx        context.Context // of work that outlives a handshake; ends with Close
	stop       context.CancelFunc
	background sync.WaitGroup
}

// The work of one node at once.
const (
	maxOrders = 8
	maxLoads  = 16 // certificates that are read from the store
)

// New returns a Manager that renews certificates in the background.
func New(opts Options) (*Manager, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	sealing, err := newSealer(opts.Secret)
	if err != nil {
		return nil, err
	}
	token, err := deriveKey(opts.Secret, "reachability")
	if err != nil {
		return nil, err
	}
	m := &Manager{
		opts: opts, storage: newStorage(opts.Store, sealing, opts.Now), reach: newReach(token, &opts),
		ordering: make(chan struct{}, maxOrders), reading: make(chan struct{}, maxLoads),
		managed: map[string]time.Time{}, trying: map[string]bool{}, loaded: map[string]bool{}, failed: map[string]failure{}, wake: make(chan struct{}, 1),
	}
	if m.metrics, err = newMetrics(opts.Registerer, m.count); err != nil {
		return nil, err
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.configure()
	m.background.Go(m.keepManaged)
	return m, nil
}

// noEmail stands for no address. certmagic trims it, but would ask for an empty one on the terminal.
const noEmail = " "

// configure sets up certmagic. Its own messages are for debugging; the Manager logs results.
func (m *Manager) configure() {
	logger := zap.New(logCore{m.opts.Logger})
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return m.config, nil },
		RenewCheckInterval: m.opts.CheckEvery,
		Logger:             logger,
	})
	m.config = certmagic.New(m.cache, certmagic.Config{
		Storage: m.storage, Logger: logger, OnEvent: m.event, DisableStorageCheck: true,
		RenewalWindowRatio: 1.0 / 3, KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
		OCSP: certmagic.OCSPConfig{DisableStapling: true}, // authorities with ACME are ending OCSP
	})
	template := certmagic.ACMEIssuer{
		CA: m.opts.Directory, TestCA: m.opts.Directory, Email: cmp.Or(m.opts.Email, noEmail), Agreed: true, TrustedRoots: m.opts.Roots, Logger: logger,
		ListenHost: listenHost(m.opts.HTTP, m.opts.HTTPS), AltHTTPPort: portOf(m.opts.HTTP), AltTLSALPNPort: portOf(m.opts.HTTPS),
	}
	if m.opts.EABKeyID != "" {
		template.ExternalAccount = &acme.EAB{KeyID: m.opts.EABKeyID, MACKey: m.opts.EABKey}
	}
	m.issuer = certmagic.NewACMEIssuer(m.config, template)
	m.config.Issuers = []certmagic.Issuer{m.issuer}
}

// Close ends the work in the background, orders included, and waits for it until ctx ends.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	m.stop() // from here on, nothing new begins
	m.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.cache.Stop()
		m.background.Wait()
		m.storage.close()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("certificates: close: %w", ctx.Err())
	}
}

// deriveKey returns a key of 32 bytes for one purpose.
func deriveKey(secret []byte, purpose string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "terse "+purpose, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("certificates: derive the key for %s: %w", purpose, err)
	}
	return key, nil
}

func portOf(a net.Addr) int {
	_, text, err := net.SplitHostPort(a.String())
	port, bad := strconv.Atoi(text)
	if err != nil || bad != nil {
		return 0
	}
	return port
}

// listenHost returns the host of the listeners. certmagic connects there, and would start its own
// listener if no listener answered.
func listenHost(listeners ...net.Addr) string {
	for _, a := range listeners {
		if tcp, ok := a.(*net.TCPAddr); ok && len(tcp.IP) > 0 && !tcp.IP.IsUnspecified() {
			return tcp.IP.String()
		}
	}
	return ""
}

// CheckDirectory rejects text that is not the URL of an ACME directory.
func CheckDirectory(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%q must be the https URL of an ACME directory, such as %s", text, LetsEncrypt)
	}
	return nil
}

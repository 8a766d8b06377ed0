package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/mail"
	"net/netip"
	"net/url"
	"os"

	"github.com/terse/terse/api"
	"github.com/terse/terse/domains"
	"github.com/terse/terse/domains/certificates"
	"github.com/terse/terse/server"
	"github.com/terse/terse/store"
)

// httpsFlags are the settings for HTTPS. They have no default tags, so that a setting
// without --https on is reported as a problem.
type httpsFlags struct {
	HTTPS        string `name:"https" default:"off" placeholder:"on|off" help:"Serve HTTPS, with certificates by ACME or from files. Default: off." setting:""`
	HTTPListen   string `name:"http-listen" placeholder:"ADDRESS" help:"Address of HTTP beside HTTPS: redirects to HTTPS and answers challenges. Default: :80." setting:""`
	TLSCertFile  string `name:"tls-cert-file" placeholder:"FILE" help:"PEM file of the certificate and its chain, instead of ACME. Read again when it changes. Default: none." setting:""`
	TLSKeyFile   string `name:"tls-key-file" placeholder:"FILE" help:"PEM file of the private key. Required with --tls-cert-file." setting:""`
	ACMEURL      string `name:"acme-url" placeholder:"URL" help:"Directory of the certificate authority. Default: Let's Encrypt." setting:""`
	ACMEEmail    string `name:"acme-email" placeholder:"ADDRESS" help:"Your e-mail address, for messages of the certificate authority. Default: none." setting:""`
	ACMECAFile   string `name:"acme-ca-file" placeholder:"FILE" help:"PEM file of the roots that are trusted for the connection to --acme-url. Default: the roots of the system." setting:""`
	ACMEEABKeyID string `name:"acme-eab-key-id" placeholder:"ID" help:"Id of your account at a certificate authority that requires one. Default: none." setting:""`
	ACMEEABKey   string `name:"acme-eab-key" placeholder:"KEY" help:"Key of that account, in base64url. Required with --acme-eab-key-id." setting:"" secret:""`
	ACMEHTTPPort string `name:"acme-http-port" placeholder:"PORT" help:"Port to which the certificate authority sends HTTP challenges. Only private authorities use another port than 80. Default: 80." setting:""`
}

// httpsSettings are httpsFlags as the server uses them.
type httpsSettings struct {
	on         bool
	httpListen string
	certFile   string // empty: certificates by ACME
	keyFile    string
	acme       certificates.Options // only the options of the authority
}

// Default addresses with HTTPS.
const (
	defaultListen      = ":8080"
	defaultHTTPSListen = ":443"
	defaultHTTPListen  = ":80"
)

// read turns the flags into settings. baseURL may be empty or wrong.
func (f *httpsFlags) read(baseURL string, try func(name string, err error)) httpsSettings {
	s := httpsSettings{certFile: f.TLSCertFile, keyFile: f.TLSKeyFile}
	var err error
	s.on, err = parseSwitch(f.HTTPS)
	try("HTTPS", err)
	if err != nil {
		return s
	}
	acme := []struct{ name, value string }{
		{"ACME_URL", f.ACMEURL},
		{"ACME_EMAIL", f.ACMEEmail},
		{"ACME_CA_FILE", f.ACMECAFile},
		{"ACME_EAB_KEY_ID", f.ACMEEABKeyID},
		{"ACME_EAB_KEY", f.ACMEEABKey},
		{"ACME_HTTP_PORT", f.ACMEHTTPPort},
	}
	if !s.on {
		for _, other := range append(acme, struct{ name, value string }{"HTTP_LISTEN", f.HTTPListen},
			struct{ name, value string }{"TLS_CERT_FILE", f.TLSCertFile}, struct{ name, value string }{"TLS_KEY_FILE", f.TLSKeyFile}) {
			if other.value != "" {
				try(other.name, fmt.Errorf("requires %sHTTPS=on", envPrefix))
			}
		}
		return s
	}
	s.httpListen = cmp.Or(f.HTTPListen, defaultHTTPListen)
	try("HTTP_LISTEN", checkAddress(s.httpListen))
	files := f.TLSCertFile != "" || f.TLSKeyFile != ""
	try("BASE_URL", checkSecureBase(baseURL, files))
	if !files {
		s.acme = f.readACME(try)
		return s
	}
	for _, other := range acme {
		if other.value != "" {
			try(other.name, fmt.Errorf("is not used with %sTLS_CERT_FILE: remove one of them", envPrefix))
		}
	}
	switch {
	case f.TLSCertFile == "":
		try("TLS_CERT_FILE", fmt.Errorf("is required with %sTLS_KEY_FILE", envPrefix))
	case f.TLSKeyFile == "":
		try("TLS_KEY_FILE", fmt.Errorf("is required with %sTLS_CERT_FILE", envPrefix))
	default:
		_, err = tls.LoadX509KeyPair(f.TLSCertFile, f.TLSKeyFile)
		try("TLS_CERT_FILE", err)
	}
	return s
}

// readACME reads the settings of the certificate authority.
func (f *httpsFlags) readACME(try func(name string, err error)) certificates.Options {
	o := certificates.Options{Directory: f.ACMEURL, Email: f.ACMEEmail, EABKeyID: f.ACMEEABKeyID, EABKey: f.ACMEEABKey}
	if f.ACMEURL != "" {
		try("ACME_URL", certificates.CheckDirectory(f.ACMEURL))
	}
	if f.ACMEEmail != "" {
		if a, err := mail.ParseAddress(f.ACMEEmail); err != nil || a.Address != f.ACMEEmail {
			try("ACME_EMAIL", fmt.Errorf("%q must be an e-mail address", f.ACMEEmail))
		}
	}
	if f.ACMECAFile != "" {
		text, err := os.ReadFile(f.ACMECAFile)
		if o.Roots = x509.NewCertPool(); err == nil && !o.Roots.AppendCertsFromPEM(text) {
			err = fmt.Errorf("%s has no certificate in PEM", f.ACMECAFile)
		}
		try("ACME_CA_FILE", err)
	}
	if (f.ACMEEABKeyID == "") != (f.ACMEEABKey == "") {
		try("ACME_EAB_KEY_ID", fmt.Errorf("and %sACME_EAB_KEY are required together", envPrefix))
	}
	if _, err := base64.RawURLEncoding.DecodeString(f.ACMEEABKey); err != nil {
		try("ACME_EAB_KEY", errors.New("must be base64url without padding"))
	}
	if f.ACMEHTTPPort != "" {
		var err error
		o.HTTPPort, err = parseCount(f.ACMEHTTPPort, 65535)
		try("ACME_HTTP_PORT", err)
	}
	return o
}

func parseSwitch(s string) (bool, error) {
	if s != "on" && s != "off" {
		return false, fmt.Errorf("%q must be on or off", s)
	}
	return s == "on", nil
}

// checkSecureBase rejects a base URL that HTTPS cannot serve. A text that is no URL is reported
// elsewhere.
func checkSecureBase(baseURL string, files bool) error {
	if baseURL == "" {
		return fmt.Errorf("is required with %sHTTPS=on, such as https://sho.rt", envPrefix)
	}
	base, err := api.ParseBaseURL(baseURL)
	if err != nil {
		return nil // reported for the same setting
	}
	if base.Scheme != "https" {
		return fmt.Errorf("%q must begin with https:// with %sHTTPS=on", baseURL, envPrefix)
	}
	return checkSecureName(baseURL, base, files)
}

// checkSecureName rejects a URL whose host gets no certificate. text is u as it was given.
func checkSecureName(text string, u *url.URL, files bool) error {
	if _, err := netip.ParseAddr(u.Hostname()); err == nil && !files {
		return fmt.Errorf("%q must have a host name: certificates by ACME are for names", text)
	}
	return nil
}

// secure returns the TLS configuration of the public listener, and serves HTTP beside it. It
// returns nil without HTTPS.
func (p *process) secure(ctx context.Context, s *stores, public *server.Listener, app http.Handler) (*tls.Config, error) {
	if !p.settings.https.on {
		return nil, nil
	}
	plain, err := p.listener(ctx, plainSocket, "TERSE_HTTP_LISTEN", p.settings.https.httpListen)
	if err != nil {
		return nil, err
	}
	base, err := api.ParseBaseURL(p.settings.baseURL)
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	config, handler, err := p.certificates(ctx, s, base, app, plain.Addr(), public.Addr())
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	opts := server.Options{
		Listener: plain, Handler: handler, MaxConnections: p.settings.operation.maxConnections, Handshakes: handshakes,
		Trusted: p.settings.proxies, Logger: p.logger, Failed: p.failed,
	}
	if p.settings.proxyProtocol {
		opts.Proxies = p.settings.proxies
	}
	beside, err := server.Start(opts)
	if err != nil {
		return nil, err
	}
	p.open.push("http server", closeTimeout, beside.Shutdown)
	return config, nil
}

// statuses returns the statuses of certificates for the API, or nil without HTTPS. They are known
// before requests are served, but after the API is made.
func (p *process) statuses() api.Certificates {
	if !p.settings.https.on {
		return nil
	}
	return lateStatuses{p}
}

type lateStatuses struct{ p *process }

// Status implements api.Certificates.
func (s lateStatuses) Status(host string) store.CertificateStatus { return s.p.shown.Status(host) }

// certificates returns the TLS configuration, and the handler of HTTP.
func (p *process) certificates(ctx context.Context, s *stores, base *url.URL, app http.Handler, plain, public net.Addr) (*tls.Config, http.Handler, error) {
	host, err := store.CanonicalHost(base.Hostname())
	if err != nil {
		return nil, nil, err
	}
	hosts := servedHosts{base: host, domains: s.hosts}
	if p.settings.appURL != "" {
		app, err := api.ParseAppURL(p.settings.appURL, base)
		if err != nil {
			return nil, nil, err
		}
		if hosts.app, err = store.CanonicalHost(app.Hostname()); err != nil {
			return nil, nil, err
		}
	}
	handler := certificates.Redirect(certificates.RedirectOptions{Base: base, Hosts: hosts, Default: hosts.isDefault, App: app})
	get, err := p.filesOrACME(ctx, s, hosts, &handler, plain, public)
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.open.push("session tickets", closeTimeout, func(context.Context) error {
		stop()
		return nil
	})
	config, err := certificates.TLSConfig(ctx, get, s.codeKey)
	return config, handler, err
}

// filesOrACME returns the source of certificates. With ACME, the handler of HTTP answers
// challenges too.
func (p *process) filesOrACME(ctx context.Context, s *stores, hosts servedHosts, handler *http.Handler, plain, public net.Addr) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	if p.settings.https.certFile != "" {
		files, err := certificates.OpenFiles(certificates.FilesOptions{
			Certificate: p.settings.https.certFile, Key: p.settings.https.keyFile, Logger: p.logger, Registerer: p.registry,
		})
		if err != nil {
			return nil, err
		}
		p.background(ctx, "certificate files", files.Run)
		p.shown = files
		return files.GetCertificate, nil
	}
	options := p.settings.https.acme
	options.Store, options.Secret, options.Hosts, options.DefaultHost = s.certificates, s.codeKey, hosts, hosts.base
	options.DNS = p.settings.domains.dnsServer
	options.Control = domains.Guard(p.settings.domains.networks, cmp.Or(options.HTTPPort, domains.DefaultPort))
	options.HTTP, options.HTTPS, options.Logger, options.Registerer = plain, public, p.logger, p.registry
	manager, err := certificates.New(options)
	if err != nil {
		return nil, err
	}
	p.open.push("certificates", closeTimeout, manager.Close)
	*handler, p.shown = manager.Challenges(*handler), manager
	p.obtain = func() {
		p.background(ctx, "certificates of hosts", func(ctx context.Context) { hosts.obtain(ctx, manager.Manage) })
	}
	return manager.GetCertificate, nil
}

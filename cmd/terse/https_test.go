package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// writePair writes a self-signed certificate for localhost and its private key.
func writePair(t *testing.T, certificate, key string) *x509.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	writeFile(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})))
	writeFile(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	return parsed
}

// secureSettings returns the settings of a server with a certificate from files.
func secureSettings(t *testing.T) (environ []string, certificate, key string) {
	t.Helper()
	folder := t.TempDir()
	certificate, key = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	writePair(t, certificate, key)
	port, err := testenv.FreePort(t.Context())
	must(t, err)
	plain, err := testenv.FreePort(t.Context())
	must(t, err)
	return []string{
		"TERSE_HTTPS=on", fmt.Sprintf("TERSE_LISTEN=127.0.0.1:%d", port), fmt.Sprintf("TERSE_BASE_URL=https://localhost:%d", port),
		fmt.Sprintf("TERSE_HTTP_LISTEN=127.0.0.1:%d", plain), "TERSE_TLS_CERT_FILE=" + certificate, "TERSE_TLS_KEY_FILE=" + key,
	}, certificate, key
}

// served returns the certificate that a server shows.
func (p *node) served() (*x509.Certificate, error) {
	conn, err := tls.Dial("tcp", strings.Replace(strings.TrimPrefix(p.url, "https://"), "localhost", "127.0.0.1", 1), &tls.Config{ServerName: "localhost", InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	return conn.ConnectionState().PeerCertificates[0], conn.Close()
}

// TestCertificateFiles serves a certificate from files, and replaces it while the server runs.
func TestCertificateFiles(t *testing.T) {
	t.Parallel()
	environ, certificate, key := secureSettings(t)
	p := start(t, dataDir(t), environ...)
	first, err := p.served()
	must(t, err)
	c := client(t)
	code, err := shorten(c, p.url, "https://example.com/")
	must(t, err)
	plain := "http" + strings.TrimPrefix(environ[3], "TERSE_HTTP_LISTEN") // =127.0.0.1:PORT
	plain = strings.Replace(plain, "=", "://", 1)
	status, header := ask(t, c, http.MethodGet, plain+"/"+code, "", "")
	if want := p.url + "/" + code; status != http.StatusPermanentRedirect || header.Get("Location") != want {
		t.Errorf("HTTP = %d to %q, want 308 to %s", status, header.Get("Location"), want)
	}
	if status, header := ask(t, c, http.MethodGet, p.url+"/"+code, "", ""); status != http.StatusFound || header.Get("Strict-Transport-Security") == "" {
		t.Errorf("HTTPS = %d %v, want 302 with Strict-Transport-Security", status, header)
	}
	writeFile(t, certificate, "not a certificate")
	testenv.Await(t, "the wrong file to be logged", func() bool { return strings.Contains(p.log.String(), "the old one stays") })
	if kept, err := p.served(); err != nil || !kept.Equal(first) {
		t.Errorf("certificate with a wrong file = %v, want the old one", err)
	}
	second := writePair(t, certificate, key)
	testenv.Await(t, "the new certificate", func() bool {
		got, err := p.served()
		return err == nil && got.Equal(second)
	})
	if got := p.metric("terse_certificate_expires_timestamp_seconds"); got != float64(second.NotAfter.Unix()) {
		t.Errorf("terse_certificate_expires_timestamp_seconds = %v, want %d", got, second.NotAfter.Unix())
	}
}

// TestPlainHTTPOfDomains requests hosts in all states by HTTP beside HTTPS. No host leads to the
// links of another one.
func TestPlainHTTPOfDomains(t *testing.T) {
	t.Parallel()
	environ, _, _ := secureSettings(t)
	p, key := startWithKey(t, "admin", environ...)
	c := client(t)
	plain := "http://" + strings.TrimPrefix(environ[3], "TERSE_HTTP_LISTEN=")
	check := func(host string, want int, location string) {
		t.Helper()
		status, header := ask(t, c, http.MethodGet, plain+"/spring", "", "", "Host", host)
		if got := header.Get("Location"); status != want || got != location {
			t.Errorf("GET /spring of %s = %d to %q, want %d to %q", host, status, got, want, location)
		}
	}
	check("other.example.com", http.StatusPermanentRedirect, p.url+"/spring")
	for _, body := range []string{`{"host":"pending.example.com"}`, `{"host":"go.example.com","aliases":["*.go.example.com"],"verified":true}`} {
		status, _ := ask(t, c, http.MethodPost, p.url+"/api/v1/domains", "application/json", body, "Authorization", "Bearer "+strings.TrimPrefix(key[1], "TERSE_API_KEY="))
		if status != http.StatusCreated {
			t.Fatalf("POST %s = %d, want 201", body, status)
		}
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(p.url, "https://"), ":")
	check("localhost", http.StatusPermanentRedirect, p.url+"/spring")
	check("go.example.com", http.StatusPermanentRedirect, "https://go.example.com:"+port+"/spring")
	check("any.go.example.com", http.StatusNotFound, "")
	check("*.go.example.com", http.StatusNotFound, "")
	check("pending.example.com", http.StatusMisdirectedRequest, "")
	check("other.example.com", http.StatusMisdirectedRequest, "")
}

// TestWrongHTTPSSettings checks that all problems are reported at once.
func TestWrongHTTPSSettings(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	certificate, key := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	writePair(t, certificate, key)
	writePair(t, filepath.Join(folder, "other.crt"), key)
	for _, tt := range []struct {
		name    string
		environ []string
		want    []string
	}{
		{"off", []string{"TERSE_HTTP_LISTEN=:80", "TERSE_ACME_URL=https://ca.example", "TERSE_TLS_KEY_FILE=x", "TERSE_ACME_EAB_KEY=a2V5"}, []string{"HTTP_LISTEN: requires", "ACME_URL: requires", "TLS_KEY_FILE: requires", "ACME_EAB_KEY: requires"}},
		{"neither", []string{"TERSE_HTTPS=true"}, []string{`HTTPS: "true" must be on or off`}},
		{"without a base URL", []string{"TERSE_HTTPS=on"}, []string{"BASE_URL: is required"}},
		{"plain base URL", []string{"TERSE_HTTPS=on", "TERSE_BASE_URL=http://sho.rt"}, []string{"BASE_URL: ", "https://"}},
		{"address", []string{"TERSE_HTTPS=on", "TERSE_BASE_URL=https://127.0.0.1"}, []string{"must have a host name"}},
		{"authority", []string{"TERSE_HTTPS=on", "TERSE_BASE_URL=https://sho.rt", "TERSE_ACME_URL=http://ca", "TERSE_ACME_EMAIL=ops", "TERSE_ACME_CA_FILE=" + key, "TERSE_ACME_EAB_KEY=+/", "TERSE_ACME_HTTP_PORT=0", "TERSE_HTTP_LISTEN=80"}, []string{"ACME_URL: ", "ACME_EMAIL: ", "ACME_CA_FILE: ", "ACME_EAB_KEY_ID: ", "ACME_EAB_KEY: ", "ACME_HTTP_PORT: ", "HTTP_LISTEN: "}},
		{"files and authority", []string{"TERSE_HTTPS=on", "TERSE_BASE_URL=https://sho.rt", "TERSE_TLS_CERT_FILE=" + certificate, "TERSE_ACME_EMAIL=ops@a.example"}, []string{"TLS_KEY_FILE: is required", "ACME_EMAIL: is not used"}},
		{"other key", []string{"TERSE_HTTPS=on", "TERSE_BASE_URL=https://sho.rt", "TERSE_TLS_CERT_FILE=" + certificate, "TERSE_TLS_KEY_FILE=" + key}, []string{"TLS_CERT_FILE: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := terse(t, append(tt.environ, "TERSE_DATA_DIR="+dataDir(t), "TERSE_ADMIN_LISTEN=127.0.0.1:0"), "serve")
			if got.status != 2 {
				t.Errorf("serve = %+v, want status 2", got)
			}
			for _, want := range tt.want {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("stderr lacks %q: %s", want, got.stderr)
				}
			}
		})
	}
}

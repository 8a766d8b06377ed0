//go:build unix

package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// documented returns the commands in a section of a page, in order.
func documented(t *testing.T, page, heading string) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	must(t, err)
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", page, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		commands = append(commands, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	return commands
}

// TestDocumentedDomain does what docs/domains.md tells a new user, in this order: from no database to
// a link on a custom domain with a certificate. The authority is Pebble, and the ports are not those
// of the page.
func TestDocumentedDomain(t *testing.T) {
	t.Parallel()
	const host = "go.example.com"
	plain, https, dns := newBalancer(t), newBalancer(t), testenv.NewDNS(t)
	ca := testenv.NewPebble(t, testenv.PebbleOptions{HTTPPort: plain.port(), TLSPort: https.port()})
	base := "https://" + net.JoinHostPort("localhost", strconv.Itoa(https.port()))
	dns.Set("localhost", testenv.DNSName{Addrs: []string{"127.0.0.1"}})
	// connect returns the certificates that the server shows for a name.
	connect := func(name string) (chain []*x509.Certificate, err error) {
		conn, err := tls.Dial("tcp", https.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			return nil, err
		}
		return conn.ConnectionState().PeerCertificates, conn.Close()
	}
	environ := []string{"HOME=" + t.TempDir()}
	var node *program
	var token, short string
	ran := map[string]bool{}
	for _, line := range documented(t, "../docs/domains.md", "From nothing to a working domain") {
		line = strings.ReplaceAll(line, "https://sho.rt", base)
		before, arguments, _ := strings.Cut(line, "terse ")
		args := strings.Fields(arguments)
		name := strings.Join(args[:min(2, len(args))], " ")
		ran[name] = true
		switch {
		case args[0] == "serve":
			port, err := testenv.FreePort(t.Context())
			must(t, err)
			beside := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
			plain.use(beside)
			node = start(t, append(strings.Fields(before), "TERSE_HTTP_LISTEN="+beside, "TERSE_ACME_URL="+ca.Directory(), "TERSE_ACME_CA_FILE="+ca.CAFile(),
				"TERSE_ACME_HTTP_PORT="+strconv.Itoa(plain.port()), "TERSE_DNS_SERVER="+dns.Addr(), "TERSE_DOMAINS_NETWORKS=127.0.0.0/8")...)
			https.use(node.Addr())
			var chain []*x509.Certificate
			testenv.Await(t, "the certificate of the server", func() bool {
				chain, err = connect("localhost")
				return err == nil
			})
			roots := filepath.Join(t.TempDir(), "roots.pem")
			writeFile(t, roots, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[len(chain)-1].Raw})))
			environ = append(environ, "SSL_CERT_FILE="+roots)
		case name == "key create":
			created := runCommand(t, node.Command(t.Context(), args...))
			created.want(t, line, 0)
			token = strings.TrimSpace(created.stdout)
		case args[0] == "login":
			terseReading(t, token+"\n", environ, args...).want(t, line, 0)
		case name == "domain add":
			added := terse(t, environ, args...)
			added.want(t, line, 0)
			for _, r := range regexp.MustCompile(`(?m)^(CNAME|TXT) +(\S+) +(\S+)$`).FindAllStringSubmatch(added.stdout, -1) {
				records := testenv.DNSName{CNAME: r[3]}
				if r[1] == "TXT" {
					records = testenv.DNSName{TXT: []string{r[3]}}
				}
				dns.Set(r[2], records)
			}
		case name == "domain verify":
			terse(t, environ, args...).want(t, line, 0, "HTTP", "ok")
		case name == "domain show":
			testenv.Await(t, "the certificate of the domain", func() bool {
				return strings.Contains(terse(t, environ, args...).stdout, "certificate  valid until ")
			})
			terse(t, environ, args...).want(t, line, 0, "state        active", ", by Pebble")
		default:
			got := terse(t, environ, args...)
			got.want(t, line, 0)
			short = strings.TrimSpace(got.stdout)
		}
	}
	for _, name := range []string{"serve", "key create", "domain add", "domain verify", "domain show"} {
		if !ran[name] {
			t.Errorf("the page has no command terse %s", name)
		}
	}
	code, ours := strings.CutPrefix(short, "https://"+net.JoinHostPort(host, strconv.Itoa(https.port()))+"/")
	if !ours {
		t.Fatalf("short URL = %q, want one on %s", short, host)
	}
	chain, err := connect(host)
	must(t, err)
	if err := chain[0].VerifyHostname(host); err != nil {
		t.Errorf("certificate of the domain: %v", err)
	}
	f := secureFleet{https: https}
	for path, want := range map[string]int{"/" + code: http.StatusFound, "/unknown": http.StatusNotFound} {
		response, err := f.getOf(t.Context(), host, path) //nolint:bodyclose // getOf closes it
		must(t, err)
		if got := response.Header.Get("Location"); response.StatusCode != want || want == http.StatusFound && got != "https://example.com/page" {
			t.Errorf("GET %s of %s = %d to %q, want %d", path, host, response.StatusCode, got, want)
		}
	}
}

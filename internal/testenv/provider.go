//go:build unix

package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// Person is a person at a Provider, who signs in with Username and Password.
type Person struct {
	Username, Password, FirstName, LastName, Email string
	Groups                                         []string
}

// Client of a Provider.
const (
	ProviderClientID     = "web"
	ProviderClientSecret = "secret"
)

// Provider is an identity provider that speaks OpenID Connect. It knows the people of SetPeople. Safe for
// concurrent use.
type Provider struct {
	Server
}

// NewProvider starts a Provider that ends with the test. It sends people back to redirect. Failure is
// fatal.
func NewProvider(tb testing.TB, redirect string) *Provider {
	tb.Helper()
	_, file, _, _ := runtime.Caller(0)
	program := filepath.Join(filepath.Dir(file), "..", "..", "bin", "provider")
	if _, err := os.Stat(program); err != nil {
		tb.Fatalf("the identity provider is not installed: make test-tools: %v", err)
	}
	f, err := newFolder(Location{Name: "provider"})
	if err != nil {
		tb.Fatal(err)
	}
	p := &Provider{Server: Server{folder: f, name: "provider", stop: syscall.SIGTERM, launch: func(port int) ([]string, error) {
		return []string{program, "-listen", address(port), "-people", f.join("people.json"), "-redirect", redirect}, nil
	}, ready: func(ctx context.Context, addr string, _ int) (bool, error) {
		status, err := status(ctx, "http://"+addr+"/.well-known/openid-configuration")
		return status == http.StatusOK, err
	}}}
	atEnd(tb, f.close)
	p.SetPeople(tb, nil)
	if err := p.Start(tb.Context()); err != nil {
		tb.Fatal(fmt.Errorf("start the identity provider: %w", err))
	}
	return p
}

// SetPeople sets the people by their subjects. Failure is fatal.
func (p *Provider) SetPeople(tb testing.TB, people map[string]Person) {
	tb.Helper()
	text, err := json.Marshal(people) //nolint:gosec // passwords of tests
	if err == nil {
		err = p.folder.write("people.json", string(text))
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Issuer returns its issuer.
func (p *Provider) Issuer() string { return "http://" + p.Addr() }

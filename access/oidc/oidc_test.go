package oidc_test

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/access"
	"github.com/terse/terse/access/oidc"
	"github.com/terse/terse/store"
)

const (
	clientID     = "client"
	clientSecret = "9f86d081884c7d659a2feaa0c55ad015"

	requestTimeout = time.Minute // no test may depend on the speed of the machine
)

// attempt is the sign-in of the tests.
var attempt = access.Attempt{Provider: "corp", State: "state", Verifier: strings.Repeat("v", 64), Nonce: "nonce"}

var keys = sync.OnceValues(func() (own, other *rsa.PrivateKey) {
	for _, key := range []**rsa.PrivateKey{&own, &other} {
		made, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		*key = made
	}
	return own, other
})

// issuer is an identity provider that answers as a test wants, also wrongly.
type issuer struct {
	*httptest.Server
	claims    map[string]any // of the ID token
	algorithm string         // RS256, none or HS256
	key       *rsa.PrivateKey
	info      map[string]any // answer of the UserInfo endpoint; nil: there is none
	issuer    string         // in the discovery document
	status    int            // of the token endpoint; 0: 200

	broken map[string]http.HandlerFunc // answers of other endpoints, by path
	sent   url.Values                  // to the token endpoint
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	own, _ := keys()
	i := &issuer{algorithm: "RS256", key: own}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, body any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(body); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		document := map[string]any{
			"issuer": i.issuer, "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}, "scopes_supported": []string{"openid", "groups"},
		}
		if i.info != nil {
			document["userinfo_endpoint"] = i.URL + "/userinfo"
		}
		answer(w, document)
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": base64.RawURLEncoding.EncodeToString(own.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(own.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		i.sent = r.PostForm
		if i.status != 0 {
			w.WriteHeader(i.status)
			return
		}
		answer(w, map[string]any{"access_token": "at", "token_type": "Bearer", "expires_in": 60, "id_token": i.sign(t)})
	})
	mux.HandleFunc("/userinfo", func(w http.ResponseWriter, _ *http.Request) { answer(w, i.info) })
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if instead := i.broken[r.URL.Path]; instead != nil {
			instead(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(i.Close)
	i.issuer = i.URL
	i.claims = map[string]any{
		"iss": i.URL, "aud": clientID, "sub": "248289761001", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "nonce": attempt.Nonce,
		"name": "Ann", "groups": []string{"Sales", "IT"},
	}
	return i
}

// sign returns the ID token.
func (i *issuer) sign(t *testing.T) string {
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(map[string]string{"alg": i.algorithm, "kid": "1", "typ": "JWT"}) + "." + part(i.claims)
	var signature []byte
	switch i.algorithm {
	case "RS256":
		sum := sha256.Sum256([]byte(text))
		var err error
		if signature, err = rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:]); err != nil {
			t.Error(err)
		}
	case "HS256":
		mac := hmac.New(sha256.New, []byte(clientSecret))
		mac.Write([]byte(text))
		signature = mac.Sum(nil)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (i *issuer) provider(t *testing.T, client *http.Client) *oidc.Provider {
	t.Helper()
	p, err := oidc.New(oidc.Options{
		Name: "corp", Issuer: i.URL, ClientID: clientID, ClientSecret: clientSecret, RedirectURL: "https://sho.rt/~/with/corp/back", Client: client,
		Grants: []access.Grant{
			{Group: "Sales", Workspace: "marketing", Role: store.RoleEditor},
			{Group: "IT", Workspace: "marketing", Role: store.RoleManager},
			{Group: "Guests", Workspace: "guests", Role: store.RoleViewer},
			{Group: "IT", Workspace: "marketing", Role: store.RoleViewer},
			{Group: access.AllPeople, Workspace: "default", Role: store.RoleViewer},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPerson(t *testing.T) {
	t.Parallel()
	all := map[string]store.Role{"default": store.RoleViewer}
	with := func(workspace string, role store.Role) map[string]store.Role {
		roles := maps.Clone(all)
		roles[workspace] = role
		return roles
	}
	for name, tt := range map[string]struct {
		change func(i *issuer)
		name   string
		roles  map[string]store.Role
	}{
		"the widest role":     {func(*issuer) {}, "Ann", with("marketing", store.RoleManager)},
		"one group as a text": {func(i *issuer) { i.claims["groups"] = "Sales" }, "Ann", with("marketing", store.RoleEditor)},
		"the claim roles":     {func(i *issuer) { delete(i.claims, "groups"); i.claims["roles"] = []string{"Guests"} }, "Ann", with("guests", store.RoleViewer)},
		"no groups":           {func(i *issuer) { delete(i.claims, "groups") }, "Ann", all},
		"other case":          {func(i *issuer) { i.claims["groups"] = []string{"sales", "*"} }, "Ann", all},
		"groups from UserInfo": {func(i *issuer) {
			delete(i.claims, "groups")
			i.info = map[string]any{"sub": "248289761001", "groups": []string{"Guests"}}
		}, "Ann", with("guests", store.RoleViewer)},
		"name from the user name":  {func(i *issuer) { delete(i.claims, "name"); i.claims["preferred_username"] = "ann" }, "ann", with("marketing", store.RoleManager)},
		"a name that is too long":  {func(i *issuer) { i.claims["name"] = strings.Repeat("x", 101) }, "248289761001", with("marketing", store.RoleManager)},
		"a name with control text": {func(i *issuer) { i.claims["name"] = "a\x00\nb"; i.claims["email"] = "ann@example.com" }, "ann@example.com", with("marketing", store.RoleManager)},
		"two audiences with azp":   {func(i *issuer) { i.claims["aud"] = []string{clientID, "other"}; i.claims["azp"] = clientID }, "Ann", with("marketing", store.RoleManager)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			tt.change(i)
			got, err := i.provider(t, nil).Person(t.Context(), attempt, "code", i.URL)
			want := access.Person{Issuer: i.URL, Subject: "248289761001", Name: tt.name, Roles: tt.roles}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("Person = %+v, %v, want %+v", got, err, want)
			}
			if i.sent.Get("code") != "code" || i.sent.Get("code_verifier") != attempt.Verifier || i.sent.Get("redirect_uri") != "https://sho.rt/~/with/corp/back" {
				t.Errorf("the token endpoint got %v", i.sent)
			}
		})
	}
}

// TestIssuerOfGoogle reads ID tokens with both spellings of the issuer of Google: the person is the same.
func TestIssuerOfGoogle(t *testing.T) {
	t.Parallel()
	const google = "https://accounts.google.com"
	i := newIssuer(t)
	i.issuer = google
	local, err := url.Parse(i.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host = local.Scheme, local.Host
		return http.DefaultTransport.RoundTrip(r)
	})}
	p, err := oidc.New(oidc.Options{Name: "google", Issuer: google, ClientID: clientID, ClientSecret: clientSecret, RedirectURL: "https://sho.rt", Client: client})
	if err != nil {
		t.Fatal(err)
	}
	for _, spelling := range []string{google, "accounts.google.com"} {
		i.claims["iss"] = spelling
		got, err := p.Person(t.Context(), attempt, "code", "")
		if err != nil || got.Issuer != google {
			t.Errorf("Person of the issuer %q = %+v, %v, want the issuer %q", spelling, got, err, google)
		}
	}
}

func TestPersonRefuses(t *testing.T) {
	t.Parallel()
	claim := func(name string, value any) func(i *issuer) { return func(i *issuer) { i.claims[name] = value } }
	for name, tt := range map[string]struct {
		change func(i *issuer)
		want   error
	}{
		"another issuer in the token":      {claim("iss", "https://evil.example"), access.ErrAnswer},
		"another audience":                 {claim("aud", "other"), access.ErrAnswer},
		"two audiences without azp":        {claim("aud", []string{clientID, "other"}), access.ErrAnswer},
		"another azp":                      {claim("azp", "other"), access.ErrAnswer},
		"another nonce":                    {claim("nonce", "other"), access.ErrAnswer},
		"no nonce":                         {func(i *issuer) { delete(i.claims, "nonce") }, access.ErrAnswer},
		"expired":                          {claim("exp", time.Now().Add(-time.Hour).Unix()), access.ErrAnswer},
		"no end":                           {func(i *issuer) { delete(i.claims, "exp") }, access.ErrAnswer},
		"not valid yet":                    {claim("nbf", time.Now().Add(time.Hour).Unix()), access.ErrAnswer},
		"no subject":                       {func(i *issuer) { delete(i.claims, "sub") }, access.ErrAnswer},
		"groups that are no texts":         {claim("groups", []any{map[string]string{"id": "Sales"}}), access.ErrAnswer},
		"unsigned":                         {func(i *issuer) { i.algorithm = "none" }, access.ErrAnswer},
		"signed with the client secret":    {func(i *issuer) { i.algorithm = "HS256" }, access.ErrAnswer},
		"signed with another key":          {func(i *issuer) { _, i.key = keys() }, access.ErrAnswer},
		"a code that the provider refuses": {func(i *issuer) { i.status = http.StatusBadRequest }, access.ErrAnswer},
		"UserInfo of another person":       {func(i *issuer) { delete(i.claims, "groups"); i.info = map[string]any{"sub": "other"} }, access.ErrAnswer},
		"groups elsewhere": {func(i *issuer) {
			delete(i.claims, "groups")
			i.claims["_claim_names"] = map[string]string{"groups": "src1"}
			i.claims["_claim_sources"] = map[string]any{"src1": map[string]string{"endpoint": i.URL + "/groups"}}
		}, access.ErrTooManyGroups},
		"a provider that fails":           {func(i *issuer) { i.status = http.StatusBadGateway }, access.ErrProvider},
		"another issuer in the discovery": {func(i *issuer) { i.issuer = "https://evil.example" }, access.ErrProvider},
		"a provider that is down":         {func(i *issuer) { i.Close() }, access.ErrProvider},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			tt.change(i)
			if got, err := i.provider(t, nil).Person(t.Context(), attempt, "code", ""); !errors.Is(err, tt.want) {
				t.Errorf("Person = %+v, %v, want %v", got, err, tt.want)
			}
		})
	}
	i := newIssuer(t)
	if got, err := i.provider(t, nil).Person(t.Context(), attempt, "code", "https://evil.example"); !errors.Is(err, access.ErrAnswer) {
		t.Errorf("Person with the parameter iss of another provider = %+v, %v, want %v", got, err, access.ErrAnswer)
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	address, err := i.provider(t, nil).URL(t.Context(), attempt)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(attempt.Verifier))
	for name, want := range map[string]string{
		"response_type": "code", "client_id": clientID, "state": attempt.State, "nonce": attempt.Nonce, "scope": "openid profile email groups",
		"code_challenge": base64.RawURLEncoding.EncodeToString(sum[:]), "code_challenge_method": "S256", "redirect_uri": "https://sho.rt/~/with/corp/back",
	} {
		if got := u.Query().Get(name); got != want {
			t.Errorf("the address has %s = %q, want %q", name, got, want)
		}
	}
}

// TestBrokenEndpoints asks a provider of which one endpoint fails. That is a failure of the provider, and no answer about
// the person.
func TestBrokenEndpoints(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, answer := range map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the client has left
			<-r.Context().Done()
		},
		"drops the connection":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"is unavailable":        status(http.StatusServiceUnavailable),
		"has too many requests": status(http.StatusTooManyRequests),
		"answers with a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<h1>Maintenance</h1>"))
		},
	} {
		for _, path := range []string{"/keys", "/userinfo", "/token"} {
			t.Run(path+" "+name, func(t *testing.T) {
				t.Parallel()
				i := newIssuer(t)
				delete(i.claims, "groups")
				i.info, i.broken = map[string]any{"sub": i.claims["sub"]}, map[string]http.HandlerFunc{path: answer}
				client := &http.Client{Timeout: requestTimeout}
				if name == "hangs" {
					client.Timeout = 100 * time.Millisecond
				}
				if got, err := i.provider(t, client).Person(t.Context(), attempt, "code", ""); !errors.Is(err, access.ErrProvider) || errors.Is(err, access.ErrAnswer) {
					t.Errorf("Person = %+v, %v, want %v", got, err, access.ErrProvider)
				}
			})
		}
	}
}

// TestProviderThatHangs asks a provider that does not answer, and then one that does.
func TestProviderThatHangs(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	var mu sync.Mutex
	hang := true
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		hangs := hang
		mu.Unlock()
		if hangs {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return http.DefaultTransport.RoundTrip(r)
	}), Timeout: 100 * time.Millisecond}
	p := i.provider(t, client)
	if _, err := p.URL(t.Context(), attempt); !errors.Is(err, access.ErrProvider) {
		t.Errorf("URL of a provider that hangs = %v, want %v", err, access.ErrProvider)
	}
	mu.Lock()
	hang = false
	client.Timeout = time.Minute
	mu.Unlock()
	if _, err := p.URL(t.Context(), attempt); err != nil {
		t.Errorf("URL of a provider that answers again = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.provider(t, client).URL(ctx, attempt); !errors.Is(err, access.ErrProvider) {
		t.Errorf("URL for a client that has left = %v, want %v", err, access.ErrProvider)
	}
}

type roundTripper func(r *http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNewReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := oidc.New(oidc.Options{})
	for _, field := range []string{"Name", "Issuer", "ClientID", "ClientSecret", "RedirectURL"} {
		if err == nil || !strings.Contains(err.Error(), "oidc: Options."+field+" is required") {
			t.Errorf("New() = %v, want an error that names %s", err, field)
		}
	}
}

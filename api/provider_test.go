//go:build unix

package api_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/terse/terse/access"
	"github.com/terse/terse/access/oidc"
	"github.com/terse/terse/api"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// attemptCookie is the name of the cookie of a sign-in at an identity provider.
const attemptCookie = "__Host-terse-signin"

// signInAt signs a person in at the provider, after the server has led to address. It returns the path on the server
// to which the provider sends the person.
func signInAt(t *testing.T, address, name, password string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	back := ""
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), baseURL) {
			back = r.URL.RequestURI()
			return http.ErrUseLastResponse
		}
		return nil
	}}
	read := func(r *http.Response, err error) string {
		t.Helper()
		must(t, err)
		body, err := io.ReadAll(r.Body)
		must(t, err)
		must(t, r.Body.Close())
		return string(body)
	}
	r, err := browser.Get(address) //nolint:noctx,bodyclose // ends with the provider; read closes the body
	must(t, err)
	form := r.Request.URL
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(read(r, nil))
	if id == nil {
		t.Fatalf("the provider at %s shows no form to sign in", form)
	}
	body := read(browser.PostForm(form.Scheme+"://"+form.Host+form.Path, url.Values{"username": {name}, "password": {password}, "id": {id[1]}})) //nolint:noctx,bodyclose // as above
	if back == "" {
		t.Fatalf("the provider does not send the person back: %s", body)
	}
	return back
}

// TestSignInAtAProvider signs people in at a real identity provider, and changes their groups there.
func TestSignInAtAProvider(t *testing.T) {
	t.Parallel()
	idp := testenv.NewProvider(t, baseURL+api.ProviderBackPath("corp"))
	corp, err := oidc.New(oidc.Options{
		Name: "corp", Issuer: idp.Issuer(), ClientID: testenv.ProviderClientID, ClientSecret: testenv.ProviderClientSecret, RedirectURL: baseURL + api.ProviderBackPath("corp"),
		Grants: []access.Grant{{Group: "Sales", Workspace: "marketing", Role: store.RoleEditor}, {Group: "Guests", Workspace: "marketing", Role: store.RoleViewer}},
	})
	must(t, err)
	var logged bytes.Buffer
	s := newServer(t, func(o *options) {
		o.Providers, o.Logger = []api.Provider{corp}, slog.New(slog.NewJSONHandler(&logged, nil))
	})
	set := func(email string, groups ...string) {
		idp.SetPeople(t, map[string]testenv.Person{"1001": {Username: "ann", Password: "verysecure", FirstName: "Ann", LastName: "Lee", Email: email, Groups: groups}})
	}
	// leave begins a sign-in. It returns the address at the provider, and the cookie.
	leave := func(query string, headers ...string) (address string, cookie []string) {
		t.Helper()
		a := s.get("/~/with/corp"+query, headers...)
		cookies := (&http.Response{Header: a.header}).Cookies()
		if a.status != http.StatusSeeOther || len(cookies) != 1 || cookies[0].Name != attemptCookie || !cookies[0].Secure || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode {
			t.Fatalf("the way to the provider = %d with the cookies %v: %.300s", a.status, cookies, a.body)
		}
		return a.header.Get("Location"), []string{"Cookie", attemptCookie + "=" + cookies[0].Value}
	}
	// sessionOf returns the session that an answer begins, or nil.
	sessionOf := func(a answer) []string {
		for _, c := range (&http.Response{Header: a.header}).Cookies() {
			if c.Name == cookieName && c.Value != "" {
				return []string{"Cookie", c.Name + "=" + c.Value}
			}
		}
		return nil
	}
	signIn := func(query string) (answer, visitor) {
		t.Helper()
		address, cookie := leave(query)
		a := s.get(signInAt(t, address, "ann", "verysecure"), cookie...)
		return a, visitor{s, sessionOf(a)}
	}
	refused := func(name string, a answer, status int, reason string) {
		t.Helper()
		if a.status != status || sessionOf(a) != nil || !strings.Contains(string(a.body), reason) || !strings.Contains(string(a.body), `name="key"`) {
			t.Errorf("%s = %d %.1500s, want %d with %q, the form for keys, and no session", name, a.status, a.body, status, reason)
		}
	}
	status := func(name string, v visitor, path string, want int) {
		t.Helper()
		if got := v.open(path).status; got != want {
			t.Errorf("%s: GET %s = %d, want %d", name, path, got, want)
		}
	}

	if page := string(s.get("/~/sign-in?return_to=/~/new").body); !strings.Contains(page, `href="/~/with/corp?return_to=%2F~%2Fnew"`) {
		t.Errorf("the page to sign in has no way to the provider: %s", page)
	}
	set("ann@example.com")
	a, _ := signIn("")
	refused("a person without groups", a, http.StatusForbidden, "None of your groups")

	set("ann@example.com", "Guests", "Other")
	a, guest := signIn("?return_to=/~/links?q=x")
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/~/links?q=x" {
		t.Fatalf("the sign-in of a guest = %d to %q: %.600s", a.status, a.header.Get("Location"), a.body)
	}
	status("a guest", guest, "/~/links", http.StatusOK)
	status("a guest", guest, "/~/new", http.StatusForbidden)

	set("ann@example.org", "Sales") // another address, and another group
	a, editor := signIn("")
	status("an editor", editor, "/~/new", http.StatusOK)
	status("the session of the role before", guest, "/~/links", http.StatusSeeOther)
	members, err := s.access.Members(t.Context(), administrator(), "marketing")
	if err != nil || len(members) != 1 || members[0].Name != "Ann Lee" || members[0].Member.Subject != "1001" || members[0].Member.Issuer != idp.Issuer() {
		t.Errorf("the members are %+v, %v, want Ann once, by her subject", members, err)
	}
	set("ann@example.org")
	a, _ = signIn("")
	refused("a person who lost the groups", a, http.StatusForbidden, "None of your groups")
	status("the session of a person who lost the groups", editor, "/~/links", http.StatusSeeOther)

	set("ann@example.org", "Sales")
	for to, want := range map[string]string{"https://evil.example/": "/~/links", "//evil.example": "/~/links", "/~/../x": "/~/links", "/~/new": "/~/new", "/~/links?q=" + strings.Repeat("x", 2000): "/~/links"} {
		if a, _ := signIn("?" + url.Values{"return_to": {to}}.Encode()); a.header.Get("Location") != want {
			t.Errorf("return_to %q leads to %q, want %q", to, a.header.Get("Location"), want)
		}
	}

	address, cookie := leave("")
	back := signInAt(t, address, "ann", "verysecure")
	otherAddress, otherCookie := leave("")
	otherBack := signInAt(t, otherAddress, "ann", "verysecure")
	refused("an answer without the cookie", s.get(back), http.StatusForbidden, "was not begun in this browser")
	refused("an answer in another browser", s.get(back, otherCookie...), http.StatusForbidden, "was not begun in this browser")
	refused("an answer without a code", s.get(regexp.MustCompile(`code=[^&]*`).ReplaceAllString(back, "code="), cookie...), http.StatusForbidden, "did not confirm")
	refused("an answer with an error", s.get(back+"&error=access_denied", cookie...), http.StatusForbidden, "did not confirm")
	for _, name := range []string{"server_error", "temporarily_unavailable"} {
		refused("an answer with "+name, s.get(back+"&error="+name, cookie...), http.StatusServiceUnavailable, "Try again in a moment")
	}
	_ = s.get(back+"&error=no%0Aconsent&error_description="+strings.Repeat("d", 400), cookie...)
	if got := logged.String(); !strings.Contains(got, `error \"no\\nconsent\", error_description \"`+strings.Repeat("d", 300)+`\"`) {
		t.Errorf("the log lacks the bounded and quoted reason of the provider: %s", got)
	}
	stolen := regexp.MustCompile(`code=[^&]*`).FindString(otherBack) // of another sign-in: PKCE refuses it
	refused("an answer with another code", s.get(regexp.MustCompile(`code=[^&]*`).ReplaceAllString(back, stolen), cookie...), http.StatusForbidden, "did not confirm")
	fixed := "tk_" + strings.Repeat("0", 64)
	a = s.get(back, "Cookie", cookieName+"="+fixed+"; "+cookie[1])
	if session := sessionOf(a); session == nil || strings.Contains(session[1], fixed) {
		t.Errorf("a sign-in with a fixed token = %d %v, want a new session", a.status, session)
	}
	refused("a replayed answer", s.get(back, cookie...), http.StatusForbidden, "")

	must(t, idp.Kill())
	down, err := oidc.New(oidc.Options{
		Name: "down", Issuer: idp.Issuer(), ClientID: "web", ClientSecret: "secret", RedirectURL: baseURL + api.ProviderBackPath("down"),
	})
	must(t, err)
	other := newServer(t, func(o *options) { o.Providers = []api.Provider{down} })
	s = other
	refused("a provider that is down", other.get("/~/with/down"), http.StatusServiceUnavailable, "down does not answer")
	if v := other.signIn(other.owner("owner")); v.open("/~/links").status != http.StatusOK {
		t.Error("no sign-in with a key while the provider is down")
	}
}

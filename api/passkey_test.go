package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

// device is an authenticator with one passkey. Tests change what it answers.
type device struct {
	t            *testing.T
	key          *ecdsa.PrivateKey
	id, handle   []byte
	origin, rpID string
	flags        byte // user present and verified
	kind         string
	cross        bool
}

func newDevice(t *testing.T) *device {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return &device{t: t, key: key, id: []byte(rand.Text()), origin: baseURL, rpID: strings.TrimPrefix(baseURL, "https://"), flags: 0x05}
}

// passkeyOptions are the options of the server.
type passkeyOptions struct {
	Challenge string
	RPID      string `json:"rpId"`
	RP        struct{ ID string }
	User      struct{ ID, Name string }

	UserVerification       string
	AuthenticatorSelection struct{ UserVerification, ResidentKey string }
	ExcludeCredentials     []struct{ ID string }
}

func encode64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// answer returns the answer of the browser: to make the passkey, or to use it.
func (d *device) answer(o passkeyOptions) string {
	d.t.Helper()
	makes := o.User.ID != ""
	kind := "webauthn.get"
	if makes {
		kind = "webauthn.create"
	}
	if d.kind != "" {
		kind = d.kind
	}
	data, err := json.Marshal(map[string]any{"type": kind, "challenge": o.Challenge, "origin": d.origin, "crossOrigin": d.cross})
	must(d.t, err)
	rp := sha256.Sum256([]byte(d.rpID))
	authData := append(rp[:], d.flags, 0, 0, 0, 0)
	response := map[string]string{"clientDataJSON": encode64(data)}
	if makes {
		if d.handle, err = base64.RawURLEncoding.DecodeString(o.User.ID); err != nil {
			d.t.Fatal(err)
		}
		authData[32] |= 0x40
		authData = binary.BigEndian.AppendUint16(append(authData, make([]byte, 16)...), uint16(len(d.id)))
		point, err := d.key.PublicKey.Bytes()
		must(d.t, err)
		authData = slices.Concat(authData, d.id, []byte("\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"), point[1:33], []byte("\x22\x58\x20"), point[33:])
		response["attestationObject"] = encode64(slices.Concat([]byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58"), []byte{byte(len(authData))}, authData))
	} else {
		hash := sha256.Sum256(data)
		digest := sha256.Sum256(slices.Concat(authData, hash[:]))
		signature, err := ecdsa.SignASN1(rand.Reader, d.key, digest[:])
		must(d.t, err)
		response["authenticatorData"], response["signature"], response["userHandle"] = encode64(authData), encode64(signature), encode64(d.handle)
	}
	text, err := json.Marshal(map[string]any{"id": encode64(d.id), "rawId": encode64(d.id), "type": "public-key", "response": response, "clientExtensionResults": struct{}{}})
	must(d.t, err)
	return string(text)
}

// options asks for the options at a path. It returns the header with all cookies of the browser.
func (v visitor) options(path string) (o passkeyOptions, cookies []string) {
	v.t.Helper()
	a := v.do(http.MethodPost, path+"/options", nil, v.headers...)
	set := (&http.Response{Header: a.header}).Cookies()
	if a.status != http.StatusOK || len(set) != 1 || set[0].Name != attemptCookie || !set[0].Secure || !set[0].HttpOnly || a.header.Get("Cache-Control") != "no-store" {
		v.t.Fatalf("POST %s/options = %d %v: %.600s", path, a.status, a.header, a.body)
	}
	a.into(&o)
	value := attemptCookie + "=" + set[0].Value
	if v.headers != nil {
		value += "; " + v.headers[1]
	}
	return o, []string{"Cookie", value}
}

// member invites a person, who joins with the passkey of a device.
func (s *server) joinWithPasskey(d *device, name string, role store.Role) visitor {
	s.t.Helper()
	var invited struct{ URL string }
	s.send(http.MethodPost, "/api/v1/members", map[string]string{"name": name, "role": string(role), "workspace": "marketing"}, s.key("admin", store.ScopeAdmin)...).into(&invited)
	path := strings.TrimPrefix(invited.URL, baseURL) + "/passkey"
	o, cookies := visitor{s, nil}.options(path)
	if o.RP.ID != d.rpID || o.User.Name != name || o.AuthenticatorSelection.ResidentKey != "required" || o.AuthenticatorSelection.UserVerification != "required" {
		s.t.Errorf("the options of an invitation are %+v", o)
	}
	a := s.postTo(path, url.Values{"passkey": {d.answer(o)}}, cookies...)
	session := sessionCookie(a)
	if a.status != http.StatusSeeOther || session == nil || strings.Contains(string(a.body), "tk_") {
		s.t.Fatalf("joining with a passkey = %d: %.900s", a.status, a.body)
	}
	if again := s.postTo(path, url.Values{"passkey": {d.answer(o)}}, cookies...); sessionCookie(again) != nil || again.status == http.StatusSeeOther {
		s.t.Errorf("joining again = %d, want no session", again.status)
	}
	return visitor{s, session}
}

// use signs in with the passkey of a device.
func (s *server) use(d *device, returnTo string) answer {
	s.t.Helper()
	o, cookies := visitor{s, nil}.options("/~/sign-in/passkey")
	return s.postTo("/~/sign-in/passkey", url.Values{"passkey": {d.answer(o)}, "return_to": {returnTo}}, cookies...)
}

// TestPasskey joins, signs in, adds and removes passkeys.
func TestPasskey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := newDevice(t)
	v := s.joinWithPasskey(d, "Ann", store.RoleManager)
	if a := v.open("/~/members"); a.status != http.StatusOK {
		t.Errorf("a manager opens the members: %d", a.status)
	}
	for to, want := range map[string]string{"/~/new": "/~/new", "https://evil.example/": "/~/links", "": "/~/links"} {
		if a := s.use(d, to); a.status != http.StatusSeeOther || a.header.Get("Location") != want || sessionCookie(a) == nil {
			t.Errorf("a sign-in with return_to %q = %d to %q, want 303 to %q: %.600s", to, a.status, a.header.Get("Location"), want, a.body)
		}
	}
	v = visitor{s, sessionCookie(s.use(d, ""))}

	second := newDevice(t)
	o, cookies := v.options("/~/sessions/passkeys")
	if len(o.ExcludeCredentials) != 1 || o.ExcludeCredentials[0].ID != encode64(d.id) {
		t.Errorf("the options exclude %v, want the first passkey", o.ExcludeCredentials)
	}
	form := url.Values{"name": {"<b>Phone</b>"}, "passkey": {second.answer(o)}}
	if a := s.postTo("/~/sessions/passkeys", form, cookies...); a.status != http.StatusSeeOther {
		t.Fatalf("adding a passkey = %d: %.900s", a.status, a.body)
	}
	third := newDevice(t)
	for name, answer := range map[string]string{"the same answer": form.Get("passkey"), "another passkey for the same challenge": third.answer(o)} {
		if a := s.postTo("/~/sessions/passkeys", url.Values{"passkey": {answer}}, cookies...); a.status != http.StatusForbidden {
			t.Errorf("%s = %d, want 403", name, a.status)
		}
	}
	page := string(v.open("/~/sessions").body)
	if !strings.Contains(page, "&lt;b&gt;Phone&lt;/b&gt;") || strings.Count(page, "/passkeys/remove/") != 2 {
		t.Errorf("the page of sessions lacks the passkeys: %s", page)
	}
	if a := s.use(second, ""); sessionCookie(a) == nil {
		t.Errorf("a sign-in with the second passkey = %d: %.600s", a.status, a.body)
	}
	other := s.joinWithPasskey(newDevice(t), "Ben", store.RoleViewer)
	o, cookies = other.options("/~/sessions/passkeys")
	stolen := strings.Replace(cookies[1], other.headers[1], v.headers[1], 1)
	if a := s.postTo("/~/sessions/passkeys", url.Values{"passkey": {third.answer(o)}}, "Cookie", stolen); a.status != http.StatusForbidden {
		t.Errorf("a passkey that another member began = %d, want 403", a.status)
	}
	if a := s.signIn(s.owner("owner")).submit("/~/sessions/passkeys/options", nil); a.status != http.StatusForbidden {
		t.Errorf("a passkey of an API key = %d, want 403", a.status)
	}

	_, removed, _ := strings.Cut(page[strings.Index(page, "Phone"):], "/passkeys/remove/")
	removed = removed[:strings.IndexByte(removed, '"')]
	if a := other.submit("/~/sessions/passkeys/remove/"+removed, nil); a.status != http.StatusNotFound {
		t.Errorf("removing a passkey of another member = %d, want 404", a.status)
	}
	if a := v.submit("/~/sessions/passkeys/remove/"+removed, nil); a.status != http.StatusSeeOther {
		t.Errorf("removing a passkey = %d, want 303", a.status)
	}
	if a := s.use(second, ""); a.status != http.StatusForbidden || sessionCookie(a) != nil {
		t.Errorf("a sign-in with a removed passkey = %d, want 403", a.status)
	}

	members, err := s.access.Members(t.Context(), administrator(), "marketing")
	must(t, err)
	ann := members[slices.IndexFunc(members, func(k store.Key) bool { return k.Name == "Ann" })]
	changed, err := s.access.SetRole(t.Context(), administrator(), ann.ID, store.RoleViewer)
	must(t, err)
	viewer := visitor{s, sessionCookie(s.use(d, ""))}
	if links, members := viewer.open("/~/links").status, viewer.open("/~/members").status; links != http.StatusOK || members != http.StatusForbidden {
		t.Errorf("with another role: links %d and members %d, want 200 and 403", links, members)
	}
	_, err = s.access.Remove(t.Context(), administrator(), changed.ID)
	must(t, err)
	if a := s.use(d, ""); a.status != http.StatusForbidden || sessionCookie(a) != nil {
		t.Errorf("a sign-in of a removed member = %d, want 403", a.status)
	}
	k, err := s.store.KeyByHash(t.Context(), store.PasskeyHash(d.id))
	if err != nil || k.RevokedAt.IsZero() {
		t.Errorf("the passkey of a removed member is %+v, %v, want it revoked", k, err)
	}
}

// TestPasskeyRefuses sends answers that prove nothing.
func TestPasskeyRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := newDevice(t)
	s.joinWithPasskey(d, "Ann", store.RoleEditor)
	const path = "/~/sign-in/passkey"
	refused := func(name string, a answer) {
		t.Helper()
		if a.status != http.StatusForbidden || sessionCookie(a) != nil {
			t.Errorf("%s = %d %.900s, want 403 and no session", name, a.status, a.body)
		}
	}
	for name, change := range map[string]func(d *device){
		"another origin":           func(d *device) { d.origin = "https://evil.example" },
		"a subdomain":              func(d *device) { d.origin = "https://x.go.terse.example" },
		"http":                     func(d *device) { d.origin = "http://go.terse.example" },
		"another relying party":    func(d *device) { d.rpID = "evil.example" },
		"no verification":          func(d *device) { d.flags = 0x01 },
		"nobody present":           func(d *device) { d.flags = 0x04 },
		"an answer to make one":    func(d *device) { d.kind = "webauthn.create" },
		"a frame of another page":  func(d *device) { d.cross = true },
		"another person":           func(d *device) { d.handle = []byte("key_other") },
		"no person":                func(d *device) { d.handle = nil },
		"an unknown passkey":       func(d *device) { d.id = []byte("unknown-passkey-id") },
		"the key of another thing": func(d *device) { d.key = newDevice(t).key },
	} {
		other := *d
		change(&other)
		refused(name, s.use(&other, ""))
	}
	o, cookies := visitor{s, nil}.options(path)
	form := url.Values{"passkey": {d.answer(o)}}
	refused("an answer without the cookie", s.postTo(path, form))
	_, later := visitor{s, nil}.options(path)
	refused("an answer to another challenge", s.postTo(path, form, later...))
	refused("a form of another website", s.postTo(path, form, append(cookies, "Sec-Fetch-Site", "cross-site")...))
	if a := s.do(http.MethodPost, path+"/options", nil, "Origin", "https://evil.example"); a.status != http.StatusForbidden || len((&http.Response{Header: a.header}).Cookies()) > 0 {
		t.Errorf("options for another website = %d, want 403", a.status)
	}
	for _, text := range []string{"", "{}", "null", "[]", "\x00", `{"id":"YQ","rawId":"YQ","type":"public-key","response":{}}`, strings.Repeat("[", 1000)} {
		refused("the answer "+text[:min(len(text), 20)], s.postTo(path, url.Values{"passkey": {text}}, cookies...))
	}
	if a := s.postTo(path, form, cookies...); sessionCookie(a) == nil {
		t.Fatalf("the right answer = %d: %.600s", a.status, a.body)
	}
	refused("a replayed answer", s.postTo(path, form, cookies...))
	s.clock.add(11 * 60 * 1e9)
	refused("an old answer", s.postTo(path, form, cookies...))
	if a := s.get("/api/v1/links", "Authorization", "Bearer "+string(d.id)); a.status != http.StatusUnauthorized {
		t.Errorf("a credential ID at the API = %d, want 401", a.status)
	}

	ip := newServer(t, func(o *options) { o.BaseURL = "https://192.0.2.1" })
	if a := ip.do(http.MethodPost, path+"/options", nil); a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
		t.Errorf("passkeys for an IP address = %d, want 404", a.status)
	}
	if page := string(ip.get("/~/sign-in").body); strings.Contains(page, "data-passkey") {
		t.Error("the page to sign in offers passkeys for an IP address")
	}
}

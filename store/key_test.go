package store_test

import (
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

func TestNewToken(t *testing.T) {
	t.Parallel()
	shape := regexp.MustCompile(`^tk_[0-9a-f]{64}$`)
	seen := map[string]bool{}
	for range 100 {
		token, hash := store.NewToken()
		if !shape.MatchString(token) || seen[token] {
			t.Fatalf("NewToken() = %q, want a new one that matches %v", token, shape)
		}
		seen[token] = true
		if want := sha256.Sum256([]byte(token)); hash != want {
			t.Errorf("NewToken() has hash %x, want %x", hash, want)
		}
		if prefix := store.TokenPrefix(token); !strings.HasPrefix(token, prefix) || len(prefix) != len("tk_01234567") {
			t.Errorf("TokenPrefix(%q) = %q, want the first eight digits", token, prefix)
		}
		if got, ok := store.HashToken(token); !ok || got != hash {
			t.Errorf("HashToken(%q) = %x, %v, want %x", token, got, ok, hash)
		}
	}
}

func TestHashTokenRefuses(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("0", 64)
	for _, token := range []string{"", "tk_", digits, "tk_" + digits[1:], "tk_" + digits + "0", "TK_" + digits, "kt_" + digits, "tk_" + digits + "\n", digits + "tk_"} {
		if hash, ok := store.HashToken(token); ok || hash != [sha256.Size]byte{} {
			t.Errorf("HashToken(%q) = %x, %v, want nothing and false", token, hash, ok)
		}
	}
}

// TestPasskeyHash checks that a credential ID sent as a token does not have the digest of its passkey.
func TestPasskeyHash(t *testing.T) {
	t.Parallel()
	token, hash := store.NewToken()
	if store.PasskeyHash([]byte(token)) == hash || store.PasskeyHash([]byte("a")) == store.PasskeyHash([]byte("b")) {
		t.Error("PasskeyHash is the digest of a token, or the same for two passkeys")
	}
	if k := (store.Key{Passkey: &store.Passkey{}}); k.IsAPIKey() || k.SignsIn() {
		t.Error("a passkey is an API key or a sign-in key")
	}
}

func TestNewKeyID(t *testing.T) {
	t.Parallel()
	shape := regexp.MustCompile(`^key_[a-z2-7]{12}$`)
	seen := map[string]bool{}
	for range 100 {
		id := store.NewKeyID()
		if !shape.MatchString(id) || seen[id] {
			t.Fatalf("NewKeyID() = %q, want a new one that matches %v", id, shape)
		}
		seen[id] = true
	}
}

func TestKeyUsable(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 1, 12, 0, 0, 5000, time.UTC)
	tests := []struct {
		name string
		key  store.Key
		want bool
	}{
		{"for ever", store.Key{}, true},
		{"expires next", store.Key{ExpiresAt: now.Add(time.Microsecond)}, true},
		{"expires now", store.Key{ExpiresAt: now}, false},
		{"expired", store.Key{ExpiresAt: now.Add(-time.Microsecond)}, false},
		{"revoked", store.Key{RevokedAt: now.Add(-time.Microsecond)}, false},
		{"revoked by a clock that is ahead", store.Key{RevokedAt: now.Add(time.Hour)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.key.Usable(now); got != tt.want {
				t.Errorf("Usable = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestKeyCan(t *testing.T) {
	t.Parallel()
	for _, held := range store.Scopes() {
		key := store.Key{Scopes: []store.Scope{held}}
		for _, asked := range store.Scopes() {
			want := held == asked || held == store.ScopeAdmin
			if got := key.Can(asked); got != want {
				t.Errorf("key with %q: Can(%q) = %v, want %v", held, asked, got, want)
			}
		}
	}
	var none store.Key
	if none.Can(store.ScopeLinksRead) {
		t.Error("key without scopes: Can = true, want false")
	}
}

func TestCheckWorkspace(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"marketing": true, store.NewKeyID(): true, "A-b_9": true, strings.Repeat("a", store.MaxWorkspaceLen): true,
		"": false, "*": false, "a b": false, "a/b": false, "a\x00": false, "é": false, "anonymous": false, store.CanaryOwner: false,
		strings.Repeat("a", store.MaxWorkspaceLen+1): false,
	} {
		if err := store.CheckWorkspace("workspace", id); (err == nil) != want {
			t.Errorf("CheckWorkspace(%q) = %v, want accepted: %v", id, err, want)
		}
	}
}

func TestSessionUsable(t *testing.T) {
	t.Parallel()
	signIn := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		used time.Duration // after the sign-in; 0: never
		at   time.Duration
		want bool
	}{
		{"at once", 0, 0, true},
		{"never used", 0, store.SessionIdle - 1, true},
		{"idle since the sign-in", 0, store.SessionIdle, false},
		{"used", 3 * time.Hour, store.SessionIdle + 3*time.Hour - 1, true},
		{"idle", 3 * time.Hour, store.SessionIdle + 3*time.Hour, false},
		{"in use for too long", store.SessionLife - time.Hour, store.SessionLife, false},
	} {
		k := store.Key{Session: &store.Session{}, CreatedAt: signIn, ExpiresAt: signIn.Add(store.SessionLife)}
		if tt.used > 0 {
			k.LastUsedAt = signIn.Add(tt.used)
		}
		if got := k.Usable(signIn.Add(tt.at)); got != tt.want {
			t.Errorf("%s: Usable = %v, want %v", tt.name, got, tt.want)
		}
		k.RevokedAt = signIn
		if k.Usable(signIn.Add(tt.at)) {
			t.Errorf("%s: a revoked session is usable", tt.name)
		}
	}
}

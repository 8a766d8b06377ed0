package passkey_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/terse/terse/access/passkey"
)

func TestPossible(t *testing.T) {
	t.Parallel()
	for origin, want := range map[string]bool{
		"https://sho.rt": true, "https://console.sho.rt:8443": true, "http://localhost:8080": true, "https://localhost": true,
		"http://sho.rt": false, "https://192.0.2.1": false, "https://[2001:db8::1]": false, "http://127.0.0.1:8080": false,
		"https://go": false, "https://sho.rt.": false,
	} {
		u, err := url.Parse(origin)
		if err != nil {
			t.Fatal(err)
		}
		if got := passkey.Possible(u); got != want {
			t.Errorf("Possible(%q) = %v, want %v", origin, got, want)
		}
		if _, err := passkey.New(passkey.Options{Origin: origin, Name: "Terse"}); (err == nil) != want {
			t.Errorf("New for %q = %v, want it to work: %v", origin, err, want)
		}
	}
	if _, err := passkey.New(passkey.Options{Origin: "https://sho.rt"}); err == nil || !strings.Contains(err.Error(), "Options.Name is required") {
		t.Errorf("New without a name = %v, want an error", err)
	}
}

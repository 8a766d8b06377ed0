package api

import "testing"

// TestFingerprintIsKeyed checks that the fingerprint of a body depends on the client's
// Idempotency-Key, which is not stored. A fingerprint alone can then not be used to guess a
// password in the body.
func TestFingerprintIsKeyed(t *testing.T) {
	t.Parallel()
	prints := map[string]bool{}
	for _, key := range []string{"one", "other"} {
		got, err := fingerprint(&CreateInput{URL: "https://example.com/"}, key)
		if err != nil {
			t.Fatal(err)
		}
		prints[got] = true
	}
	if len(prints) != 2 {
		t.Error("two keys make one fingerprint of a body")
	}
}

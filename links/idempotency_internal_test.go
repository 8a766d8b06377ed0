package links

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/terse/terse/store"
)

// TestFingerprintIsKeyed checks that the fingerprint of a request depends on the client's
// idempotency key, which is not stored. A fingerprint alone can then not be used to guess a
// password in the request.
func TestFingerprintIsKeyed(t *testing.T) {
	t.Parallel()
	request := []byte(`{"url":"https://example.com/"}`)
	if keyPart("one").fingerprint(request) == keyPart("other").fingerprint(request) {
		t.Error("two keys make one fingerprint of a request")
	}
}

// TestStoredKeys checks the texts of the stored digests. A repeated request must find its
// reservation also after an upgrade.
func TestStoredKeys(t *testing.T) {
	t.Parallel()
	keyed, anonymous := &Caller{Key: &store.Key{}}, &Caller{Client: "192.0.2.1"}
	own, batch := &Batch{Drafts: []Draft{{Key: "order"}}}, &Batch{Key: "order", Drafts: make([]Draft, 8)}
	for _, tt := range []struct {
		who  *Caller
		key  idempotencyKey
		want string
	}{
		{keyed, own.keyOf(0), "order"},
		{keyed, batch.keyOf(7), "order\x007"},
		{anonymous, own.keyOf(0), "order\x00192.0.2.1"},
		{anonymous, batch.keyOf(7), "order\x007\x00192.0.2.1"},
	} {
		sum := sha256.Sum256([]byte(tt.want))
		if got := tt.key.reserved(tt.who); got != hex.EncodeToString(sum[:]) {
			t.Errorf("reservation of %q is not the digest of %q", tt.key, tt.want)
		}
	}
}

package remote

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/terse/terse/store"
)

// AnnounceRevocation tells all who Listen that the key was revoked. It waits a second
// at most, and nothing repeats what it could not tell: who has not heard goes on for
// as long as keys are believed unasked.
func (c *Cache) AnnounceRevocation(ctx context.Context, k store.Key) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := c.client.Publish(ctx, c.channel, encodeRevocation(k.Hash, k.RevokedAt)).Err()
	if err == nil {
		c.metrics.sent.Inc()
	}
	return failure(err)
}

func encodeRevocation(hash [sha256.Size]byte, at time.Time) string {
	text := append([]byte{kindRevocation}, hash[:]...)
	return string(binary.BigEndian.AppendUint64(text, uint64(at.UnixMicro())))
}

// decodeRevocation reads what encodeRevocation wrote.
func decodeRevocation(text string) (hash [sha256.Size]byte, at time.Time, ok bool) {
	if len(text) != 1+sha256.Size+8 || text[0] != kindRevocation {
		return hash, at, false
	}
	copy(hash[:], text[1:])
	micros := int64(binary.BigEndian.Uint64([]byte(text[1+sha256.Size:]))) //nolint:gosec // see encodeRevocation
	return hash, time.UnixMicro(micros).UTC(), true
}

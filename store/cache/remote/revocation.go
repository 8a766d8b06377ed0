package remote

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/terse/terse/store"
)

// AnnounceRevocation publishes the revocation of a key to all processes that run Listen. It
// waits a second at most and is not repeated. A process that does not receive it accepts the
// key until its cached copy expires.
func (c *Cache) AnnounceRevocation(ctx context.Context, k store.Key) error {
	ctx, cancel := context.WithTimeout(ctx, slowTimeout)
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

package visit

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"github.com/cespare/xxhash/v2"
)

// Visitor returns a hash that identifies a visitor of a link. It is the same for the same salt, link,
// address and User-Agent. It is 0 if the address is unknown. Without the salt, nobody can derive the
// address from it.
func Visitor(salt []byte, key string, addr netip.Addr, userAgent string) uint64 {
	if !addr.IsValid() {
		return 0
	}
	var room [256]byte
	b := append(room[:0], salt...)
	address := addr.As16()
	b = append(b, address[:]...)
	b = binary.LittleEndian.AppendUint64(b, xxhash.Sum64String(userAgent))
	b = append(b, key...)
	sum := sha256.Sum256(b)
	return max(1, binary.LittleEndian.Uint64(sum[:]))
}

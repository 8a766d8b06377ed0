package visit

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"github.com/cespare/xxhash/v2"
)

// Visitor returns the number of a visitor of a link: the same for the same address and User-Agent,
// and another one for every link and salt. It is 0 if the address is unknown. Without the salt, it
// says nothing about the address.
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

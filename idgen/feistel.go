package idgen

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// rounds is the number of rounds of a network. Luby and Rackoff (1988) prove that 4
// rounds are a strong permutation for few texts compared with the size of a half. Our
// halves are small, so we use more. NIST SP 800-38G uses 10 rounds for FF1, which has
// the same structure.
const rounds = 10

// feistelTag is the start of every AES block of a network. It separates these blocks
// from other uses of the key, and its digit is the version of their layout: the tag,
// the width of the codes, the round, and half a number in 8 big-endian bytes.
const (
	feistelTag = "terse1"
	widthAt    = len(feistelTag)
	roundAt    = widthAt + 1
	halfAt     = roundAt + 1
)

// feistel is a balanced Feistel network with AES as its round function. It permutes
// numbers of 2*halfBits bits. Not safe for concurrent use.
type feistel struct {
	block    cipher.Block
	halfBits uint
	mask     uint64
	in, out  [aes.BlockSize]byte
}

// newFeistel returns the network of a domain.
func newFeistel(block cipher.Block, d domain) *feistel {
	f := &feistel{block: block, halfBits: d.halfBits, mask: 1<<d.halfBits - 1}
	copy(f.in[:], feistelTag)
	f.in[widthAt] = byte(d.width) //nolint:gosec // 9 or 10
	return f
}

// encrypt applies the network to n.
func (f *feistel) encrypt(n uint64) uint64 {
	left, right := n>>f.halfBits, n&f.mask
	for i := range rounds {
		left, right = right, left^f.mix(i, right)
	}
	return left<<f.halfBits | right
}

// decrypt undoes encrypt.
func (f *feistel) decrypt(n uint64) uint64 {
	left, right := n>>f.halfBits, n&f.mask
	for i := rounds - 1; i >= 0; i-- {
		left, right = right^f.mix(i, left), left
	}
	return left<<f.halfBits | right
}

// mix is the round function. It returns the lowest halfBits bits of the first 8 bytes
// of the encrypted block.
func (f *feistel) mix(round int, half uint64) uint64 {
	f.in[roundAt] = byte(round) //nolint:gosec // below rounds
	binary.BigEndian.PutUint64(f.in[halfAt:], half)
	f.block.Encrypt(f.out[:], f.in[:])
	return binary.BigEndian.Uint64(f.out[:]) & f.mask
}

package idgen

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// KeySize is the length of a Cipher's key in bytes: it is an AES-256 key.
const KeySize = 32

// What a Cipher cannot turn.
var (
	ErrIDRange = errors.New("id has no code")
	ErrCode    = errors.New("not a code of an id")
)

// The powers of 62 that bound the ranges.
const (
	pow9  = 13_537_086_546_263_552  // 62^9
	pow10 = 839_299_365_868_340_224 // 62^10
)

// domain is one range of ids that a Cipher permutes within itself.
type domain struct {
	width    int    // of the codes, in digits; also keeps the domains' blocks apart
	first    uint64 // the lowest id
	size     uint64 // how many ids
	halfBits uint   // of the Feistel network, the narrowest that holds size
}

// The domains: ids below 62^9 have codes of 9 digits, and the following ones,
// which come after about six and a half years, have 10. Both are data formats.
var (
	nineDigits = domain{width: 9, first: 0, size: pow9, halfBits: 27}
	tenDigits  = domain{width: 10, first: pow9, size: pow10 - pow9, halfBits: 30}
)

// Cipher turns ids into codes and back, one to one, under a key. Without the
// key, the codes of neighbouring ids look unrelated. It hides ids from visitors
// and is no place for secrets. Safe for concurrent use.
type Cipher struct {
	block cipher.Block
}

// NewCipher returns the Cipher of a key of exactly KeySize bytes, which it
// does not keep. Codes of different keys have nothing to do with each other, so
// a key is for the life of the links.
func NewCipher(key []byte) (*Cipher, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("code key has %d bytes, want %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("code key: %w", err)
	}
	return &Cipher{block: block}, nil
}

// Code returns the code of id: 9 base62 digits for ids below 62^9, and 10 of
// which the first is not 0 for those below 62^10. Other ids are ErrIDRange.
func (c *Cipher) Code(id ID) (string, error) {
	if id < 0 || id >= pow10 {
		return "", fmt.Errorf("%w: %d", ErrIDRange, id)
	}
	n, d := uint64(id), nineDigits
	if n >= tenDigits.first {
		d = tenDigits
	}
	var digits [MaxBase62Width]byte
	putBase62(digits[:d.width], c.permute(n, d, (*feistel).encrypt))
	return string(digits[:d.width]), nil
}

// ID returns the id whose code is the given one. Texts that Code never returns
// are ErrCode; every other one has an id, though perhaps none that was minted.
func (c *Cipher) ID(code string) (ID, error) {
	n, err := DecodeBase62(code)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrCode, err)
	}
	d := nineDigits
	if n >= tenDigits.first {
		d = tenDigits
	}
	if len(code) != d.width {
		return 0, fmt.Errorf("%w: %d digits", ErrCode, len(code))
	}
	return ID(c.permute(n, d, (*feistel).decrypt)), nil //nolint:gosec // below 62^10
}

// permute maps n, which is in d, to a number in d by one direction of the
// Feistel network. The network permutes more numbers than d has, so it walks on
// along the cycle until it is back inside (Black and Rogaway, 2002): less than
// one and a half steps on average.
func (c *Cipher) permute(n uint64, d domain, direction func(*feistel, uint64) uint64) uint64 {
	f := newFeistel(c.block, d)
	n -= d.first
	for {
		n = direction(f, n)
		if n < d.size {
			return n + d.first
		}
	}
}

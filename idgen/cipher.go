package idgen

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// KeySize is the length of a Cipher's key in bytes. The key is for AES-256.
const KeySize = 32

// Errors of a Cipher.
var (
	ErrIDRange = errors.New("id has no code")
	ErrCode    = errors.New("not a code of an id")
)

// The powers of 62 that bound the ranges.
const (
	pow9  = 13_537_086_546_263_552  // 62^9
	pow10 = 839_299_365_868_340_224 // 62^10
)

// domain is one range of ids. A Cipher permutes the ids of a range among themselves.
type domain struct {
	width    int    // digits of each code; also part of the AES input, so that domains differ
	first    uint64 // lowest id
	size     uint64 // number of ids
	halfBits uint   // half the width of the Feistel network: the smallest that fits size
}

// The domains. Ids below 62^9 have codes of 9 digits. Later ids have codes of 10
// digits; they begin after about six and a half years. Both are data formats.
var (
	nineDigits = domain{width: 9, first: 0, size: pow9, halfBits: 27}
	tenDigits  = domain{width: 10, first: pow9, size: pow10 - pow9, halfBits: 30}
)

// Cipher converts ids to codes and back, one to one, with a key. Without the key, the
// codes of consecutive ids look unrelated. A Cipher hides ids from visitors; do not
// use it for secrets. Safe for concurrent use.
type Cipher struct {
	block cipher.Block
}

// NewCipher returns the Cipher of a key of KeySize bytes. It does not retain key.
// Another key gives other codes, so keep the key as long as the links.
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

// Code returns the code of id: 9 base62 digits for an id below 62^9, or 10 digits
// without a leading 0 for an id below 62^10. For any other id it returns ErrIDRange.
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

// ID returns the id of a code. It returns ErrCode for a text that Code never returns.
// Any other text has an id, which may not have been minted.
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

// permute maps n, a number in d, to another number in d with one direction of the
// Feistel network. The network's range is larger than d, so permute repeats the step
// until the result is in d (cycle walking; Black and Rogaway, 2002). That takes less
// than 1.5 steps on average.
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

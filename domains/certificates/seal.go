package certificates

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// sealer encrypts files by AES-256-GCM. The format is a version byte, the nonce of 12 bytes, the
// ciphertext and the tag. The key of the file is authenticated, so that no file can stand in
// for another.
type sealer struct{ aead cipher.AEAD }

// sealVersion is the first byte of a sealed file.
const sealVersion = 1

// errSealed reports a file that was changed, or sealed under another key of the codes.
var errSealed = errors.New("certificate file was changed or belongs to another code key")

func newSealer(secret []byte) (sealer, error) {
	key, err := deriveKey(secret, "certificate files")
	if err != nil {
		return sealer{}, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, fmt.Errorf("certificates: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return sealer{}, fmt.Errorf("certificates: %w", err)
	}
	return sealer{aead}, nil
}

func (s sealer) seal(key string, plain []byte) []byte {
	head := make([]byte, 1, 1+len(plain)+s.aead.Overhead())
	head[0] = sealVersion
	return s.aead.Seal(head, nil, plain, []byte(key)) //nolint:gosec // the library chooses a random nonce
}

func (s sealer) open(key string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, errSealed
	}
	plain, err := s.aead.Open(nil, nil, sealed[1:], []byte(key))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

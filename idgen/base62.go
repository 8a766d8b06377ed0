package idgen

import (
	"errors"
	"fmt"
)

// base62Digits are the digits in ASCII order, so texts of the same width sort like
// their numbers. The order is a data format.
const base62Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// MaxBase62Width is the greatest width in digits. Every number of this width fits in
// 63 bits.
const MaxBase62Width = 10

// Errors of EncodeBase62 and DecodeBase62.
var (
	ErrBase62Width = errors.New("number does not fit the width")
	ErrBase62Text  = errors.New("not a base62 number")
)

// notDigit marks a byte that is not a base62 digit.
const notDigit = 0xff

// base62Value maps each byte to the value of its digit, or to notDigit.
var base62Value = func() (values [256]byte) {
	for i := range values {
		values[i] = notDigit
	}
	for i := range len(base62Digits) {
		values[base62Digits[i]] = byte(i)
	}
	return values
}()

// EncodeBase62 writes n in exactly width digits, with leading zeros. It returns
// ErrBase62Width when n needs more digits, or when width is not 1 to MaxBase62Width.
func EncodeBase62(n uint64, width int) (string, error) {
	if width < 1 || width > MaxBase62Width {
		return "", fmt.Errorf("%w: width %d", ErrBase62Width, width)
	}
	var digits [MaxBase62Width]byte
	if rest := putBase62(digits[:width], n); rest != 0 {
		return "", fmt.Errorf("%w: %d in %d digits", ErrBase62Width, n, width)
	}
	return string(digits[:width]), nil
}

// DecodeBase62 reads 1 to MaxBase62Width digits; leading zeros are allowed. For any
// other text it returns ErrBase62Text.
func DecodeBase62(s string) (uint64, error) {
	if s == "" || len(s) > MaxBase62Width {
		return 0, fmt.Errorf("%w: %d bytes", ErrBase62Text, len(s))
	}
	var n uint64
	for i := range len(s) {
		v := base62Value[s[i]]
		if v == notDigit {
			return 0, fmt.Errorf("%w: byte %#02x at %d", ErrBase62Text, s[i], i)
		}
		n = n*62 + uint64(v)
	}
	return n, nil
}

// putBase62 fills dst with the lowest digits of n. It returns the rest of n, which is
// 0 when all digits fit.
func putBase62(dst []byte, n uint64) (rest uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = base62Digits[n%62]
		n /= 62
	}
	return n
}

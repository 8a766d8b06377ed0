package transfer

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// NewTextReader returns the text of r in UTF-8, without a byte order mark. encoding is a name
// of the WHATWG Encoding Standard, such as windows-1252, latin1 or utf-16le. Empty means
// UTF-8. The encoding of a byte order mark, UTF-8 or UTF-16, replaces encoding.
//
// Invalid input stays visible: bytes that are invalid in UTF-8 are not changed, and characters
// that are invalid in another encoding become a byte that is invalid in UTF-8.
func NewTextReader(r io.Reader, encoding string) (io.Reader, error) {
	if encoding == "" {
		encoding = "utf-8"
	}
	decode, err := htmlindex.Get(encoding)
	if err != nil {
		return nil, fmt.Errorf("unknown encoding %q; examples are utf-8, utf-16le, latin1 and windows-1252", encoding)
	}
	name, err := htmlindex.Name(decode)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReader(r)
	switch head, _ := buffered.Peek(3); {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, _ = buffered.Discard(3)
		return buffered, nil
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		decode = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM)
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		decode = unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM)
	case name == "utf-8":
		return buffered, nil
	}
	return transform.NewReader(buffered, transform.Chain(decode.NewDecoder(), exposeInvalid{})), nil
}

// exposeInvalid replaces U+FFFD, which a decoder writes for invalid input, by a byte that is
// invalid in UTF-8.
type exposeInvalid struct{ transform.NopResetter }

// Transform implements transform.Transformer.
func (exposeInvalid) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	const replacement = "\uFFFD"
	for nSrc < len(src) {
		if nDst == len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		rest := src[nSrc:]
		switch {
		case bytes.HasPrefix(rest, []byte(replacement)):
			dst[nDst] = 0xff
			nSrc += len(replacement)
		case !atEOF && len(rest) < len(replacement) && bytes.HasPrefix([]byte(replacement), rest):
			return nDst, nSrc, transform.ErrShortSrc
		default:
			dst[nDst] = src[nSrc]
			nSrc++
		}
		nDst++
	}
	return nDst, nSrc, nil
}

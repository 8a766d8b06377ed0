package transfer

import (
	"errors"
	"strings"
)

// token is a token of SQL. Its kind is a sign, such as a comma, or one of the constants.
type token struct {
	kind byte
	text string // without quotes
}

const (
	word       = 'w' // a name, a keyword or a number
	quotedName = '`' // in backquotes
	quotedText = '"' // a text in MySQL, a name in other databases
	plainQuote = '\''
)

// word returns a word in lower case, or "" for another token.
func (t token) word() string {
	if t.kind != word {
		return ""
	}
	return strings.ToLower(t.text)
}

// isText reports whether a token is a text where a value is expected.
func (t token) isText() bool { return t.kind == plainQuote || t.kind == quotedText }

// signs are tokens of one character.
const signs = "(),;="

// token returns the next token. It skips comments.
func (d *dump) token() (token, error) {
	if d.ahead != nil {
		t := *d.ahead
		d.ahead = nil
		return t, nil
	}
	for {
		c, err := d.byte()
		if err != nil {
			return token{}, err
		}
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case c == '#', c == '-' && d.peek("-"):
			if err := d.until("\n"); err != nil {
				return token{}, err
			}
		case c == '/' && d.peek("*"):
			if err := d.until("*/"); err != nil {
				return token{}, err
			}
		case c == plainQuote || c == quotedText || c == quotedName:
			text, err := d.text(c, d.literal)
			return token{c, text}, err
		case (c == 'e' || c == 'E') && d.peek("'"): // Postgres: a text with escapes
			if _, err := d.byte(); err != nil {
				return token{}, err
			}
			text, err := d.text(plainQuote, false)
			return token{plainQuote, text}, err
		case strings.IndexByte(signs, c) >= 0:
			return token{c, string(c)}, nil
		default:
			text, err := d.plain(c)
			return token{word, text}, err
		}
	}
}

// plain reads a word without quotes. c is its first byte.
func (d *dump) plain(c byte) (string, error) {
	plain := []byte{c}
	for {
		head, err := d.r.Peek(1)
		if err != nil || strings.IndexByte(" \t\r\n'\"`"+signs, head[0]) >= 0 {
			return string(plain), nil
		}
		if len(plain) > maxRowLen {
			return "", errors.New("a word is too long")
		}
		c, _ := d.byte()
		plain = append(plain, c)
	}
}

// escapes maps the letter after a backslash to its byte.
var escapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', '0': 0, 'b': '\b', 'Z': 26}

// text reads a string up to its closing quote. Inside the string, a quote is doubled or, unless
// literal, has a backslash in front.
func (d *dump) text(quote byte, literal bool) (string, error) {
	var text []byte
	for {
		c, err := d.byte()
		if err != nil {
			return "", noEOF(err)
		}
		switch {
		case c == quote && d.peek(string(quote)):
			_, err = d.byte()
		case c == quote:
			return string(text), nil
		case c == '\\' && quote != quotedName && !literal:
			if c, err = d.byte(); err == nil {
				if plain, ok := escapes[c]; ok {
					c = plain
				} else if c == '%' || c == '_' { // MySQL keeps these backslashes
					text = append(text, '\\')
				}
			}
		}
		if err != nil {
			return "", noEOF(err)
		}
		if len(text) > maxRowLen {
			return "", errors.New("a string is too long")
		}
		text = append(text, c)
	}
}

// until reads up to and including end.
func (d *dump) until(end string) error {
	for {
		c, err := d.byte()
		if err != nil {
			return err
		}
		if c == end[0] && (len(end) == 1 || d.peek(end[1:])) {
			for range len(end) - 1 {
				_, _ = d.byte()
			}
			return nil
		}
	}
}

func (d *dump) peek(s string) bool {
	head, err := d.r.Peek(len(s))
	return err == nil && string(head) == s
}

func (d *dump) byte() (byte, error) {
	c, err := d.r.ReadByte()
	if c == '\n' {
		d.line++
	}
	return c, err
}

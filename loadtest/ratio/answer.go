//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// answers reads the answers on one connection. It parses only what a load needs, so that
// it costs little compared with the server.
type answers struct {
	r        *bufio.Reader
	location []byte // of the latest answer
}

func newAnswers(conn io.Reader) *answers { return &answers{r: bufio.NewReader(conn)} }

// next reads one answer completely. An answer with another status is an error.
func (a *answers) next(status string) error {
	line, err := a.r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	if _, rest, _ := bytes.Cut(line, []byte(" ")); !bytes.HasPrefix(rest, []byte(status)) {
		return fmt.Errorf("the answer is %q, want status %s", bytes.TrimSpace(line), status)
	}
	length := 0
	a.location = a.location[:0]
	for {
		line, err := a.r.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("read the headers of an answer: %w", err)
		}
		name, value, found := bytes.Cut(bytes.TrimSpace(line), []byte(": "))
		if !found {
			break // the empty line between headers and body
		}
		switch string(name) {
		case "Location":
			a.location = append(a.location, value...)
		case "Content-Length":
			if length, err = strconv.Atoi(string(value)); err != nil {
				return fmt.Errorf("read the length of an answer: %w", err)
			}
		}
	}
	_, err = a.r.Discard(length)
	return err
}

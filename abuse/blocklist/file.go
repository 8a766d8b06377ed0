package blocklist

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/terse/terse/store"
)

// maxProblems is how many invalid lines an error lists.
const maxProblems = 5

// CheckFile returns an error with the problems of a file of hosts. It returns nil for
// an empty path.
func CheckFile(path string) error {
	if path == "" {
		return nil
	}
	_, err := readFile(path)
	return err
}

// readFile reads a file of hosts.
func readFile(path string) (*set, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // an error after reading does not matter
	s, err := parse(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// parse reads one host a line in the form of store.ParseHostPattern. # starts a comment.
// Lines of hosts files, such as "0.0.0.0 evil.example", are also read. Names without a
// dot in such lines, such as localhost, are skipped because they mean the machine. One
// invalid line makes the whole file invalid, because the host that it should block is
// unknown.
func parse(r io.Reader) (*set, error) {
	b := newBuilder()
	var problems []error
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if err := b.addLine(fields); err != nil {
			problems = append(problems, fmt.Errorf("line %d: %w", n, err))
			if len(problems) == maxProblems {
				break
			}
		}
	}
	if err := lines.Err(); err != nil {
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return b.build(), nil
}

// addLine adds the hosts of one line.
func (b *builder) addLine(fields []string) error {
	names := fields
	if len(fields) > 1 {
		addr, err := netip.ParseAddr(fields[0])
		if err != nil || !addr.IsUnspecified() && !addr.IsLoopback() {
			return errors.New("must be one host, or hosts after 0.0.0.0 or 127.0.0.1 as in a hosts file")
		}
		names = fields[1:]
	}
	for _, name := range names {
		if len(fields) > 1 && !strings.Contains(name, ".") {
			continue
		}
		p, err := store.ParseHostPattern(name)
		if err != nil {
			return fmt.Errorf("%.100q: %w", name, err)
		}
		b.add(p)
	}
	return nil
}

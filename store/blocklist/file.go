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

// maxProblems is how many bad lines of a file are named.
const maxProblems = 5

// CheckFile returns what is wrong with a file of hosts, or nil. An empty path is
// no file.
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
	defer func() { _ = f.Close() }() // it was only read
	s, err := parse(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// parse reads hosts, one a line, as store.ParseHostPattern does. What stands
// behind a # is a comment. Lines of hosts files, such as "0.0.0.0 evil.example",
// are read too; names of one label in them, such as localhost, mean the machine
// and are left out. One bad line spoils the whole, since nobody can tell what it
// was meant to block.
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

// addLine adds what one line names.
func (b *builder) addLine(fields []string) error {
	names := fields
	if len(fields) > 1 {
		addr, err := netip.ParseAddr(fields[0])
		if err != nil || !addr.IsUnspecified() && !addr.IsLoopback() {
			return errors.New("must be one host, or hosts behind 0.0.0.0 or 127.0.0.1 as in a hosts file")
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

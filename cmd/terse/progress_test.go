//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newTerminal returns both ends of a terminal. person reads what program writes.
func newTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

// TestProgressIsForTerminals checks that the bar is drawn on a terminal and nowhere else.
func TestProgressIsForTerminals(t *testing.T) {
	t.Parallel()
	person, terminal := newTerminal(t)
	p := newProgress(terminal, 200)
	p.began = time.Now().Add(-time.Second)
	p.show(50, 3, 100)
	p.show(60, 3, 120) // too soon
	p.clear()
	if _, err := terminal.WriteString("end\n"); err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(seen.String(), "end") {
		n, err := person.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(buffer[:n])
	}
	if got := seen.String(); !strings.Contains(got, "███████████████░") || !strings.Contains(got, " 50% 50 links, ") ||
		!strings.Contains(got, "3 failed") || strings.Contains(got, "60 links") {
		t.Errorf("the terminal shows %q", got)
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var memory bytes.Buffer
	for _, w := range []io.Writer{&memory, file} {
		p := newProgress(w, 200)
		p.show(50, 0, 100)
		p.clear()
	}
	if info, err := file.Stat(); err != nil || info.Size() > 0 || memory.Len() > 0 {
		t.Errorf("the file = %v and the buffer = %q, want nothing in both", info, &memory)
	}
}

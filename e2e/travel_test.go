//go:build unix

package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// TestLinksTravelInLittleMemory exports links and imports them into an empty system. Neither
// the client nor the server has the whole file in memory. The exports of both systems are
// equal.
func TestLinksTravelInLittleMemory(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const mib = 1 << 20
	took := travel(t, 20_000)
	t.Logf("for a file of %d MiB the heaps of client and server grew to %d and %d MiB", took.file/mib, took.client/mib, took.server/mib)
	if took.client >= took.file || took.server >= took.file {
		t.Errorf("for a file of %d MiB the heaps of client and server grew to %d and %d MiB, want less than the file", took.file/mib, took.client/mib, took.server/mib)
	}
}

// travelled is the size of the largest heap of each side and of the file, in bytes.
type travelled struct{ client, server, file int64 }

// traceHeap makes a process collect its heap often and print the size each time.
var traceHeap = []string{"GODEBUG=gctrace=1", "GOGC=50"}

// largestHeap returns the largest heap after a collection in the output of a process with traceHeap, in
// bytes. How much garbage there is before it depends on the load of the machine.
func largestHeap(t *testing.T, said string) (most int64) {
	t.Helper()
	for _, collected := range regexp.MustCompile(`\d+->\d+->(\d+) MB, `).FindAllStringSubmatch(said, -1) {
		mib, err := strconv.ParseInt(collected[1], 10, 64)
		must(t, err)
		most = max(most, mib<<20)
	}
	if most == 0 {
		t.Fatalf("the output has no heap sizes: %.500s", said)
	}
	return most
}

// travel imports n links from a file, exports them, imports the export into an empty system
// and exports them again.
func travel(t *testing.T, n int) (most travelled) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "0.csv")
	writeLinks(t, file, n)
	var content []byte
	for i := range 2 {
		p := startBy(t, testenv.TerseOptions{
			Binary: testenv.BuildRelease(t), Environment: append([]string{"TERSE_LIMIT_CREATE_KEY=off", "TERSE_CACHE_SIZE=1"}, traceHeap...),
		})
		environ := p.newKey("admin")
		next := filepath.Join(dir, fmt.Sprint(i+1, ".csv"))
		for _, args := range [][]string{{"links", "import", "--whole", file}, {"links", "export", "--whole", "-o", next}} {
			command := exec.Command(testenv.BuildRelease(t), args...)
			command.Env = slices.Concat(os.Environ(), environ, traceHeap)
			said, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("terse %v = %v: %.500s", args, err, said)
			}
			most.client = max(most.client, largestHeap(t, string(said)))
		}
		p.kill()
		most.server = max(most.server, largestHeap(t, p.Log()))
		was := content
		var err error
		content, err = os.ReadFile(next)
		must(t, err)
		if lines := bytes.Count(content, []byte("\n")); lines != n+1 {
			t.Errorf("export %d has %d lines, want %d", i+1, lines, n+1)
		}
		if i > 0 && !bytes.Equal(content, was) {
			t.Error("the exports of the two systems differ")
		}
		file, most.file = next, int64(len(content))
	}
	return most
}

// writeLinks writes a file of n links with long targets.
func writeLinks(t *testing.T, path string, n int) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "code,url,title,created_at,clicks,version")
	for i := range n {
		fmt.Fprintf(w, "link-%d,https://example.com/%s?%[1]d,Link %[1]d,2026-01-01T00:00:00Z,%[1]d,2\n", i, strings.Repeat("a", 2000))
	}
	must(t, w.Flush())
	must(t, f.Close())
}

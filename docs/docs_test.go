package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/api/overload"
)

// root is the repository, seen from this folder.
const root = ".."

// TestFailuresNameTheirTests checks that each row of failures.md names tests that exist.
func TestFailuresNameTheirTests(t *testing.T) {
	t.Parallel()
	rows := regexp.MustCompile(`(?m)^\| (.+?) \|.*\| ([^|]*) \|$`).FindAllStringSubmatch(read(t, "failures.md"), -1)
	if len(rows) < 15 {
		t.Fatalf("failures.md has %d rows", len(rows))
	}
	tests := declaredTests(t)
	for _, row := range rows {
		if row[2] == "shown by" {
			continue
		}
		named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(row[2], -1)
		if len(named) == 0 {
			t.Errorf("%q names no test", row[1])
		}
		for _, name := range named {
			if !tests[name[1]] {
				t.Errorf("%q names %s, which does not exist", row[1], name[1])
			}
		}
	}
}

// declaredTests returns the names of all tests in the repository.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	all := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || path == filepath.Join(root, "stack")):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		content, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(content), -1) {
			all[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLinks checks that every relative link of the documentation leads to a file and,
// where it names one, to a heading.
func TestLinks(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "../README.md", "../SECURITY.md", "../CHANGELOG.md", "../deploy/RUNBOOK.md")
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range pages {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, heading, hasHeading := strings.Cut(m[1], "#")
			target := filepath.Join(filepath.Dir(page), file)
			if file == "" {
				target = page
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
				continue
			}
			if hasHeading && !anchors(read(t, target))[heading] {
				t.Errorf("%s links to %s, which has no such heading", page, m[1])
			}
		}
	}
}

// anchors returns the fragment of each heading of a page, as GitHub makes them.
func anchors(page string) map[string]bool {
	all := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^#+ (.+)$").FindAllStringSubmatch(page, -1) {
		kept := regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(kept, " ", "-")] = true
	}
	return all
}

// TestReadmeIsShort keeps the README to what a newcomer reads in two minutes.
func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	const most = 150
	if lines := strings.Count(read(t, "../README.md"), "\n"); lines > most {
		t.Errorf("README.md has %d lines, want at most %d: move details to a page in docs/", lines, most)
	}
}

// TestOverloadTable compares the table of classes in cluster.md with the code.
func TestOverloadTable(t *testing.T) {
	t.Parallel()
	page := read(t, "cluster.md")
	for class, name := range map[overload.Class]string{
		overload.Redirect: "redirect", overload.Read: "read", overload.Write: "write", overload.List: "list",
	} {
		b := overload.DefaultBounds[class]
		wait := fmt.Sprintf("%d ms", b.Wait.Milliseconds())
		if b.Wait >= 500*time.Millisecond {
			wait = fmt.Sprintf("%v s", b.Wait.Seconds())
		}
		row := fmt.Sprintf("| `%s` | %d | %d | %d | %s |", name, b.Most, b.Least, b.Queue, wait)
		if !strings.Contains(page, row) {
			t.Errorf("cluster.md lacks the row %q", row)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeNamesWhatShowsIt holds that each line of what happens when something
// is broken names tests, and that there are such tests.
func TestReadmeNamesWhatShowsIt(t *testing.T) {
	t.Parallel()
	const root = "../.."
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "### When something is broken")
	section, _, _ = strings.Cut(section, "\n## ")
	lines := regexp.MustCompile(`(?m)^\| (.+?) \|.*\| ([^|]*) \|$`).FindAllStringSubmatch(section, -1)
	if len(lines) < 15 {
		t.Fatalf("the table has %d lines", len(lines))
	}
	tests := testsOf(t, root)
	for _, line := range lines[1:] { // the first is the head
		named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(line[2], -1)
		if len(named) == 0 {
			t.Errorf("nothing shows what happens when %s", line[1])
		}
		for _, name := range named {
			if !tests[name[1]] {
				t.Errorf("%s: there is no %s", line[1], name[1])
			}
		}
	}
}

// testsOf returns the names of all tests in a folder.
func testsOf(t *testing.T, root string) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	all := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "stack" && filepath.Dir(path) == root || d.Name() == ".git"):
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

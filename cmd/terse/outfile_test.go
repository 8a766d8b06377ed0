//go:build unix

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// reading returns a function that waits until a writer has closed the pipe, and returns what
// it wrote.
func reading(pipe string) func() string {
	content := make(chan string, 1)
	go func() {
		read, err := os.ReadFile(pipe)
		if err != nil {
			read = []byte(err.Error())
		}
		content <- string(read)
	}()
	return func() string { return <-content }
}

func wantType(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != want {
		t.Errorf("type of %s = %v, %v, want %v", filepath.Base(path), info, err, want)
	}
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s contains %q, %v, want %q", filepath.Base(path), got, err, want)
	}
}

// TestExportTargets checks what an export does with each kind of file.
func TestExportTargets(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, owns)
	terse(t, environ, "shorten", "https://example.com/one").want(t, "shorten", 0)
	want := terse(t, environ, "links", "export", "--format", "csv").stdout
	if strings.Count(want, "\n") != 2 {
		t.Fatalf("export = %q, want a header and a link", want)
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	export := func(path string) result {
		return terse(t, environ, "links", "export", "--format", "csv", "-o", path)
	}
	for _, stdout := range []string{"-", "/dev/stdout"} {
		if got := export(stdout); got.status != 0 || got.stdout != want || got.stderr != "" {
			t.Errorf("export to %s = %+v, want the export alone", stdout, got)
		}
	}

	writeFile(t, at("old"), "old")
	must(t, os.Chmod(at("old"), 0o644))
	must(t, errors.Join(os.Symlink("old", at("link")), os.Symlink("new", at("dangling")), syscall.Mkfifo(at("pipe"), 0o600), os.Symlink("pipe", at("to-pipe"))))
	for link, file := range map[string]string{"link": "old", "dangling": "new"} {
		export(at(link)).want(t, "export to a symbolic link", 0)
		wantType(t, at(link), fs.ModeSymlink)
		wantContent(t, at(file), want)
		if info, err := os.Stat(at(file)); err != nil || info.Mode() != 0o600 {
			t.Errorf("mode of an export = %v, %v, want -rw-------", info.Mode(), err)
		}
	}
	for _, pipe := range []string{"pipe", "to-pipe"} {
		written := reading(at(pipe))
		export(at(pipe)).want(t, "export to a pipe", 0)
		if got := written(); got != want {
			t.Errorf("the pipe got %q, want %q", got, want)
		}
	}
	wantType(t, at("pipe"), fs.ModeNamedPipe)
	wantType(t, at("to-pipe"), fs.ModeSymlink)
	export(dir).want(t, "export to a folder", 1, "is a folder")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 6 {
		t.Errorf("files = %v, %v, want 6", entries, err)
	}
}

// TestPlantedFiles checks files that another user made in a shared folder, under the names
// that an export or an import uses.
func TestPlantedFiles(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, owns)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, at("victim"), "victim")
	writeFile(t, at("links.csv"), "url,alias\nhttps://example.com/1,one\nnonsense,two\n")
	link := func(path string) { must(t, os.Symlink("victim", path)) }
	shared := func(path string) {
		writeFile(t, path, "{}")
		must(t, os.Chmod(path, 0o666))
	}
	for _, tt := range []struct {
		name  string
		plant func(path string)
		at    string
		args  []string
	}{
		{"part as a link", link, "links.ndjson.part", []string{"export", "-o", at("links.ndjson")}},
		{"part of another user", shared, "links.ndjson.part", []string{"export", "-o", at("links.ndjson")}},
		{"checkpoint of an export as a link", link, "links.ndjson.part.checkpoint", []string{"export", "-o", at("links.ndjson")}},
		{"checkpoint of an export of another user", shared, "links.ndjson.part.checkpoint", []string{"export", "-o", at("links.ndjson")}},
		{"checkpoint of an import of another user", shared, "links.csv.checkpoint", []string{"import", at("links.csv")}},
		{"checkpoint as a pipe", func(path string) { must(t, syscall.Mkfifo(path, 0o600)) }, "links.csv.checkpoint", []string{"import", at("links.csv")}},
	} {
		tt.plant(at(tt.at))
		terse(t, environ, append([]string{"links"}, tt.args...)...).want(t, tt.name, 1, at(tt.at))
		wantContent(t, at("victim"), "victim")
		must(t, os.Remove(at(tt.at)))
	}

	shared(at("rejected"))
	must(t, os.Symlink("rejected", at("to-rejected")))
	must(t, os.Symlink("progress", at("to-progress")))
	got := terse(t, environ, "links", "import", at("links.csv"), "--errors", at("to-rejected"), "--checkpoint", at("to-progress"))
	got.want(t, "import", 1, "Imported 1 links, rejected 1 rows")
	wantType(t, at("to-rejected"), fs.ModeSymlink)
	wantType(t, at("to-progress"), fs.ModeSymlink)
	if info, err := os.Stat(at("rejected")); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode of the rejected rows = %v, %v, want -rw-------", info.Mode(), err)
	}
	rejected, err := os.ReadFile(at("rejected"))
	if err != nil || !strings.HasPrefix(string(rejected), `{"line":`) {
		t.Errorf("the rejected rows = %q, %v", rejected, err)
	}
}

// TestRejectedRowsToOtherTargets checks the targets of rejected rows that are no files.
func TestRejectedRowsToOtherTargets(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, owns)
	dir := t.TempDir()
	file, pipe := filepath.Join(dir, "links.csv"), filepath.Join(dir, "pipe")
	writeFile(t, file, "url,alias\nnonsense,two\n")
	const want = `{"line":2,"code":"two","field":"url",`
	if got := terse(t, environ, "links", "import", file, "--errors", "-"); got.status != 1 || !strings.HasPrefix(got.stdout, want) || strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("import --errors - = %+v, want one line with %s", got, want)
	}
	must(t, syscall.Mkfifo(pipe, 0o600))
	written := reading(pipe)
	terse(t, environ, "links", "import", file, "--errors", pipe).want(t, "import", 1, "rejected 1 rows")
	if got := written(); !strings.HasPrefix(got, want) {
		t.Errorf("the pipe got %q, want %s", got, want)
	}
	wantType(t, pipe, fs.ModeNamedPipe)
}

//go:build unix

package outfile_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/terse/terse/internal/outfile"
)

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, path, content string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != content {
		t.Errorf("content of %s = %q, %v, want %q", filepath.Base(path), got, err, content)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("file"), "", 0o600)
	if err := errors.Join(
		syscall.Mkfifo(at("pipe"), 0o600),
		os.Mkdir(at("folder"), 0o700),
		os.Symlink("file", at("to-file")),
		os.Symlink(at("to-file"), at("to-link")),
		os.Symlink("missing", at("to-missing")),
		os.Symlink("pipe", at("to-pipe")),
		os.Symlink("round", at("round")),
		os.MkdirAll(at("folder/deep"), 0o700),
		os.Symlink("folder/deep", at("to-folder")),
		os.Symlink("../above", at("folder/deep/to-above")),
		os.Symlink("to-folder/../above", at("through")),
	); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		want outfile.Target
	}{
		{at("missing"), outfile.Target{Path: at("missing")}},
		{at("file"), outfile.Target{Path: at("file"), Exists: true}},
		{at("to-file"), outfile.Target{Path: at("file"), Exists: true}},
		{at("to-link"), outfile.Target{Path: at("file"), Exists: true}},
		{at("to-missing"), outfile.Target{Path: at("missing")}},
		{at("to-folder/to-above"), outfile.Target{Path: at("folder/above")}},
		{at("through"), outfile.Target{Path: at("folder/above")}},
		{at("pipe"), outfile.Target{Path: at("pipe"), Exists: true, Direct: true}},
		{at("to-pipe"), outfile.Target{Path: at("to-pipe"), Exists: true, Direct: true}},
		{os.DevNull, outfile.Target{Path: os.DevNull, Exists: true, Direct: true}},
	} {
		if got, err := outfile.Find(tt.path); err != nil || got != tt.want {
			t.Errorf("Find(%s) = %+v, %v, want %+v", tt.path, got, err, tt.want)
		}
	}
	for _, path := range []string{at("folder"), at("round"), at("file/below")} {
		if got, err := outfile.Find(path); err == nil {
			t.Errorf("Find(%s) = %+v, want an error", path, got)
		}
	}
}

// TestFindInASharedFolder checks that a symbolic link of another user is not followed, and a
// pipe of another user not written, in a folder such as /tmp. Only root can give files to other
// users; TestMayFollow has all cases for every user.
func TestFindInASharedFolder(t *testing.T) {
	t.Parallel()
	self, other, another := os.Geteuid(), 65534, 65533
	if self != 0 {
		other, another = self, self
	}
	for _, tt := range []struct {
		name  string
		mode  os.FileMode
		owner int // of the link
		ok    bool
	}{
		{"shared", 0o777 | os.ModeSticky, other, other == self},
		{"shared, own link", 0o777 | os.ModeSticky, self, true},
		{"shared, link of the owner of the folder", 0o777 | os.ModeSticky, another, true},
		{"private", 0o700, other, true},
	} {
		dir := t.TempDir()
		link := filepath.Join(dir, "link")
		if err := errors.Join(
			os.Symlink("victim", link), os.Lchown(link, tt.owner, -1), os.Chown(dir, another, -1), os.Chmod(dir, tt.mode),
		); err != nil {
			t.Fatal(err)
		}
		toPipe, pipe := filepath.Join(dir, "to-pipe"), filepath.Join(dir, "pipe")
		if err := errors.Join(
			syscall.Mkfifo(pipe, 0o666), os.Symlink("pipe", toPipe), os.Chown(pipe, tt.owner, -1), os.Lchown(toPipe, tt.owner, -1),
		); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{link, pipe, toPipe} {
			if got, err := outfile.Find(path); (err == nil) != tt.ok {
				t.Errorf("%s: Find(%s) = %+v, %v, want ok: %v", tt.name, filepath.Base(path), got, err, tt.ok)
			}
		}
	}
}

func TestWriteFileReplaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	write(t, path, "old", 0o644)
	if err := outfile.WriteFile(path, []byte("new")); err != nil {
		t.Fatalf("WriteFile() = %v, want nil", err)
	}
	want(t, path, "new")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode = %v, %v, want -rw-------", info.Mode(), err)
	}
	if err := outfile.WriteFile(filepath.Join(path, "below"), nil); err == nil {
		t.Error("WriteFile() below a file = nil, want an error")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("files = %v, %v, want one", entries, err)
	}
}

func TestAddReplacesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	for i, content := range []string{"first", "second"} {
		f, err := outfile.Temp(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(content); err != nil {
			t.Fatal(err)
		}
		if err := outfile.Add(f, path); (i == 0) != (err == nil) || i == 1 && !errors.Is(err, fs.ErrExist) {
			t.Errorf("Add() number %d = %v", i+1, err)
		}
	}
	want(t, path, "first")
}

func TestContinue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, content := range []string{"a", "ab"} {
		f, err := outfile.Continue(at("file"))
		if err != nil {
			t.Fatalf("Continue() = %v, want nil", err)
		}
		if _, err := f.Seek(0, io.SeekEnd); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(content[len(content)-1:]); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		want(t, at("file"), content)
	}
	write(t, at("victim"), "victim", 0o600)
	write(t, at("readable"), "x", 0o644)
	write(t, at("linked"), "x", 0o600)
	if err := errors.Join(
		os.Symlink("victim", at("link")), os.Symlink("none", at("dangling")), os.Link(at("linked"), at("again")),
		syscall.Mkfifo(at("pipe"), 0o600), os.Mkdir(at("folder"), 0o700),
	); err != nil {
		t.Fatal(err)
	}
	refused := []string{"readable", "linked", "link", "dangling", "pipe", "folder"}
	if os.Geteuid() == 0 {
		write(t, at("foreign"), "x", 0o600)
		if err := os.Chown(at("foreign"), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		refused = append(refused, "foreign")
	}
	for _, name := range refused {
		if f, err := outfile.Continue(at(name)); err == nil || !strings.Contains(err.Error(), at(name)) {
			t.Errorf("Continue(%s) = %v, %v, want an error with the path", name, f, err)
		}
		if _, err := outfile.ReadFile(at(name)); err == nil {
			t.Errorf("ReadFile(%s) = nil, want an error", name)
		}
	}
	want(t, at("victim"), "victim")
	if _, err := os.Lstat(at("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Continue() followed a symbolic link: %v", err)
	}
	if _, err := outfile.ReadFile(at("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile() of no file = %v, want %v", err, fs.ErrNotExist)
	}
}

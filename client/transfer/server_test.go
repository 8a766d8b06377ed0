//go:build unix

package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terse/terse/client"
	"github.com/terse/terse/client/transfer"
	"github.com/terse/terse/internal/testenv"
)

// server starts servers of one binary.
type server struct{ binary string }

// client starts a server with an empty database, and returns a client with an admin key.
func (s server) client(t *testing.T) *client.Client {
	t.Helper()
	node := testenv.NewTerse(t, testenv.TerseOptions{Binary: s.binary, Settings: map[string]string{"limit_create_key": "off"}})
	token, err := node.Command(t.Context(), "key", "create", "--name", "test", "--scope", "admin").Output()
	if err != nil {
		t.Fatalf("terse key create: %v", err)
	}
	c, err := client.New(client.Options{Server: node.URL(), Key: strings.TrimSpace(string(token))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestServer imports to servers and exports from them.
func TestServer(t *testing.T) {
	t.Parallel()
	s := server{testenv.BuildTerse(t)}
	for name, test := range map[string]func(*testing.T, *client.Client){
		"import": testImport, "import from a reader": testImportFromReader, "export": testExport,
	} {
		t.Run(name, func(t *testing.T) { test(t, s.client(t)) })
	}
}

// importFile writes an import of n links without codes and n/10 invalid rows, and returns its
// path.
func importFile(t *testing.T, n int) string {
	t.Helper()
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "{\"url\":\"https://example.com/%d\",\"clicks\":1}\n", i)
		if i%10 == 5 {
			b.WriteString("{\"url\":\"ftp://example.com\"}\n")
		}
	}
	path := filepath.Join(t.TempDir(), "links.ndjson")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// testImport interrupts an import and continues it. In the end each row is one link or one
// rejection.
func testImport(t *testing.T, c *client.Client) {
	const n = 1500
	file := importFile(t, n)
	rejected := 0
	opts := transfer.ImportOptions{
		Client: c, File: file, Checkpoint: file + ".checkpoint", Rejections: file + ".rejected",
		Rejected: func(r transfer.Rejection) error {
			rejected++
			if r.Field != "url" || r.Line == 0 || r.Reason == "" {
				t.Errorf("Rejected(%+v), want a line and the field url", r)
			}
			return nil
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	opts.Progress = func(p transfer.ImportProgress) {
		if p.Rows >= 400 {
			cancel()
		}
	}
	first, err := transfer.NewImporter(opts)
	if err != nil {
		t.Fatalf("NewImporter() = %v", err)
	}
	defer func() { _ = first.Close() }()
	if info, err := os.Stat(file); err != nil || first.Size() != info.Size() {
		t.Errorf("Size() = %d, want the size of %v, %v", first.Size(), info, err)
	}
	if err := first.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run() = %v, want context.Canceled", err)
	}
	before := first.Result()

	other := opts
	other.Whole = true
	if _, err := transfer.NewImporter(other); !errors.Is(err, transfer.ErrOtherImport) {
		t.Errorf("NewImporter() with the checkpoint of another import = %v, want ErrOtherImport", err)
	}
	opts.Progress = func(p transfer.ImportProgress) {
		if p.Rows <= before.Rows || p.Read == 0 {
			t.Errorf("Progress(%+v), want more rows than %d of the first run", p, before.Rows)
		}
	}
	second, err := transfer.NewImporter(opts)
	if err != nil {
		t.Fatalf("NewImporter() = %v", err)
	}
	defer func() { _ = second.Close() }()
	if got := second.Result(); got != before || got.Rows < 400 || got.Rows >= n {
		t.Errorf("Result() before Run = %+v, want %+v of the first run", got, before)
	}
	if err := second.Run(t.Context()); err != nil {
		t.Fatalf("Run() = %v, want nil", err)
	}
	want := transfer.ImportResult{Rows: n + n/10, Links: n, Rejected: n / 10, WithoutHistory: n}
	if got := second.Result(); got != want || rejected != n/10 {
		t.Errorf("Result() = %+v and %d calls of Rejected, want %+v", got, rejected, want)
	}
	if _, err := os.Stat(opts.Checkpoint); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the checkpoint still exists: %v", err)
	}
	lines, err := os.ReadFile(opts.Rejections)
	if err != nil || bytes.Count(lines, []byte(`"field":"url"`)) != n/10 || bytes.Count(lines, []byte("\n")) != n/10 {
		t.Errorf("the file of rejected rows has %d lines, %v, want %d", bytes.Count(lines, []byte("\n")), err, n/10)
	}
	if urls := exportedURLs(t, c); len(urls) != n {
		t.Errorf("%d targets were imported, want %d", len(urls), n)
	}
}

// exportedURLs returns how many links each target has.
func exportedURLs(t *testing.T, c *client.Client) map[string]int {
	t.Helper()
	var b bytes.Buffer
	if _, err := transfer.Export(t.Context(), &b, transfer.ExportOptions{Client: c}); err != nil {
		t.Fatalf("Export() = %v", err)
	}
	urls := map[string]int{}
	for line := range strings.Lines(b.String()) {
		var l struct{ URL string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if urls[l.URL]++; urls[l.URL] > 1 {
			t.Errorf("%s was imported %d times", l.URL, urls[l.URL])
		}
	}
	return urls
}

// testImportFromReader imports complete links without a file, and gives them to other owners.
func testImportFromReader(t *testing.T, c *client.Client) {
	rows := `{"code":"mine","url":"https://example.com/mine","owner":"key_old","clicks":7}
{"code":"theirs","url":"https://example.com/theirs","owner":"key_other"}
{"url":"https://example.com/no-code"}
`
	m, err := transfer.NewImporter(transfer.ImportOptions{Client: c, Reader: strings.NewReader(rows), Whole: true, Owners: map[string]string{"key_old": "key_new"}})
	if err != nil {
		t.Fatalf("NewImporter() = %v", err)
	}
	defer func() { _ = m.Close() }()
	if err := m.Run(t.Context()); err != nil {
		t.Fatalf("Run() = %v", err)
	}
	if got, want := m.Result(), (transfer.ImportResult{Rows: 3, Links: 2, Rejected: 1}); got != want {
		t.Errorf("Result() = %+v, want %+v", got, want)
	}
	page, err := c.ExportArchive(t.Context(), 0, "")
	if err != nil || len(page.Links) != 2 {
		t.Fatalf("ExportArchive() = %+v, %v, want two links", page, err)
	}
	owners := map[string]string{"mine": "key_new", "theirs": "key_other"}
	for _, l := range page.Links {
		if l.Owner == nil || *l.Owner != owners[l.Code] {
			t.Errorf("the owner of %s = %v, want %s", l.Code, l.Owner, owners[l.Code])
		}
	}
}

// testExport interrupts exports to a writer and to a file, and continues them. The results equal
// an export in one run.
func testExport(t *testing.T, c *client.Client) {
	const n = 2500
	m, err := transfer.NewImporter(transfer.ImportOptions{Client: c, File: importFile(t, n)})
	if err != nil {
		t.Fatalf("NewImporter() = %v", err)
	}
	defer func() { _ = m.Close() }()
	if err := m.Run(t.Context()); err != nil {
		t.Fatalf("Run() = %v", err)
	}
	for _, format := range transfer.Formats {
		opts := transfer.ExportOptions{Client: c, Format: format}
		var want bytes.Buffer
		if got, err := transfer.Export(t.Context(), &want, opts); err != nil || got.Links != n || got.Cursor != "" {
			t.Fatalf("Export() = %+v, %v, want %d links", got, err, n)
		}
		interrupted := func() (context.Context, transfer.ExportOptions) {
			ctx, cancel := context.WithCancel(t.Context())
			opts := opts
			opts.Progress = func(int64) { cancel() }
			return ctx, opts
		}

		var parts bytes.Buffer
		ctx, stopped := interrupted()
		first, err := transfer.Export(ctx, &parts, stopped)
		if !errors.Is(err, context.Canceled) || first.Links != 1000 || first.Cursor == "" {
			t.Fatalf("Export() = %+v, %v, want one page and context.Canceled", first, err)
		}
		rest := opts
		rest.Cursor = first.Cursor
		if got, err := transfer.Export(t.Context(), &parts, rest); err != nil || got.Links != n-1000 || !bytes.Equal(parts.Bytes(), want.Bytes()) {
			t.Errorf("%s: the continued Export() = %+v, %v, %d bytes, want the %d bytes of one run", format, got, err, parts.Len(), want.Len())
		}

		path := filepath.Join(t.TempDir(), "links")
		ctx, stopped = interrupted()
		if _, err := transfer.ExportFile(ctx, path, stopped); !errors.Is(err, context.Canceled) {
			t.Fatalf("ExportFile() = %v, want context.Canceled", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file of an incomplete export exists: %v", err)
		}
		other := opts
		other.Tag = "other"
		if _, err := transfer.ExportFile(t.Context(), path, other); err == nil || !strings.Contains(err.Error(), "another export") {
			t.Errorf("another ExportFile() to the same path = %v, want an error", err)
		}
		got, err := transfer.ExportFile(t.Context(), path, opts)
		content, readErr := os.ReadFile(path)
		if err != nil || readErr != nil || got.Links != n || !bytes.Equal(content, want.Bytes()) {
			t.Errorf("%s: the continued ExportFile() = %+v, %v, %d bytes, %v, want the %d bytes of one run", format, got, err, len(content), readErr, want.Len())
		}
		if left, err := filepath.Glob(path + ".*"); err != nil || len(left) != 0 {
			t.Errorf("ExportFile() left %v, %v", left, err)
		}
	}
}

// TestWrongOptions checks that every problem of options is reported at once.
func TestWrongOptions(t *testing.T) {
	t.Parallel()
	_, err := transfer.NewImporter(transfer.ImportOptions{Source: "tinyurl", Owners: map[string]string{"a": "b"}})
	for _, want := range []string{"ImportOptions.Client is required", "File or Reader", "Source", "Owners needs Whole"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewImporter() = %v, want %q", err, want)
		}
	}
	_, err = transfer.Export(t.Context(), nil, transfer.ExportOptions{Format: "xml", Whole: true, Tag: "x"})
	for _, want := range []string{"ExportOptions.Client is required", "Format", "Whole"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Export() = %v, want %q", err, want)
		}
	}
}

// TestOutputsReplaceNoOtherFile checks that the files for rejected rows and for the report are
// neither the file to import, nor the checkpoint, nor one file under two names.
func TestOutputsReplaceNoOtherFile(t *testing.T) {
	t.Parallel()
	c, err := client.New(client.Options{Server: "http://127.0.0.1:1", Key: "unused"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	file := importFile(t, 10)
	link, checkpoint := file+".link", file+".checkpoint"
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rejected := filepath.Join(t.TempDir(), "rejected")
	for _, tt := range []struct{ rejections, report, wrong string }{
		{rejections: file, wrong: file},
		{rejections: link, wrong: link},
		{rejections: checkpoint, wrong: checkpoint},
		{report: file, wrong: file},
		{report: link, wrong: link},
		{report: checkpoint, wrong: checkpoint},
		{rejections: rejected, report: rejected, wrong: rejected},
		{rejections: rejected, report: filepath.Dir(rejected) + "/./rejected", wrong: "/./rejected"},
	} {
		m, err := transfer.NewImporter(transfer.ImportOptions{Client: c, File: file, Checkpoint: checkpoint, Rejections: tt.rejections, Report: tt.report})
		if err == nil {
			_ = m.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("NewImporter() with rejected rows in %q and the report in %q = %v, want an error with %s", tt.rejections, tt.report, err, tt.wrong)
		}
		if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, before) {
			t.Fatalf("rejected rows in %q and the report in %q left %d bytes of the file to import, %v, want %d", tt.rejections, tt.report, len(after), err, len(before))
		}
	}
}

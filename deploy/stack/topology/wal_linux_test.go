package topology

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
	"github.com/terse/terse/store/postgres/schema"
)

// eventually retries fn until it returns nil. It fails the test after the given time.
func eventually(t *testing.T, within time.Duration, what string, fn func() error) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		err := fn()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v after %v", what, err, within)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// smallDisk mounts a memory file system of a size such as 64m. It returns the folder and a
// function that changes the size.
func smallDisk(t *testing.T, size string) (dir string, resize func(size string)) {
	t.Helper()
	dir, err := os.MkdirTemp("", "terse-disk-")
	must(t, err)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a file system of %s: %v: run this test as root with the right to mount", size, err)
	}
	t.Cleanup(func() {
		must(t, syscall.Unmount(dir, syscall.MNT_DETACH))
		must(t, os.Remove(dir))
	})
	return dir, func(size string) {
		t.Helper()
		must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size="+size))
	}
}

// moveWAL moves the write-ahead log of a stopped server to another folder.
func moveWAL(t *testing.T, data, disk string) {
	t.Helper()
	wal, moved := filepath.Join(data, "pg_wal"), filepath.Join(disk, "pg_wal")
	info, err := os.Stat(data)
	must(t, err)
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("owner of %s is unknown", data)
	}
	must(t, os.CopyFS(moved, os.DirFS(wal)))
	must(t, filepath.WalkDir(moved, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return errors.Join(err, os.Chown(path, int(owner.Uid), int(owner.Gid)))
	}))
	must(t, os.RemoveAll(wal))
	must(t, os.Symlink(moved, wal))
}

// TestFullWAL fills the disk of a primary's write-ahead log, so that Postgres ends and
// cannot start. When there is space again, the shard must accept writes without a restart
// of the node, and still have every acknowledged link.
func TestFullWAL(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	ctx := t.Context()
	top := &Topology{opts: Options{Nodes: 1}}
	t.Cleanup(func() { must(t, top.Close()) })
	disk, resize := smallDisk(t, "64m")
	one, err := top.startShard(ctx, "s1")
	must(t, err)
	primary := one.cluster.Primary()
	must(t, primary.Stop())
	moveWAL(t, primary.DataDir(), disk)
	must(t, primary.Start(ctx))
	logger := slog.New(slog.DiscardHandler)
	migrator, err := schema.New(schema.Options{Targets: []schema.Target{{Name: "s1", DSN: primary.DSN(database)}}, Logger: logger})
	must(t, err)
	must(t, migrator.Up(ctx))
	var supervising context.Context
	supervising, top.stopSync = context.WithCancel(ctx)
	top.syncing.Go(func() { one.supervise(supervising) })

	node, err := postgres.Open(ctx, postgres.Options{Name: "s1", Primary: one.cluster.DSN(database), SchemaVersion: schema.Latest(), Logger: logger})
	must(t, err)
	t.Cleanup(func() { must(t, node.Close()) })
	var acknowledged []store.Link
	create := func() error {
		code := fmt.Sprintf("l%d", time.Now().UnixNano())
		now := time.Now().UTC().Truncate(time.Microsecond)
		l, err := node.Create(ctx, store.Link{Code: code, URL: "https://example.com/", Status: 302, CreatedAt: now, UpdatedAt: now})
		if err == nil {
			acknowledged = append(acknowledged, l)
		}
		return err
	}
	eventually(t, 5*time.Minute, "create", create)
	running := primary.Pid()
	eventually(t, 5*time.Minute, "fill the disk until the primary ends", func() error {
		_ = create()
		_ = primary.Exec(ctx, database, "select pg_logical_emit_message(false, 'pad', repeat('x', 4000000))")
		if primary.Pid() == running {
			return errors.New("the primary is still running")
		}
		return nil
	})
	if err := create(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Create() with a full log = %v, want %v", err, store.ErrUnavailable)
	}
	resize("512m")
	room := time.Now()
	eventually(t, 5*time.Minute, "write after there is space", create)
	t.Logf("first write %v after there was space, %d links acknowledged", time.Since(room).Round(time.Millisecond), len(acknowledged))
	for _, l := range acknowledged {
		if got, err := node.Get(ctx, l.Code); err != nil || got.URL != l.URL {
			t.Errorf("Get(%q) = %q, %v, want the acknowledged link", l.Code, got.URL, err)
		}
	}
}

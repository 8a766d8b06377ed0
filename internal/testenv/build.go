//go:build unix

package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
)

// binary is the product, built at the first call of path.
type binary struct {
	race   bool
	before string // a file: build the version before the commit that added it
	once   sync.Once
	folder *folder // ends with the process
	err    error
}

var (
	tested, released = binary{race: racing()}, binary{}

	older sync.Map // of *binary, by binary.before
)

// BuildTerse builds the product once for all tests of the process and returns the path of the
// binary, which is removed when the process ends. When the tests run with the race
// detector, so does the binary. Failure is fatal.
func BuildTerse(tb testing.TB) string {
	tb.Helper()
	return tested.path(tb)
}

// BuildRelease is BuildTerse, always without the race detector: for tests of memory.
func BuildRelease(tb testing.TB) string {
	tb.Helper()
	if !tested.race {
		return tested.path(tb)
	}
	return released.path(tb)
}

// BuildBefore builds an older version of the product, always without the race detector: the
// parent of the commit that added a file. file is a path in the repository. The version of the
// binary is OlderVersion. Without the history of the repository the test is skipped, and make
// test-long says so. Otherwise it is like BuildTerse.
func BuildBefore(tb testing.TB, file string) string {
	tb.Helper()
	b, _ := older.LoadOrStore(file, &binary{before: file})
	return b.(*binary).path(tb)
}

// OlderVersion is what the binaries of BuildBefore report as their version.
const OlderVersion = "older"

func (b *binary) path(tb testing.TB) string {
	tb.Helper()
	b.once.Do(func() { b.folder, b.err = b.build(tb.Context()) })
	if errors.Is(b.err, errNoHistory) {
		tb.Skip(b.err)
	}
	if b.err != nil {
		tb.Fatal(b.err)
	}
	return b.folder.join("terse")
}

func (b *binary) build(ctx context.Context) (*folder, error) {
	f, err := newFolder(Location{Name: "terse-build"})
	if err != nil {
		return nil, err
	}
	if b.before == "" {
		err = goBuild(ctx, "", b.race, "-o", f.join("terse"))
	} else if r, missing := findRepository(ctx, "."); missing != nil {
		err = fmt.Errorf("build the version before %s: %w", b.before, missing)
	} else {
		err = r.buildBefore(ctx, b.before, f.join("terse"))
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// goBuild builds the product in a folder of the module. An empty folder is the current one.
func goBuild(ctx context.Context, dir string, race bool, options ...string) error {
	cgo := "CGO_ENABLED=0"
	if race {
		cgo = "CGO_ENABLED=1"
	}
	args := slices.Concat([]string{"build", fmt.Sprintf("-race=%v", race)}, options, []string{"github.com/terse/terse/cmd/terse"})
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // into a fresh folder
	cmd.Dir, cmd.Env = dir, append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return nil
}

// Rounds returns n, or a tenth of it with the race detector, which makes a program several
// times slower. It is for tests that repeat the same steps with other values.
func Rounds(n int) int {
	if racing() {
		return max(1, n/10)
	}
	return n
}

// racing reports whether the process runs with the race detector.
func racing() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

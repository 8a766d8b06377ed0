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
	once   sync.Once
	folder *folder // ends with the process
	err    error
}

var tested, released = binary{race: racing()}, binary{}

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

func (b *binary) path(tb testing.TB) string {
	tb.Helper()
	b.once.Do(func() { b.folder, b.err = build(tb.Context(), b.race) })
	if b.err != nil {
		tb.Fatal(b.err)
	}
	return b.folder.join("terse")
}

func build(ctx context.Context, race bool) (*folder, error) {
	f, err := newFolder(Location{Name: "terse-build"})
	if err != nil {
		return nil, err
	}
	cgo := "CGO_ENABLED=0"
	if race {
		cgo = "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(ctx, "go", "build", fmt.Sprintf("-race=%v", race), "-o", f.join("terse"), "github.com/terse/terse/cmd/terse") //nolint:gosec // into a fresh folder
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("go build: %w: %s", err, out), f.close())
	}
	return f, nil
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

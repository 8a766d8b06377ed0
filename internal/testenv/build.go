//go:build unix

package testenv

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
)

// built is the product, built at the first call of BuildTerse.
var built struct {
	once   sync.Once
	folder *folder // ends with the process
	err    error
}

// BuildTerse builds the product once for all tests of the process and returns the path of the
// binary, which is removed when the process ends. When the tests run with the race
// detector, so does the binary. Failure is fatal.
func BuildTerse(tb testing.TB) string {
	tb.Helper()
	built.once.Do(func() { built.folder, built.err = build(tb.Context()) })
	if built.err != nil {
		tb.Fatal(built.err)
	}
	return built.folder.join("terse")
}

func build(ctx context.Context) (*folder, error) {
	f, err := newFolder(Location{Name: "terse-build"})
	if err != nil {
		return nil, err
	}
	race, cgo := "-race=false", "CGO_ENABLED=0"
	if Racing() {
		race, cgo = "-race", "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(ctx, "go", "build", race, "-o", f.join("terse"), "github.com/terse/terse/cmd/terse") //nolint:gosec // into a fresh folder
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return f, cmp.Or(f.close(), fmt.Errorf("go build: %w: %s", err, out))
	}
	return f, nil
}

// Racing reports whether the process runs with the race detector, which makes it several
// times slower and larger.
func Racing() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

package validate_test

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// imageWithin bounds the build of an image, its base images included.
const imageWithin = 10 * time.Minute

func dockerfile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestImageBinary runs the command by which the image is built, and holds that it makes
// a static binary for each platform, which tells what it was made of.
func TestImageBinary(t *testing.T) {
	t.Parallel()
	command := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=.* go build .*) -o /out/terse ./cmd/terse$`).FindStringSubmatch(dockerfile(t))
	if command == nil {
		t.Fatal("the Dockerfile builds no /out/terse")
	}
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			binary := filepath.Join(t.TempDir(), "terse")
			build := exec.Command("sh", "-c", command[1]+" -o "+binary+" ./cmd/terse")
			build.Dir = "../.."
			build.Env = append(os.Environ(), "TARGETOS=linux", "TARGETARCH="+arch, "VERSION=v9.9.9-test")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%s = %v: %s", command[1], err, out)
			}
			wantStatic(t, binary, machine)
			info, err := buildinfo.ReadFile(binary)
			if err != nil {
				t.Fatal(err)
			}
			if info.Main.Path != "github.com/terse/terse" || len(info.Deps) < 20 {
				t.Errorf("an inventory of %s finds module %q with %d others", binary, info.Main.Path, len(info.Deps))
			}
			if runtime.GOOS == "linux" && runtime.GOARCH == arch {
				out, err := exec.Command(binary, "version").Output()
				if err != nil || string(out) != "terse v9.9.9-test\n" {
					t.Errorf("terse version = %q, %v", out, err)
				}
			}
		})
	}
}

func wantStatic(t *testing.T, binary string, machine elf.Machine) {
	t.Helper()
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	libraries, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	interpreted := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	if f.Machine != machine || interpreted || len(libraries) > 0 {
		t.Errorf("%s is for %v, interpreted %v, with libraries %v; want static for %v", binary, f.Machine, interpreted, libraries, machine)
	}
}

// TestImage builds the image for this machine and runs it, where there is a builder that
// can reach the base images. Elsewhere it says what it could not do.
func TestImage(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), imageWithin)
	defer cancel()
	builder := findBuilder(ctx, t)
	for _, from := range regexp.MustCompile(`(?m)^FROM (?:--platform=\S+ )?(\S+)`).FindAllStringSubmatch(dockerfile(t), -1) {
		if exec.CommandContext(ctx, builder, "image", "inspect", from[1]).Run() == nil {
			continue
		}
		out, err := exec.CommandContext(ctx, builder, "pull", from[1]).CombinedOutput()
		switch {
		case bytes.Contains(out, []byte("manifest unknown")) || bytes.Contains(out, []byte("not found")):
			t.Fatalf("the base image %s does not exist: %s", from[1], out)
		case err != nil:
			t.Skipf("NOT TESTED: the image was not built, because %s cannot reach its base image %s: %s", builder, from[1], out)
		}
	}
	tag := fmt.Sprintf("terse-test:%d", os.Getpid())
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(ctx, builder, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v = %v: %s", builder, args, err, out)
		}
		return string(out)
	}
	run("build", "--build-arg", "VERSION=v9.9.9-test", "--build-arg", "REVISION=abc", "-t", tag, "../..")
	t.Cleanup(func() {
		_ = exec.Command(builder, "image", "rm", "--force", tag).Run()
	})
	if got := run("run", "--rm", "--read-only", "--cap-drop=ALL", tag, "version"); !strings.Contains(got, "terse v9.9.9-test") {
		t.Errorf("terse version in the image = %q", got)
	}
	if got := strings.TrimSpace(run("image", "inspect", "--format", "{{.Config.User}}", tag)); got != "65532:65532" {
		t.Errorf("the image runs as %q, want an unprivileged user", got)
	}
	for label, want := range map[string]string{"version": "v9.9.9-test", "revision": "abc", "licenses": "MIT"} {
		format := fmt.Sprintf(`{{index .Config.Labels "org.opencontainers.image.%s"}}`, label)
		if got := strings.TrimSpace(run("image", "inspect", "--format", format, tag)); got != want {
			t.Errorf("label %s = %q, want %q", label, got, want)
		}
	}
}

// findBuilder returns a program that builds images and works.
func findBuilder(ctx context.Context, t *testing.T) string {
	t.Helper()
	var why []string
	for _, builder := range []string{"docker", "podman"} {
		out, err := exec.CommandContext(ctx, builder, "info").CombinedOutput()
		if err == nil && !bytes.Contains(out, []byte("Cannot connect")) {
			return builder
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		why = append(why, fmt.Sprintf("%s: %v %s", builder, err, lines[len(lines)-1]))
	}
	t.Skipf("NOT TESTED: the image was not built, because no builder works here: %s", strings.Join(why, "; "))
	return ""
}

package validate_test

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// imageWithin limits the build and test of the image. It allows for an empty build
	// cache.
	imageWithin = 25 * time.Minute
	// answerWithin limits the start of a container.
	answerWithin = 2 * time.Minute
)

// shippedImage is the metadata of an image.
type shippedImage struct {
	Architecture string
	Config       struct {
		User, StopSignal     string
		Entrypoint, Cmd, Env []string
		ExposedPorts         map[string]any
		Volumes, Labels      map[string]any
	}
}

// TestImage builds the image for both platforms with the Dockerfile, on base images that
// contain only this machine's compiler. It checks the content of each image, and runs the
// image for this machine like Kubernetes does.
func TestImage(t *testing.T) {
	if testing.Short() {
		t.Skip("runs with make test-long")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), imageWithin)
	defer cancel()
	p := newPodman(ctx, t)
	arches, machines := []string{"amd64", "arm64"}, []elf.Machine{elf.EM_X86_64, elf.EM_AARCH64}
	for i, image := range p.build(arches...) {
		arch := arches[i]
		wantConfig(t, p, image, arch)
		binary := wantFiles(t, p, image)
		wantStatic(t, binary, machines[i])
		wantInventory(t, binary)
		if runtime.GOARCH == arch {
			wantService(t, p, image)
		}
	}
}

// TestImageCompiler checks that the image is built with the Go version of go.mod.
func TestImageCompiler(t *testing.T) {
	t.Parallel()
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)
	got := regexp.MustCompile(`(?m)^ARG GOLANG=golang:(\d+\.\d+)[.-]`).FindSubmatch(dockerfile)
	if want == nil || got == nil || !bytes.Equal(got[1], want[1]) {
		t.Errorf("Go version of the Dockerfile = %s, want %s from go.mod", got, want)
	}
}

// wantConfig checks the metadata of the image.
func wantConfig(t *testing.T, p *podman, image, arch string) {
	t.Helper()
	var images []shippedImage
	if err := json.Unmarshal([]byte(p.run("image", "inspect", image)), &images); err != nil {
		t.Fatal(err)
	}
	c := images[0].Config
	if images[0].Architecture != arch {
		t.Errorf("architecture = %s, want %s", images[0].Architecture, arch)
	}
	if c.User != "65532:65532" || c.StopSignal != "SIGTERM" || !slices.Equal(c.Entrypoint, []string{"/terse"}) || !slices.Equal(c.Cmd, []string{"serve"}) {
		t.Errorf("entrypoint %v, command %v, user %s, stop signal %s, want /terse serve as 65532:65532, stopped by SIGTERM", c.Entrypoint, c.Cmd, c.User, c.StopSignal)
	}
	if !slices.Contains(c.Env, "TERSE_DATA_DIR=/data") || c.Volumes["/data"] == nil || c.ExposedPorts["8080/tcp"] == nil {
		t.Errorf("variables %v, volumes %v, ports %v, want TERSE_DATA_DIR, /data and 8080", c.Env, c.Volumes, c.ExposedPorts)
	}
	for label, want := range map[string]string{
		"title": "Terse", "version": imageVersion, "revision": imageRevision, "licenses": "MIT", "source": "https://github.com/terse/terse",
	} {
		if got := c.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s = %v, want %s", label, got, want)
		}
	}
}

// wantFiles checks that the image adds only the binary and a data folder to its base. It
// returns a copy of the binary.
func wantFiles(t *testing.T, p *podman, image string) string {
	t.Helper()
	container := strings.TrimSpace(p.run("create", image))
	exported := filepath.Join(t.TempDir(), "image.tar")
	p.run("export", "--output", exported, container)
	f, err := os.Open(exported)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	binary := filepath.Join(t.TempDir(), "terse")
	found := map[string]string{}
	for files := tar.NewReader(f); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = fmt.Sprintf("%s of %d", header.FileInfo().Mode(), header.Uid)
		if header.Name == "terse" {
			content, err := io.ReadAll(files)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(binary, content, 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := map[string]string{"terse": "-rwxr-xr-x of 0", "data/": "drwxr-xr-x of 65532"}; fmt.Sprint(found) != fmt.Sprint(want) {
		t.Errorf("files of the image = %v, want %v", found, want)
	}
	return binary
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
		t.Errorf("binary for %v, interpreter %t, libraries %v, want a static binary for %v", f.Machine, interpreted, libraries, machine)
	}
}

// wantInventory checks that the build information lists every module, for an inventory of
// the image.
func wantInventory(t *testing.T, binary string) {
	t.Helper()
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if info.Main.Path != "github.com/terse/terse" || len(info.Deps) < 20 {
		t.Errorf("build information has module %q with %d dependencies, want github.com/terse/terse with at least 20", info.Main.Path, len(info.Deps))
	}
	for _, m := range info.Deps {
		if m.Version == "" || m.Sum == "" && m.Replace == nil {
			t.Errorf("build information has no version or no checksum of %s", m.Path)
		}
	}
}

// wantService checks that the image serves links without privileges and with only its
// volume writable, and that links survive a restart.
func wantService(t *testing.T, p *podman, image string) {
	t.Helper()
	confined := []string{"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host"}
	if got := p.run(slices.Concat([]string{"run", "--rm"}, confined, []string{image, "version"})...); got != "terse "+imageVersion+"\n" {
		t.Errorf("terse version in the image = %q", got)
	}
	container := strings.TrimSpace(p.run(slices.Concat([]string{"run", "--detach"}, confined, []string{
		"--env=TERSE_LISTEN=127.0.0.1:0", "--env=TERSE_ADMIN_LISTEN=127.0.0.1:0", "--volume=links:/data", image,
	})...))
	const target = "https://example.com/image"
	answer, err := http.Post(p.serving(container, 1)+"/api/v1/links", "application/json", strings.NewReader(`{"url":"`+target+`","alias":"image"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _ = answer.Body.Close(); answer.StatusCode != http.StatusCreated {
		t.Fatalf("status of a create = %d, want 201", answer.StatusCode)
	}
	p.run("stop", container)
	if got := p.run("inspect", "--format", "{{.State.ExitCode}}", container); got != "0\n" {
		t.Errorf("exit code of the stopped container = %q, want 0", got)
	}
	p.run("start", container)
	visitor := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err = visitor.Get(p.serving(container, 2) + "/image")
	if err != nil {
		t.Fatal(err)
	}
	if _ = answer.Body.Close(); answer.StatusCode != http.StatusFound || answer.Header.Get("Location") != target {
		t.Errorf("link after a restart = %d to %q, want 302 to %s", answer.StatusCode, answer.Header.Get("Location"), target)
	}
}

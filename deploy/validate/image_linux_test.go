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
	// imageWithin bounds the build and the use of the image, by a compiler that has
	// yet to compile everything.
	imageWithin = 12 * time.Minute
	// answerWithin bounds the start of a container.
	answerWithin = 30 * time.Second
)

// shippedImage is what a registry tells of an image.
type shippedImage struct {
	Architecture string
	Config       struct {
		User, StopSignal     string
		Entrypoint, Cmd, Env []string
		ExposedPorts         map[string]any
		Volumes, Labels      map[string]any
	}
}

// TestImage builds the image for both platforms by the lines of the Dockerfile, over
// base images that have this machine's compiler and nothing else, and holds what is in
// it. Then it runs the one for this machine as Kubernetes does.
func TestImage(t *testing.T) {
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

// TestImageCompiler holds that the image is built by a compiler that knows the language
// of go.mod.
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
	got := regexp.MustCompile(`(?m)^ARG GOLANG=golang:(\d+\.\d+)-`).FindSubmatch(dockerfile)
	if want == nil || got == nil || !bytes.Equal(got[1], want[1]) {
		t.Errorf("the Dockerfile builds by %s, go.mod says %s", got, want)
	}
}

// wantConfig holds what a registry and whoever runs the image are told of it.
func wantConfig(t *testing.T, p *podman, image, arch string) {
	t.Helper()
	var images []shippedImage
	if err := json.Unmarshal([]byte(p.run("image", "inspect", image)), &images); err != nil {
		t.Fatal(err)
	}
	c := images[0].Config
	if images[0].Architecture != arch {
		t.Errorf("the image for %s is for %s", arch, images[0].Architecture)
	}
	if c.User != "65532:65532" || c.StopSignal != "SIGTERM" || !slices.Equal(c.Entrypoint, []string{"/terse"}) || !slices.Equal(c.Cmd, []string{"serve"}) {
		t.Errorf("the image runs %v %v as %s until %s", c.Entrypoint, c.Cmd, c.User, c.StopSignal)
	}
	if !slices.Contains(c.Env, "TERSE_DATA_DIR=/data") || c.Volumes["/data"] == nil || c.ExposedPorts["8080/tcp"] == nil {
		t.Errorf("the image has the variables %v, the volumes %v and the ports %v", c.Env, c.Volumes, c.ExposedPorts)
	}
	for label, want := range map[string]string{
		"title": "Terse", "version": imageVersion, "revision": imageRevision, "licenses": "MIT", "source": "https://github.com/terse/terse",
	} {
		if got := c.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("the label %s is %v, want %s", label, got, want)
		}
	}
}

// wantFiles holds that the image adds the binary and a folder for data to its base, and
// returns a copy of the former.
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
		t.Errorf("the image has %v, want %v", found, want)
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
		t.Errorf("the binary is for %v, interpreted %v, with libraries %v; want static for %v", f.Machine, interpreted, libraries, machine)
	}
}

// wantInventory holds that who makes an inventory of the image finds all modules in it.
func wantInventory(t *testing.T, binary string) {
	t.Helper()
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if info.Main.Path != "github.com/terse/terse" || len(info.Deps) < 20 {
		t.Errorf("an inventory finds module %q with %d others", info.Main.Path, len(info.Deps))
	}
	for _, m := range info.Deps {
		if m.Version == "" || m.Sum == "" && m.Replace == nil {
			t.Errorf("an inventory finds no version or no sum of %s", m.Path)
		}
	}
}

// wantService holds that the image, without rights and with nothing to write to but its
// volume, serves links, and stops and starts without losing them.
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
		t.Fatalf("a create in the image = %d, want 201", answer.StatusCode)
	}
	p.run("stop", container)
	if got := p.run("inspect", "--format", "{{.State.ExitCode}}", container); got != "0\n" {
		t.Errorf("the stopped container ended with %q, want 0", got)
	}
	p.run("start", container)
	visitor := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err = visitor.Get(p.serving(container, 2) + "/image")
	if err != nil {
		t.Fatal(err)
	}
	if _ = answer.Body.Close(); answer.StatusCode != http.StatusFound || answer.Header.Get("Location") != target {
		t.Errorf("the link after a restart = %d to %q, want 302 to %s", answer.StatusCode, answer.Header.Get("Location"), target)
	}
}

package validate_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Build arguments of the image.
const (
	imageVersion  = "v9.9.9-test"
	imageRevision = "0123abc"
)

// podman builds and runs images in its own folder, apart from the machine's other podman
// data.
type podman struct {
	t   *testing.T
	ctx context.Context
	env []string
	dir string
}

// containersConf makes podman run everywhere: without systemd, with few files and
// processes, and without shared state.
const containersConf = `
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
static_dir = "DIR/static"
tmp_dir = "DIR/tmp"
volume_path = "DIR/volumes"
`

const storageConf = `
[storage]
driver = "vfs"
graphroot = "DIR/images"
runroot = "DIR/run"
`

// newPodman returns a podman without images. It removes all of its data after the test.
func newPodman(ctx context.Context, t *testing.T) *podman {
	t.Helper()
	if _, err := exec.LookPath("podman"); err != nil {
		t.Fatalf("%v: run .ci/install podman", err)
	}
	p := &podman{t: t, ctx: ctx, env: os.Environ(), dir: t.TempDir()}
	for name, content := range map[string]string{"CONTAINERS_CONF": containersConf, "CONTAINERS_STORAGE_CONF": storageConf} {
		path := filepath.Join(p.dir, name)
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(content, "DIR", p.dir)), 0o600); err != nil {
			t.Fatal(err)
		}
		p.env = append(p.env, name+"="+path)
	}
	t.Cleanup(func() {
		p.ctx = context.WithoutCancel(ctx)
		p.run("rm", "--all", "--force", "--time=0")
		p.run("volume", "rm", "--all", "--force")
		p.run("rmi", "--all", "--force")
		p.end()
	})
	return p
}

// end kills the process that keeps podman's user namespace when the user is not root.
func (p *podman) end() {
	text, err := os.ReadFile(filepath.Join(p.dir, "tmp", "pause.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		p.t.Errorf("kill podman's process: %v", err)
	}
}

// run runs a podman command and returns its standard output.
func (p *podman) run(args ...string) string {
	p.t.Helper()
	cmd := exec.CommandContext(p.ctx, "podman", args...)
	cmd.Env = p.env
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		p.t.Fatalf("podman %s: %v: %s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String()
}

// from builds a base image from a folder, for the given architectures.
func (p *podman) from(folder string, arches []string, variables ...string) (name string) {
	p.t.Helper()
	containerfile := filepath.Join(p.t.TempDir(), "Containerfile")
	lines := "FROM scratch\nCOPY . /\n"
	for _, v := range variables {
		lines += fmt.Sprintf("ENV %s\n", v)
	}
	if err := os.WriteFile(containerfile, []byte(lines), 0o600); err != nil {
		p.t.Fatal(err)
	}
	name = "localhost/" + filepath.Base(folder)
	args := []string{"build", "--layers=false", "--file=" + containerfile, "--manifest=" + name}
	for _, arch := range arches {
		args = append(args, "--platform=linux/"+arch)
	}
	p.run(append(args, folder)...)
	return name
}

// compiler builds the base image of the Dockerfile's first stage. lent are the options
// that mount this machine's shell and compiler during the build.
func (p *podman) compiler() (name string, lent []string) {
	p.t.Helper()
	folder := filepath.Join(p.t.TempDir(), "compiler")
	for _, sub := range []string{"usr", "tmp", "go", "cache", "compiler"} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o755); err != nil {
			p.t.Fatal(err)
		}
	}
	for _, link := range []string{"bin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+link, filepath.Join(folder, link)); err != nil {
			p.t.Fatal(err)
		}
	}
	variables := []string{"PATH=/compiler/bin:/usr/bin", "GOPATH=/go", "GOCACHE=/cache"}
	for _, name := range []string{"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOTOOLCHAIN"} {
		variables = append(variables, fmt.Sprintf("%s=%q", name, goEnv(p.t, name)))
	}
	return p.from(folder, []string{runtime.GOARCH}, variables...), []string{
		"--volume=/usr:/usr:ro", "--volume=/etc/ssl:/etc/ssl:ro", "--volume=" + goEnv(p.t, "GOROOT") + ":/compiler:ro",
		"--volume=" + goEnv(p.t, "GOMODCACHE") + ":/go/pkg/mod", "--volume=" + goEnv(p.t, "GOCACHE") + ":/cache",
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatalf("go env %s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

// build builds Terse's image for each architecture and returns the image names.
func (p *podman) build(arches ...string) (names []string) {
	p.t.Helper()
	compiler, lent := p.compiler()
	base := p.from(p.t.TempDir(), arches)
	for _, arch := range arches {
		name := "localhost/terse-" + arch
		p.run(slices.Concat([]string{
			"build", "--isolation=chroot", "--network=host", "--pull=never", "--layers=false", "--platform=linux/" + arch, "--tag=" + name,
			"--build-arg=GOLANG=" + compiler, "--build-arg=BASE=" + base,
			"--build-arg=BUILDPLATFORM=linux/" + runtime.GOARCH, // old versions of podman do not set it
			"--build-arg=VERSION=" + imageVersion, "--build-arg=REVISION=" + imageRevision,
		}, lent, []string{"../.."})...)
		names = append(names, name)
	}
	return names
}

var ready = regexp.MustCompile(`Terse is ready: http://localhost(:\d+)`)

// serving returns the address of a container's service. It waits until the log has the
// nth message with the address.
func (p *podman) serving(container string, nth int) string {
	p.t.Helper()
	for end := time.Now().Add(answerWithin); ; time.Sleep(50 * time.Millisecond) {
		said := p.run("logs", container)
		if found := ready.FindAllStringSubmatch(said, -1); len(found) == nth {
			return "http://127.0.0.1" + found[nth-1][1]
		}
		if time.Now().After(end) {
			p.t.Fatalf("the container is not ready after %v: %s", answerWithin, said)
		}
	}
}

package validate_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tagged are images that are pinned by tag alone. Nobody has looked up their digests yet.
var tagged = []string{"nginx:1.28-bookworm", "varnish:7.6"}

// pinned is an image with a digest, and a tag for people.
var pinned = regexp.MustCompile(`^[a-z0-9./-]+:[a-zA-Z0-9._-]+@sha256:[0-9a-f]{64}$`)

// TestImagesArePinned checks that all images of others are pinned by digest: a tag can move
// to other content.
func TestImagesArePinned(t *testing.T) {
	t.Parallel()
	images := map[string]string{} // places by image
	for name, s := range composed(t).Services {
		if s.Build == nil {
			images[s.Image] = "compose: " + name
		}
	}
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		for _, kind := range []string{"Deployment", "Job", "StatefulSet"} {
			for _, o := range ofKind(objects, kind) {
				pod := podOf(t, o)
				for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
					if !strings.HasPrefix(c.Image, "registry.invalid/terse:") { // the operator builds it
						images[c.Image] = overlay + ": " + o.String()
					}
				}
			}
		}
	}
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^(?:# *syntax=|FROM (?:--\S+ )*|ARG (?:GOLANG|BASE)=)(\S+)`).FindAllStringSubmatch(string(dockerfile), -1) {
		if !strings.HasPrefix(m[1], "${") {
			images[m[1]] = "Dockerfile"
		}
	}
	if len(images) < 7 {
		t.Errorf("%d images found, want at least 7: %v", len(images), images)
	}
	for image, place := range images {
		if !pinned.MatchString(image) && !slices.Contains(tagged, image) {
			t.Errorf("%s: %s has no digest", place, image)
		}
	}
	for _, image := range tagged {
		if images[image] == "" {
			t.Errorf("no place uses %s", image)
		}
	}
}

// TestActionsArePinned checks that the actions of all workflows are pinned by commit, with
// the version as a comment.
func TestActionsArePinned(t *testing.T) {
	t.Parallel()
	workflows, err := filepath.Glob("../../.github/workflows/*.y*ml")
	if err != nil || len(workflows) == 0 {
		t.Fatalf("workflows = %v, %v", workflows, err)
	}
	for _, path := range workflows {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)uses: *(.*)$`).FindAllStringSubmatch(string(content), -1) {
			if !regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`).MatchString(m[1]) {
				t.Errorf("%s uses %s, want a commit and the version", path, m[1])
			}
		}
	}
}

// TestRemainsAreIgnored checks that neither git nor the build of the image takes files with
// data or secrets that a run may leave behind.
func TestRemainsAreIgnored(t *testing.T) {
	t.Parallel()
	remains := []string{
		"dump.rdb", "deploy/dump.rdb", "appendonly.aof", "terse.db", "terse.db-wal", "cmd/terse/terse.db-shm", "links.sqlite", "s1.dump",
		"links.csv.part", "links.csv.checkpoint", "code.key", "tls.pem", "terse.env", ".env", ".env.local", "deploy/.env", "bin/terse", "data/terse.db",
	}
	folder := t.TempDir()
	patterns, err := os.ReadFile("../../.gitignore")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, ".gitignore"), patterns, 0o600); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir = folder
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %v = %v", args, err)
		}
		return string(out)
	}
	git("init", "--quiet")
	if ignored := strings.Fields(git(append([]string{"check-ignore"}, remains...)...)); !slices.Equal(ignored, remains) {
		t.Errorf("git ignores %v, want %v", ignored, remains)
	}

	list, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range remains {
		if !dockerIgnores(t, string(list), path) {
			t.Errorf(".dockerignore lets %s into the build", path)
		}
	}
	for _, path := range []string{"go.mod", "cmd/terse/main.go", "cmd/terse/release.pgo", "web/static/app.js"} {
		if dockerIgnores(t, string(list), path) {
			t.Errorf(".dockerignore keeps %s out of the build", path)
		}
	}
}

// dockerIgnores reports whether one of the patterns matches a path or a folder above it.
// Every pattern is a path, or a name after **/.
func dockerIgnores(t *testing.T, patterns, path string) bool {
	t.Helper()
	for pattern := range strings.FieldsSeq(patterns) {
		name, anywhere := strings.CutPrefix(pattern, "**/")
		for part := path; part != "."; part = filepath.Dir(part) {
			compared := part
			if anywhere {
				compared = filepath.Base(part)
			}
			matches, err := filepath.Match(name, compared)
			if err != nil {
				t.Fatal(fmt.Errorf("%s: %w", pattern, err))
			}
			if matches {
				return true
			}
		}
	}
	return false
}

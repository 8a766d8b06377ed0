package validate_test

import (
	"context"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// secrets are variables without a default. Compose must refuse to start without them.
var secrets = []string{"POSTGRES_PASSWORD", "REDIS_PASSWORD", "VARNISH_SECRET", "TERSE_CODE_KEY"}

// compose loads deploy/compose.yaml like Docker Compose, with the given variables.
func compose(environ ...string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{"../compose.yaml"}, cli.WithEnv(environ), cli.WithInterpolation(true))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

func composed(t *testing.T) *types.Project {
	t.Helper()
	var environ []string
	for _, name := range secrets {
		environ = append(environ, name+"=made-up-here")
	}
	project, err := compose(environ...)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// TestComposeServices checks that Compose loads the file, and that the file has every
// part of the stack.
func TestComposeServices(t *testing.T) {
	t.Parallel()
	got := slices.Sorted(maps.Keys(composed(t).Services))
	want := []string{"migrate", "nginx", "node1", "node2", "node3", "prometheus", "redis", "s1-a", "s1-b", "s2-a", "s2-b", "varnish"}
	if !slices.Equal(got, want) {
		t.Errorf("services = %v, want %v", got, want)
	}
}

// TestComposeSecrets checks that no secret has a default value.
func TestComposeSecrets(t *testing.T) {
	t.Parallel()
	for _, missing := range secrets {
		var environ []string
		for _, name := range secrets {
			if name != missing {
				environ = append(environ, name+"=made-up-here")
			}
		}
		if _, err := compose(environ...); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("compose without %s = %v, want an error with its name", missing, err)
		}
	}
}

// TestComposeNodes checks that all nodes have all shards, and that the admin listener and
// the databases are not reachable from outside.
func TestComposeNodes(t *testing.T) {
	t.Parallel()
	services := composed(t).Services
	shards := *services["node1"].Environment["TERSE_SHARDS"]
	for _, s := range []string{"node2", "node3", "migrate"} {
		if got := *services[s].Environment["TERSE_SHARDS"]; got != shards {
			t.Errorf("shards of %s = %q, want node1's %q", s, got, shards)
		}
	}
	for _, host := range []string{"@s1-a,s1-b/", "@s1-b/", "@s2-a,s2-b/", "@s2-b/"} {
		if !strings.Contains(shards, host) {
			t.Errorf("TERSE_SHARDS lacks %s: %s", host, shards)
		}
	}
	for name, s := range services {
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" || name != "varnish" && name != "prometheus" {
				t.Errorf("%s listens on %s:%s, want no public port", name, p.HostIP, p.Published)
			}
		}
	}
}

// TestComposeEdits runs the edits that the services make to the shipped files. It checks
// that the edits have the intended effect, and that the programs accept the results.
func TestComposeEdits(t *testing.T) {
	t.Parallel()
	services := composed(t).Services
	for _, tt := range []struct {
		service string
		script  []string
		want    []string
		gone    string
		check   string // command; the file is $FILE, a free port is $PORT
	}{
		{"nginx", services["nginx"].Command, []string{
			"server node1:8080 max_fails", "server node2:8080 max_fails", "server node3:8080 max_fails", "listen 80;",
		}, "server 127.0.0.1", `
			sed -i.bak -e 's/server node[123]:/server 127.0.0.1:/' -e "s/listen 80;/listen 127.0.0.1:$PORT;/" "$FILE"
			echo "pid $FILE.pid; events {} http { access_log off; include $FILE; }" >"$FILE.main"
			nginx -t -e stderr -c "$FILE.main"`},
		{"varnish", services["varnish"].Entrypoint, []string{
			`.host = "nginx"`, `.port = "80"`, `"172.30.99.0"/24;`, `X-Purge-Secret != "s3cret"`,
		}, `"127.0.0.1"`, `
			sed -i.bak 's/"nginx"/"127.0.0.1"/' "$FILE"
			varnishd -j none -C -n "$FILE.work" -f "$FILE"`},
		{"prometheus", services["prometheus"].Entrypoint, []string{"targets: [node1:9090, node2:9090, node3:9090]"}, "[127.0.0.1:9090]", `
			cp ../prometheus/rules.yml "$(dirname "$FILE")"
			promtool check config "$FILE"`},
	} {
		t.Run(tt.service, func(t *testing.T) {
			t.Parallel()
			script := tt.script[len(tt.script)-1]
			out, err := edited(t, script)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("the file of %s lacks %q: %s", tt.service, want, out)
				}
			}
			if strings.Contains(out, tt.gone) {
				t.Errorf("the file of %s still contains %q: %s", tt.service, tt.gone, out)
			}
			file := filepath.Join(t.TempDir(), tt.service)
			if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-euc", tt.check)
			cmd.Env = append(os.Environ(), "FILE="+file, "PORT="+freePort(t), "PATH="+os.Getenv("PATH")+":/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
			if said, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s rejects its file: %v: %s", tt.service, err, said)
			}
		})
	}
}

// edited runs the sed command of a service's script on the shipped files and returns the
// output.
func edited(t *testing.T, script string) (string, error) {
	t.Helper()
	sed := regexp.MustCompile(`(?ms)^sed .*?/shipped/\S+`).FindString(script)
	shipped := map[string]string{"terse.conf": "nginx", "terse.vcl": "varnish", "prometheus.yml": "prometheus"}
	folder := shipped[filepath.Base(sed)]
	root, err := filepath.Abs("..")
	if err != nil {
		return "", err
	}
	sed = strings.ReplaceAll(strings.Replace(sed, "/shipped", filepath.Join(root, folder), 1), "$$", "$")
	cmd := exec.Command("sh", "-euc", sed)
	cmd.Env = append(os.Environ(), "SECRET=s3cret")
	out, err := cmd.Output()
	return string(out), err
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.WithoutCancel(t.Context()), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

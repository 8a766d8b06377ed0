package validate_test

import (
	"context"
	"maps"
	"net"
	"net/netip"
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
var secrets = []string{
	"POSTGRES_PASSWORD", "SCHEMA_PASSWORD", "DATA_PASSWORD", "REPLICATION_PASSWORD", "REDIS_PASSWORD", "VARNISH_SECRET", "TERSE_CODE_KEY",
}

// madeUp returns the value of a secret in composed. Each secret has a value of its own.
func madeUp(name string) string { return "made-up-" + strings.ToLower(name) }

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
		environ = append(environ, name+"="+madeUp(name))
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
				environ = append(environ, name+"="+madeUp(name))
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
		got := *services[s].Environment["TERSE_SHARDS"]
		if s == "migrate" {
			got = strings.ReplaceAll(got, "terse_schema:"+madeUp("SCHEMA_PASSWORD")+"@", "terse_data:"+madeUp("DATA_PASSWORD")+"@")
		}
		if got != shards {
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

// TestComposeTrust checks that only Varnish and nginx are trusted proxies and only nodes may
// purge, each by its own address. Docker connects from the gateway of the network for every
// program of the machine, so nothing may trust the gateway.
func TestComposeTrust(t *testing.T) {
	t.Parallel()
	project := composed(t)
	pool := project.Networks["default"].Ipam.Config[0]
	given, err := netip.ParsePrefix(pool.IPRange)
	if err != nil {
		t.Fatal(err)
	}
	address := func(service string) string {
		own := project.Services[service].Networks["default"]
		if own == nil || own.Ipv4Address == "" || own.Ipv4Address == pool.Gateway {
			t.Fatalf("%s has no address of its own", service)
		}
		if given.Contains(netip.MustParseAddr(own.Ipv4Address)) {
			t.Errorf("Docker may give the address of %s, %s, to another service", service, own.Ipv4Address)
		}
		return own.Ipv4Address
	}
	var purgers []string
	for _, node := range []string{"node1", "node2", "node3"} {
		want := address("varnish") + "/32," + address("nginx") + "/32"
		if got := *project.Services[node].Environment["TERSE_TRUSTED_PROXIES"]; got != want {
			t.Errorf("TERSE_TRUSTED_PROXIES of %s = %s, want %s", node, got, want)
		}
		purgers = append(purgers, address(node))
	}
	vcl := edited(t, "terse.vcl", project.Services["varnish"].Entrypoint)
	acl := regexp.MustCompile(`(?s)acl purgers \{.*?\}`).FindString(vcl)
	if got := regexp.MustCompile(`[0-9]+(?:\.[0-9]+){3}`).FindAllString(acl, -1); !slices.Equal(got, purgers) || strings.Contains(acl, "::") {
		t.Errorf("purges are allowed from %v, want %v: %s", got, purgers, acl)
	}
}

// TestComposeArguments checks that no secret is an argument of a program: every user of the
// machine can list arguments.
func TestComposeArguments(t *testing.T) {
	t.Parallel()
	for name, s := range composed(t).Services {
		for _, argument := range slices.Concat(s.Command, s.Entrypoint) {
			if strings.Contains(argument, "made-up-") {
				t.Errorf("an argument of %s contains a secret: %s", name, argument)
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
		file    string // its base name
		script  []string
		want    []string
		gone    string
		check   string // command; the file is $FILE, a free port is $PORT
	}{
		{"nginx", "default.conf", services["nginx"].Command, []string{
			"server node1:8080 max_fails", "server node2:8080 max_fails", "server node3:8080 max_fails", "listen 80;",
		}, "server 127.0.0.1", `
			sed -i.bak -e 's/server node[123]:/server 127.0.0.1:/' -e "s/listen 80;/listen 127.0.0.1:$PORT;/" "$FILE"
			echo "pid $FILE.pid; events {} http { access_log off; include $FILE; }" >"$FILE.main"
			nginx -t -e stderr -c "$FILE.main"`},
		{"varnish", "terse.vcl", services["varnish"].Entrypoint, []string{
			`.host = "nginx"`, `.port = "80"`, `"172.30.99.4"; "172.30.99.5"; "172.30.99.6";`, `X-Purge-Secret != "s3cret"`,
		}, `"127.0.0.1"`, `
			sed -i.bak 's/"nginx"/"127.0.0.1"/' "$FILE"
			varnishd -j none -C -n "$FILE.work" -f "$FILE"`},
		{"prometheus", "prometheus.yml", services["prometheus"].Entrypoint, []string{"targets: [node1:9090, node2:9090, node3:9090]"}, "[127.0.0.1:9090]", `
			cp ../prometheus/rules.yml "$(dirname "$FILE")"
			promtool check config "$FILE"`},
	} {
		t.Run(tt.service, func(t *testing.T) {
			t.Parallel()
			out := edited(t, tt.file, tt.script)
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

// edited runs a service's script up to the start of its program, with other folders, and
// returns one of the files that it writes.
func edited(t *testing.T, file string, command []string) string {
	t.Helper()
	script, _, found := strings.Cut(strings.ReplaceAll(command[len(command)-1], "$$", "$"), "\nexec ")
	if !found {
		t.Fatalf("the script starts no program: %s", script)
	}
	folder, made := t.TempDir(), t.TempDir()
	for _, name := range []string{"nginx/terse.conf", "varnish/terse.vcl", "prometheus/prometheus.yml", "prometheus/rules.yml"} {
		content, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(name)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script = strings.NewReplacer("/shipped", folder, "/etc/nginx/conf.d", made, "/tmp/etc", made, "/tmp", made).Replace(script)
	cmd := exec.Command("sh", "-euc", script)
	cmd.Env = append(os.Environ(), "SECRET=s3cret")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	content, err := os.ReadFile(filepath.Join(made, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
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

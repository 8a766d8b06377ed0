//go:build unix

// Package topology runs the production topology on this machine, with programs of the
// system's package manager: shards of Postgres with a synchronous standby, Redis, Terse
// nodes, nginx in front of the nodes, Varnish in front of nginx, and Prometheus. It can
// stop, restart, kill, freeze and promote each part by name. Everything ends when the
// process that started it ends, even when it is killed.
//
// It is for load tests, tests and demonstrations. It is not for production, where the
// parts run on separate machines.
package topology

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/deploy"
	"github.com/terse/terse/internal/testenv"
)

// Topology is a running topology. Safe for concurrent use.
type Topology struct {
	opts       Options
	shards     []*shard
	redis      *testenv.Redis
	nodes      []*testenv.Terse
	nginx      *testenv.Nginx
	varnish    *testenv.Varnish
	prometheus *testenv.Prometheus
	apiKey     string

	closers []func() error // in start order; run in reverse order
	mu      sync.Mutex     // guards closers

	stopSync context.CancelFunc
	syncing  sync.WaitGroup
}

// Start starts all servers, which takes some seconds. Call Close to stop them.
func Start(ctx context.Context, opts Options) (*Topology, error) {
	opts.setDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	t := &Topology{opts: opts}
	if err := t.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("topology: %w", err), t.Close())
	}
	return t, nil
}

// Close lets the nodes finish their requests, stops all servers and deletes their data.
func (t *Topology) Close() error {
	if t.stopSync != nil {
		t.stopSync()
		t.syncing.Wait()
	}
	var nodes errgroup.Group
	for _, n := range t.nodes {
		if n != nil {
			nodes.Go(n.Stop)
		}
	}
	errs := []error{nodes.Wait()}
	for _, c := range slices.Backward(t.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// opened registers a function for Close to run.
func (t *Topology) opened(closer func() error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closers = append(t.closers, closer)
}

func (t *Topology) location(name string) testenv.Location {
	return testenv.Location{Dir: t.opts.Dir, Name: name}
}

func (t *Topology) start(ctx context.Context) error {
	front, err := testenv.FreePort(ctx)
	if err != nil {
		return err
	}
	if err := t.startStores(ctx); err != nil {
		return err
	}
	settings, err := t.newSettings(front)
	if err != nil {
		return err
	}
	if err := t.startNodes(ctx, settings); err != nil {
		return err
	}
	if err := t.startNginx(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return t.startVarnish(ctx, front, settings["varnish_secret"]) })
	group.Go(func() error { return t.startPrometheus(ctx) })
	return group.Wait()
}

// startStores starts the shards and Redis, and assigns the buckets to the shards.
func (t *Topology) startStores(ctx context.Context) error {
	t.shards = make([]*shard, t.opts.Shards)
	group, starting := errgroup.WithContext(ctx)
	for i := range t.shards {
		group.Go(func() (err error) {
			t.shards[i], err = t.startShard(starting, fmt.Sprintf("s%d", i+1))
			return err
		})
	}
	group.Go(func() (err error) {
		t.redis, err = testenv.StartRedis(starting, testenv.RedisOptions{
			Location: t.location("redis"), Settings: map[string]string{"maxmemory": "256mb", "maxmemory-policy": "allkeys-lru"},
		})
		if err == nil {
			t.opened(t.redis.Close)
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if _, err := t.run(ctx, "migrate", "up"); err != nil {
		return err
	}
	token, err := t.run(ctx, "key", "create", "--name", "stack", "--scope", "links:read,links:write,stats:read,admin")
	t.apiKey = strings.TrimSpace(token)
	var syncing context.Context
	syncing, t.stopSync = context.WithCancel(context.WithoutCancel(ctx))
	for _, s := range t.shards {
		t.syncing.Go(func() { s.supervise(syncing) })
	}
	return err
}

// run runs a terse command for the shards and returns its output.
func (t *Topology) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, t.opts.Binary, args...) //nolint:gosec // the operator names the binary
	cmd.Env = append(os.Environ(), "TERSE_SHARDS="+t.setting())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("terse %s: %w: %s", strings.Join(args, " "), err, &stderr)
	}
	return string(out), nil
}

// setting returns TERSE_SHARDS.
func (t *Topology) setting() string {
	var all []string
	for _, s := range t.shards {
		all = append(all, s.setting())
	}
	return strings.Join(all, ";")
}

// newSettings returns the settings that all nodes share.
func (t *Topology) newSettings(front int) (map[string]string, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	public := fmt.Sprintf("http://127.0.0.1:%d", front)
	return t.opts.settings(map[string]string{
		"base_url": public, "shards": t.setting(), "redis_url": t.redis.URL(),
		"code_key": base64.StdEncoding.EncodeToString(key),
		"cdn":      "varnish", "varnish_urls": public, "varnish_secret": rand.Text(),
	}), nil
}

func (t *Topology) startNodes(ctx context.Context, settings map[string]string) error {
	t.nodes = make([]*testenv.Terse, t.opts.Nodes)
	group, ctx := errgroup.WithContext(ctx)
	for i := range t.nodes {
		group.Go(func() (err error) {
			t.nodes[i], err = testenv.StartTerse(ctx, testenv.TerseOptions{
				Location: t.location(fmt.Sprintf("node%d", i+1)), Binary: t.opts.Binary, Settings: maps.Clone(settings), Procs: t.opts.NodeProcs,
			})
			if err == nil {
				t.opened(t.nodes[i].Close)
			}
			return err
		})
	}
	return group.Wait()
}

func (t *Topology) startNginx(ctx context.Context) error {
	const shipped = "    server 127.0.0.1:8080 max_fails=2 fail_timeout=2s;"
	var upstreams []string
	for _, n := range t.nodes {
		upstreams = append(upstreams, strings.Replace(shipped, "127.0.0.1:8080", n.Addr(), 1))
	}
	config, err := deploy.Edited("nginx/terse.conf", map[string]string{
		shipped:      strings.Join(upstreams, "\n"),
		"listen 80;": "listen LISTEN;",
	})
	if err != nil {
		return err
	}
	if t.nginx, err = testenv.StartNginx(ctx, testenv.NginxOptions{Location: t.location("nginx"), Config: config}); err != nil {
		return err
	}
	t.opened(t.nginx.Close)
	return nil
}

func (t *Topology) startVarnish(ctx context.Context, port int, secret string) error {
	backend, err := url.Parse(t.nginx.URL())
	if err != nil {
		return err
	}
	vcl, err := deploy.Edited("varnish/terse.vcl", map[string]string{
		`.port = "8080"`:                fmt.Sprintf(`.port = "%s"`, backend.Port()),
		`req.http.X-Purge-Secret != ""`: fmt.Sprintf(`req.http.X-Purge-Secret != "%s"`, secret),
	})
	if err != nil {
		return err
	}
	t.varnish, err = testenv.StartVarnish(ctx, testenv.VarnishOptions{Location: t.location("varnish"), VCL: vcl, Port: port})
	if err != nil {
		return err
	}
	t.opened(t.varnish.Close)
	return nil
}

func (t *Topology) startPrometheus(ctx context.Context) error {
	var targets []string
	for _, n := range t.nodes {
		targets = append(targets, string(n.Admin()))
	}
	config, err := deploy.Edited("prometheus/prometheus.yml", map[string]string{
		"targets: [127.0.0.1:9090]": "targets: [" + strings.Join(targets, ", ") + "]",
	})
	if err != nil {
		return err
	}
	rules, err := deploy.Edited("prometheus/rules.yml", nil)
	if err != nil {
		return err
	}
	t.prometheus, err = testenv.StartPrometheus(ctx, testenv.PrometheusOptions{
		Location: t.location("prometheus"), Files: map[string]string{"prometheus.yml": config, "rules.yml": rules},
	})
	if err != nil {
		return err
	}
	t.opened(t.prometheus.Close)
	return nil
}

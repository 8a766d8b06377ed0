//go:build unix

package servers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// redisPlaces are folders of redis-server that a user's PATH may lack.
var redisPlaces = []string{"/opt/homebrew/bin", "/usr/local/bin"}

// RedisOptions configure a Redis.
type RedisOptions struct {
	// Settings are lines of redis.conf, such as maxmemory.
	Settings map[string]string
}

// Redis is a server that keeps nothing on disk: one that is started again is
// empty. Safe for concurrent use.
type Redis struct {
	Server
	program  string
	settings map[string]string
}

// NewRedis starts a Redis that ends with the test. Failure is fatal.
func NewRedis(tb testing.TB, opts RedisOptions) *Redis {
	tb.Helper()
	r, err := StartRedis(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	atEnd(tb, r.Close)
	return r
}

// StartRedis starts a Redis. The caller ends it with Close; it ends by itself with
// the calling process.
func StartRedis(ctx context.Context, opts RedisOptions) (*Redis, error) {
	program, err := findRedis()
	if err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	f, err := newFolder()
	if err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	r := &Redis{program: program, settings: opts.Settings}
	r.Server = Server{folder: f, name: "redis", stop: syscall.SIGTERM, launch: r.launch, ready: r.ready}
	if err := r.Start(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// findRedis returns the path by which the program is called: it is a link, and
// what it does depends on its name.
func findRedis() (string, error) {
	for _, folder := range append([]string{""}, redisPlaces...) {
		if path, err := exec.LookPath(filepath.Join(folder, "redis-server")); err == nil {
			return path, nil
		}
	}
	return "", errors.New("redis-server is not installed: apt-get install redis-server, or brew install redis")
}

// URL returns where clients connect to.
func (r *Redis) URL() string { return "redis://" + r.Addr() + "/0" }

// Close kills the server and removes its files.
func (r *Redis) Close() error { return r.folder.close() }

func (r *Redis) launch(port int) ([]string, error) {
	var conf strings.Builder
	fmt.Fprintf(&conf, "bind %s\nport %d\ndir %s\nsave \"\"\nappendonly no\ndaemonize no\n", host, port, r.folder.path)
	for _, name := range slices.Sorted(maps.Keys(r.settings)) {
		fmt.Fprintf(&conf, "%s %s\n", name, r.settings[name])
	}
	return []string{r.program, r.folder.join("redis.conf")}, r.folder.write("redis.conf", conf.String())
}

// ready asks for the process id: another server may have taken the port.
func (r *Redis) ready(ctx context.Context, addr string, pid int) (bool, error) {
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = client.Close() }()
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return false, ctx.Err() // refused until it listens
	}
	return strings.Contains(info, fmt.Sprintf("process_id:%d\r", pid)), nil
}

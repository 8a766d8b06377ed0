//go:build unix

package testenv

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
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
	Location

	// Settings are lines of redis.conf, such as maxmemory.
	Settings map[string]string

	// Watches makes this server a sentinel that watches a master under the name
	// WatchedName. It promotes a replica after half a second without an answer.
	Watches *Redis

	// Cluster makes this server a master in a cluster. See JoinRedis.
	Cluster bool

	// TLS makes the server accept TLS only. RootCAs verifies its certificate for
	// 127.0.0.1.
	TLS bool
}

// WatchedName is the name of the master that a sentinel watches.
const WatchedName = "links"

// Redis is a server that stores nothing on disk: it is empty after a restart. Safe
// for concurrent use.
type Redis struct {
	Server
	program string
	opts    RedisOptions
	roots   *x509.CertPool // nil without TLS
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

// StartRedis starts a Redis. The caller ends it with Close. It also ends with the
// calling process.
func StartRedis(ctx context.Context, opts RedisOptions) (*Redis, error) {
	program, err := findRedis()
	if err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	f, err := newFolder(opts.Location)
	if err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	r := &Redis{program: program, opts: opts}
	r.Server = Server{folder: f, name: "redis", stop: syscall.SIGTERM, launch: r.launch, ready: r.ready}
	if opts.TLS {
		if r.roots, err = writeCertificate(f); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	if err := r.Start(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// RootCAs returns the pool that verifies the server's certificate, or nil without TLS.
func (r *Redis) RootCAs() *x509.CertPool { return r.roots }

// findRedis returns the path without resolving symbolic links: the program behaves
// according to the name of its path.
func findRedis() (string, error) {
	for _, folder := range append([]string{""}, redisPlaces...) {
		if path, err := exec.LookPath(filepath.Join(folder, "redis-server")); err == nil {
			return path, nil
		}
	}
	return "", errors.New("redis-server is not installed: apt-get install redis-server, or brew install redis")
}

// URL returns the URL for clients. The URL of a sentinel leads to the watched master.
func (r *Redis) URL() string {
	switch {
	case r.opts.TLS:
		return "rediss://" + r.Addr() + "/0"
	case r.opts.Watches != nil:
		return "redis-sentinel://" + r.Addr() + "/" + WatchedName
	case r.opts.Cluster:
		return "redis-cluster://" + r.Addr()
	}
	return "redis://" + r.Addr() + "/0"
}

// Close kills the server and removes its files.
func (r *Redis) Close() error { return r.folder.close() }

func (r *Redis) launch(port int) ([]string, error) {
	var conf strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&conf, format+"\n", args...) }
	line("bind %s", host)
	line("dir %s", r.folder.path)
	line("daemonize no\nset-proc-title no") // the guard recognizes the server by its command line
	argv := []string{r.program, r.folder.join("redis.conf")}
	switch {
	case r.opts.TLS:
		line("port 0\ntls-port %d\ntls-auth-clients no", port)
		line("tls-cert-file %s\ntls-key-file %s", r.folder.join(certificateFile), r.folder.join(keyFile))
	default:
		line("port %d", port)
	}
	switch {
	case r.opts.Watches != nil:
		argv = append(argv, "--sentinel")
		watched, watchedPort, err := net.SplitHostPort(r.opts.Watches.Addr())
		if err != nil {
			return nil, err
		}
		line("sentinel monitor %s %s %s 1", WatchedName, watched, watchedPort)
		line("sentinel down-after-milliseconds %s 500\nsentinel failover-timeout %s 2000", WatchedName, WatchedName)
	default:
		line("save \"\"\nappendonly no")
	}
	if r.opts.Cluster {
		bus, err := FreePort(context.Background())
		if err != nil {
			return nil, err
		}
		line("cluster-enabled yes\ncluster-port %d", bus)
	}
	for _, name := range slices.Sorted(maps.Keys(r.opts.Settings)) {
		line("%s %s", name, r.opts.Settings[name])
	}
	return argv, r.folder.write("redis.conf", conf.String())
}

// JoinRedis makes one cluster of masters, gives each an equal part of the slots, and
// returns once every master sees the complete cluster.
func JoinRedis(ctx context.Context, masters ...*Redis) error {
	const slots = 16384
	clients := make([]*redis.Client, len(masters))
	for i, m := range masters {
		clients[i] = m.client(m.Addr())
		defer func() { _ = clients[i].Close() }()
	}
	for i, client := range clients {
		first, next := slots*i/len(masters), slots*(i+1)/len(masters)
		if err := client.ClusterAddSlotsRange(ctx, first, next-1).Err(); err != nil {
			return fmt.Errorf("assign slots: %w", err)
		}
		to, port, err := net.SplitHostPort(masters[0].Addr())
		if err != nil {
			return err
		}
		bus := clients[0].ConfigGet(ctx, "cluster-port").Val()["cluster-port"]
		if i > 0 {
			if err := client.Do(ctx, "CLUSTER", "MEET", to, port, bus).Err(); err != nil {
				return fmt.Errorf("meet: %w", err)
			}
		}
	}
	return poll(ctx, func() (bool, error) {
		for _, client := range clients {
			info, err := client.ClusterInfo(ctx).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") ||
				!strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", len(masters))) {
				return false, err
			}
		}
		return true, nil
	})
}

// FollowRedis makes replica a replica of masters[0] in a cluster, so that it takes over
// when this master fails. It returns once the replica is in sync and every master
// knows it.
func FollowRedis(ctx context.Context, replica *Redis, masters ...*Redis) error {
	leader, follower := masters[0].client(masters[0].Addr()), replica.client(replica.Addr())
	defer func() { _, _ = leader.Close(), follower.Close() }()
	host, port, err := net.SplitHostPort(masters[0].Addr())
	if err != nil {
		return err
	}
	bus := leader.ConfigGet(ctx, "cluster-port").Val()["cluster-port"]
	if err := follower.Do(ctx, "CLUSTER", "MEET", host, port, bus).Err(); err != nil {
		return fmt.Errorf("meet: %w", err)
	}
	id, err := leader.Do(ctx, "CLUSTER", "MYID").Text()
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	err = poll(ctx, func() (bool, error) {
		// Redis refuses until the replica has heard of the master.
		return follower.ClusterReplicate(ctx, id).Err() == nil, ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	for _, m := range masters {
		client := m.client(m.Addr())
		err := poll(ctx, func() (bool, error) {
			nodes, err := client.ClusterNodes(ctx).Result()
			return strings.Contains(nodes, "slave "+id), err
		})
		if err = errors.Join(err, client.Close()); err != nil {
			return fmt.Errorf("follow: %w", err)
		}
	}
	return poll(ctx, func() (bool, error) {
		state, err := leader.Info(ctx, "replication").Result()
		return strings.Contains(state, "state=online"), err
	})
}

// client returns a client that does not retry.
func (r *Redis) client(addr string) *redis.Client {
	o := &redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1}
	if r.roots != nil {
		o.TLSConfig = &tls.Config{RootCAs: r.roots, MinVersion: tls.VersionTLS12}
	}
	return redis.NewClient(o)
}

// ready compares the process id, because another server may have taken the port.
func (r *Redis) ready(ctx context.Context, addr string, pid int) (bool, error) {
	if !taken(ctx, r.port) {
		return false, ctx.Err() // a refused connection would make the client log
	}
	client := r.client(addr)
	defer func() { _ = client.Close() }()
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return false, ctx.Err() // refused until it listens
	}
	return strings.Contains(info, fmt.Sprintf("process_id:%d\r", pid)), nil
}

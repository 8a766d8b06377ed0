//go:build linux

// Package k8s tests the Redis component of the manifests.
package k8s

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/terse/terse/internal/testenv"
)

const (
	redisPassword = "0123456789abcdef"

	// failoverWithin is far longer than a failover takes on a busy machine.
	failoverWithin = 5 * time.Minute
)

// redisPods are the pods of components/redis. Each has its own loopback address.
type redisPods struct {
	t     *testing.T
	hosts []string
	data  []string
}

func newRedisPods(t *testing.T) *redisPods {
	t.Helper()
	p := &redisPods{t: t, hosts: []string{"127.77.0.11", "127.77.0.12", "127.77.0.13"}}
	for range p.hosts {
		p.data = append(p.data, t.TempDir())
	}
	return p
}

// start starts the Redis or the sentinel of a pod with the pods' start script.
func (p *redisPods) start(pod int, what string) *exec.Cmd {
	p.t.Helper()
	cmd := exec.Command("sh", "components/redis/start.sh", what)
	cmd.Env = append(os.Environ(),
		"SELF="+p.hosts[pod], "PEERS="+strings.Join(p.hosts, " "), "BIND="+p.hosts[pod],
		"PASSWORD="+redisPassword, "MAXMEMORY=64mb", "DATA="+p.data[pod])
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		kill(cmd)
		if p.t.Failed() {
			p.t.Logf("%s of pod %d: %s", what, pod, &log)
		}
	})
	return cmd
}

// kill ends a process at once. A second call has no effect.
func kill(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// info returns the replication state of a pod's Redis, or "" without an answer.
func (p *redisPods) info(pod int) string {
	client := redis.NewClient(&redis.Options{Addr: p.hosts[pod] + ":6379", Password: redisPassword, MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = client.Close() }()
	return client.Info(p.t.Context(), "replication").Val()
}

// master returns the host that most sentinels report as the master, or "".
func (p *redisPods) master() string {
	votes := map[string]int{}
	for _, host := range p.hosts {
		sentinel := redis.NewSentinelClient(&redis.Options{Addr: host + ":26379", Password: redisPassword, MaxRetries: -1, DialerRetries: 1})
		if addr := sentinel.GetMasterAddrByName(p.t.Context(), "links").Val(); len(addr) == 2 {
			votes[addr[0]]++
		}
		_ = sentinel.Close()
	}
	for host, n := range votes {
		if 2*n > len(p.hosts) {
			return host
		}
	}
	return ""
}

func (p *redisPods) await(what string, done func() bool) {
	p.t.Helper()
	for end := time.Now().Add(failoverWithin); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("waited %v for %s; master %q, replication %q", failoverWithin, what, p.master(), []string{p.info(0), p.info(1), p.info(2)})
		}
	}
}

// TestRedisFailover checks that the Redis pods find each other, that a replica replaces a
// lost master, and that the lost master returns as a replica.
func TestRedisFailover(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	p := newRedisPods(t)
	var servers []*exec.Cmd
	for pod := range p.hosts {
		servers = append(servers, p.start(pod, "redis"))
	}
	for pod := range p.hosts {
		p.start(pod, "sentinel")
	}
	p.await("two replicas of the first pod", func() bool {
		return strings.Contains(p.info(0), "role:master") && strings.Count(p.info(0), "state=online") == 2 && p.master() == p.hosts[0]
	})
	p.await("the sentinels to know each other and the replicas", func() bool { return p.known(0) && p.known(1) && p.known(2) })
	p.wantSettings()

	kill(servers[0])
	p.await("another master", func() bool { m := p.master(); return m != "" && m != p.hosts[0] })
	next := p.master()
	p.start(0, "redis")
	p.await("the lost master as a replica", func() bool {
		return strings.Contains(p.info(0), "role:slave") && strings.Contains(p.info(0), "master_host:"+next+"\r") &&
			strings.Contains(p.info(0), "master_link_status:up") && p.master() == next
	})
}

// known reports whether a pod's sentinel knows both other sentinels and both replicas.
func (p *redisPods) known(pod int) bool {
	sentinel := redis.NewSentinelClient(&redis.Options{Addr: p.hosts[pod] + ":26379", Password: redisPassword, MaxRetries: -1})
	defer func() { _ = sentinel.Close() }()
	master := sentinel.Master(p.t.Context(), "links").Val()
	return master["num-other-sentinels"] == "2" && master["num-slaves"] == "2"
}

// wantSettings checks that Redis and the sentinels require the password, and which keys Redis
// evicts when its memory is full.
func (p *redisPods) wantSettings() {
	p.t.Helper()
	ctx := context.WithoutCancel(p.t.Context())
	for _, port := range []string{":6379", ":26379"} {
		stranger := redis.NewClient(&redis.Options{Addr: p.hosts[0] + port, MaxRetries: -1})
		if err := stranger.Ping(ctx).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
			p.t.Errorf("PING to port %s without a password = %v, want NOAUTH", port, err)
		}
		_ = stranger.Close()
	}
	friend := redis.NewClient(&redis.Options{Addr: p.hosts[0] + ":6379", Password: redisPassword})
	defer func() { _ = friend.Close() }()
	for name, want := range map[string]string{"maxmemory-policy": "allkeys-lru", "maxmemory": fmt.Sprint(64 << 20), "save": "", "appendonly": "no"} {
		if got := friend.ConfigGet(ctx, name).Val()[name]; got != want {
			p.t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

//go:build linux

// Package k8s tests what the manifests run that is not Terse.
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
)

const (
	redisPassword = "0123456789abcdef"

	// failoverWithin is generous: sentinels wait two seconds before they act.
	failoverWithin = 60 * time.Second
)

// redisPods are the pods of components/redis, each on a loopback address of its own.
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

// start starts the Redis or the sentinel of a pod by the script that the pods run.
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

// kill ends a process at once; it may be called again.
func kill(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// info returns what the Redis of a pod says of its replication; empty when it does not.
func (p *redisPods) info(pod int) string {
	client := redis.NewClient(&redis.Options{Addr: p.hosts[pod] + ":6379", Password: redisPassword, MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = client.Close() }()
	return client.Info(p.t.Context(), "replication").Val()
}

// master returns the host on which most sentinels agree, "" when they do not.
func (p *redisPods) master() string {
	votes := map[string]int{}
	for _, host := range p.hosts {
		sentinel := redis.NewSentinelClient(&redis.Options{Addr: host + ":26379", MaxRetries: -1, DialerRetries: 1})
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
			p.t.Fatalf("waited %v for %s; master %q, %q", failoverWithin, what, p.master(), []string{p.info(0), p.info(1), p.info(2)})
		}
	}
}

// TestRedisFailover holds that the pods of Redis find each other, that a replica takes
// the place of a master that is lost, and that the lost one comes back as a replica.
func TestRedisFailover(t *testing.T) {
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

// known reports whether the sentinel of a pod knows the two others and two replicas.
func (p *redisPods) known(pod int) bool {
	sentinel := redis.NewSentinelClient(&redis.Options{Addr: p.hosts[pod] + ":26379", MaxRetries: -1})
	defer func() { _ = sentinel.Close() }()
	master := sentinel.Master(p.t.Context(), "links").Val()
	return master["num-other-sentinels"] == "2" && master["num-slaves"] == "2"
}

// wantSettings holds that nobody comes in without the password, and what is thrown out
// when there is no room.
func (p *redisPods) wantSettings() {
	p.t.Helper()
	ctx := context.WithoutCancel(p.t.Context())
	stranger := redis.NewClient(&redis.Options{Addr: p.hosts[0] + ":6379", MaxRetries: -1})
	defer func() { _ = stranger.Close() }()
	if err := stranger.Ping(ctx).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		p.t.Errorf("a stranger's PING = %v, want NOAUTH", err)
	}
	friend := redis.NewClient(&redis.Options{Addr: p.hosts[0] + ":6379", Password: redisPassword})
	defer func() { _ = friend.Close() }()
	for name, want := range map[string]string{"maxmemory-policy": "allkeys-lru", "maxmemory": fmt.Sprint(64 << 20), "save": "", "appendonly": "no"} {
		if got := friend.ConfigGet(ctx, name).Val()[name]; got != want {
			p.t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

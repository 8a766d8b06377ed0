//go:build unix

package topology

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/terse/terse/store/storetest/servers"
)

// part is a server of the topology.
type part interface {
	Start(ctx context.Context) error
	Stop() error
	Kill() error
	Freeze() error
	Thaw() error
	Pid() int
	Addr() string
}

// parts returns all servers by name: s1-a, s1-b, redis, node1, nginx, varnish,
// prometheus.
func (t *Topology) parts() map[string]part {
	all := map[string]part{"redis": t.redis, "nginx": t.nginx, "varnish": t.varnish, "prometheus": t.prometheus}
	for _, s := range t.shards {
		all[s.name+"-a"], all[s.name+"-b"] = s.cluster.Primary(), s.cluster.Replicas()[0]
	}
	for i, n := range t.nodes {
		all[fmt.Sprintf("node%d", i+1)] = n
	}
	return all
}

// Verbs returns what Do can do.
func Verbs() []string {
	return []string{"cut", "freeze", "kill", "promote", "rejoin", "restart", "start", "stop", "thaw"}
}

// Do does something to a part, by its name: start, stop (cleanly), restart, kill
// (at once), freeze, thaw. cut cuts the way from the primary of a shard to its standby,
// such as s1-b: commits wait until the standby is the primary. promote makes the standby of a shard, such as s1-b, the
// primary once the other is gone, and rejoin makes the other its standby. It
// returns once that is so, for a node that starts once it is ready.
func (t *Topology) Do(ctx context.Context, verb, name string) error {
	p, ok := t.parts()[name]
	if !ok {
		return fmt.Errorf("there is no %q: %s", name, strings.Join(slices.Sorted(maps.Keys(t.parts())), ", "))
	}
	for _, s := range t.shards {
		switch {
		case s.roleOf(p) == "":
		case verb == "stop", verb == "kill":
			s.intend(p, false)
		case verb == "start", verb == "restart":
			s.intend(p, false) // until it has started: the supervisor must not start it too
			defer s.intend(p, true)
		}
	}
	var err error
	switch verb {
	case "start":
		err = p.Start(ctx)
	case "stop":
		err = p.Stop()
	case "restart":
		if err = p.Stop(); err == nil {
			err = p.Start(ctx)
		}
	case "kill":
		err = p.Kill()
	case "freeze":
		err = p.Freeze()
	case "thaw":
		err = p.Thaw()
	case "cut", "promote", "rejoin":
		err = t.fail(ctx, verb, p)
	default:
		err = fmt.Errorf("can be any of %s", strings.Join(Verbs(), ", "))
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	return nil
}

// fail does to the standby of a shard what a failover consists of.
func (t *Topology) fail(ctx context.Context, verb string, p part) error {
	for _, s := range t.shards {
		switch role := s.roleOf(p); {
		case role == "":
		case role != "standby":
			return errors.New("it is the primary")
		case verb == "cut":
			return s.cut(ctx)
		case verb == "promote":
			return s.promote(ctx)
		default:
			return s.rejoin(ctx)
		}
	}
	return errors.New("it is no server of a shard")
}

// roleOf returns the role of a server in the shard, "" when it is not of it.
func (s *shard) roleOf(p part) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch p {
	case part(s.primary):
		return "primary"
	case part(s.standby):
		return "standby"
	}
	return ""
}

// State is what somebody needs who wants to use the topology.
type State struct {
	URL        string       `json:"url"`    // what visitors ask: Varnish
	APIKey     string       `json:"apiKey"` // with every scope
	Nginx      string       `json:"nginx"`
	Prometheus string       `json:"prometheus"`
	Redis      string       `json:"redis"`
	Nodes      []NodeState  `json:"nodes"`
	Shards     []ShardState `json:"shards"`
	Setting    string       `json:"setting"` // TERSE_SHARDS, for commands of terse
}

// NodeState is where a node is.
type NodeState struct {
	Name  string `json:"name"`
	URL   string `json:"url"`
	Admin string `json:"admin"`
	Log   string `json:"log"` // the file
	Pid   int    `json:"pid"` // 0 when it does not run
}

// ShardState is where a shard is.
type ShardState struct {
	Name    string        `json:"name"`
	DSN     string        `json:"dsn"` // of whichever server takes writes
	Synced  bool          `json:"synced"`
	Servers []ServerState `json:"servers"`
}

// ServerState is where a server of a shard is.
type ServerState struct {
	Name string `json:"name"`
	Role string `json:"role"` // primary or standby
	DSN  string `json:"dsn"`
	Pid  int    `json:"pid"` // 0 when it does not run
}

// State returns where everything is.
func (t *Topology) State() State {
	s := State{
		URL: t.varnish.URL(), APIKey: t.apiKey, Nginx: t.nginx.URL(), Prometheus: t.prometheus.URL(),
		Redis: t.redis.URL(), Setting: t.setting(),
	}
	for i, n := range t.nodes {
		s.Nodes = append(s.Nodes, NodeState{fmt.Sprintf("node%d", i+1), n.URL(), "http://" + n.AdminAddr(), n.Log(), n.Pid()})
	}
	for _, shard := range t.shards {
		s.Shards = append(s.Shards, shard.state())
	}
	return s
}

func (s *shard) state() ShardState {
	state := ShardState{Name: s.name, DSN: s.cluster.DSN(database)}
	for suffix, p := range map[string]*servers.Postgres{"-a": s.cluster.Primary(), "-b": s.cluster.Replicas()[0]} {
		state.Servers = append(state.Servers, ServerState{s.name + suffix, s.roleOf(p), p.DSN(database), p.Pid()})
	}
	slices.SortFunc(state.Servers, func(a, b ServerState) int { return strings.Compare(a.Name, b.Name) })
	s.mu.Lock()
	defer s.mu.Unlock()
	state.Synced = s.synced
	return state
}

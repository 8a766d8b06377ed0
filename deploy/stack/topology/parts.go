//go:build unix

package topology

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/terse/terse/internal/testenv"
)

// part is one server of the topology.
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

// Verbs returns the actions of Do.
func Verbs() []string {
	return []string{"cut", "freeze", "kill", "promote", "rejoin", "restart", "start", "stop", "thaw"}
}

// Do performs an action on the part with the given name, and returns when it is done: for
// a node that starts, when the node is ready.
//
//	start, restart, freeze, thaw	as the name says
//	stop				stop cleanly
//	kill				end at once
//	cut				stop the replication to a shard's standby; commits then wait
//	promote				make a shard's standby the primary; the old primary must not run
//	rejoin				make the old primary the standby, from a fresh copy
//
// The part of cut, promote and rejoin is the server that is now the standby, such as s1-b.
func (t *Topology) Do(ctx context.Context, verb, name string) error {
	p, ok := t.parts()[name]
	if !ok {
		return fmt.Errorf("unknown part %q; the parts are %s", name, strings.Join(slices.Sorted(maps.Keys(t.parts())), ", "))
	}
	for _, s := range t.shards {
		switch {
		case s.roleOf(p) == "":
		case verb == "stop", verb == "kill":
			s.intend(p, false)
		case verb == "start", verb == "restart":
			s.intend(p, false) // the supervisor must not start it during the restart
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
		err = t.failOver(ctx, verb, p)
	default:
		err = fmt.Errorf("unknown action; the actions are %s", strings.Join(Verbs(), ", "))
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	return nil
}

// failOver performs one step of a failover on the standby of a shard.
func (t *Topology) failOver(ctx context.Context, verb string, p part) error {
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
	return errors.New("it is not a server of a shard")
}

// roleOf returns the role of a server in the shard, or "" for a server of another shard.
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

// State describes a running topology for its users.
type State struct {
	URL        string       `json:"url"`    // address for visitors: Varnish
	APIKey     string       `json:"apiKey"` // has every scope
	Nginx      string       `json:"nginx"`
	Prometheus string       `json:"prometheus"`
	Redis      string       `json:"redis"`
	Nodes      []NodeState  `json:"nodes"`
	Shards     []ShardState `json:"shards"`
	Setting    string       `json:"setting"` // TERSE_SHARDS, for commands of terse
}

// NodeState describes a node.
type NodeState struct {
	Name  string `json:"name"`
	URL   string `json:"url"`
	Admin string `json:"admin"`
	Log   string `json:"log"` // path of the log file
	Pid   int    `json:"pid"` // 0 when the node is not running
}

// ShardState describes a shard.
type ShardState struct {
	Name    string        `json:"name"`
	DSN     string        `json:"dsn"`    // connects to the current primary
	Synced  bool          `json:"synced"` // the standby has every acknowledged write
	Servers []ServerState `json:"servers"`
}

// ServerState describes a server of a shard.
type ServerState struct {
	Name string `json:"name"`
	Role string `json:"role"` // primary or standby
	DSN  string `json:"dsn"`
	Pid  int    `json:"pid"` // 0 when the server is not running
}

// State returns the current state of the topology.
func (t *Topology) State() State {
	s := State{
		URL: t.varnish.URL(), APIKey: t.apiKey, Nginx: t.nginx.URL(), Prometheus: t.prometheus.URL(),
		Redis: t.redis.URL(), Setting: t.setting(),
	}
	for i, n := range t.nodes {
		s.Nodes = append(s.Nodes, NodeState{fmt.Sprintf("node%d", i+1), n.URL(), "http://" + string(n.Admin()), n.LogFile(), n.Pid()})
	}
	for _, shard := range t.shards {
		s.Shards = append(s.Shards, shard.state())
	}
	return s
}

func (s *shard) state() ShardState {
	state := ShardState{Name: s.name, DSN: s.cluster.DSN(database)}
	for suffix, p := range map[string]*testenv.Postgres{"-a": s.cluster.Primary(), "-b": s.cluster.Replicas()[0]} {
		state.Servers = append(state.Servers, ServerState{s.name + suffix, s.roleOf(p), p.DSN(database), p.Pid()})
	}
	slices.SortFunc(state.Servers, func(a, b ServerState) int { return strings.Compare(a.Name, b.Name) })
	s.mu.Lock()
	defer s.mu.Unlock()
	state.Synced = s.synced
	return state
}

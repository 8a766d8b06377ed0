//go:build unix

package schema_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store/postgres/schema"
)

var statusTests = map[string]func(*testing.T, *cluster){
	"StatusOfAll":    statusOfAll,
	"ForceIsBounded": forceIsBounded,
}

func statusOfAll(t *testing.T, c *cluster) {
	s1 := c.target(t, "s1")
	up(t, s1)
	m := migrator(t,
		schema.Target{Name: "s3", DSN: "postgres://terse:s3cr3t@127.0.0.1:1/links?sslmode=disable"},
		c.target(t, "s2"), s1)
	got := m.Status(t.Context())
	for i, want := range []schema.ShardStatus{
		{Name: "s1", Version: latest, Latest: latest},
		{Name: "s2", Latest: latest},
		{Name: "s3", Latest: latest, Err: got[2].Err},
	} {
		if got[i] != want {
			t.Errorf("Status()[%d] = %+v, want %+v", i, got[i], want)
		}
	}
	refused(t, "Status() of a server that is gone", got[2].Err, "shard s3: failed to connect")
	if strings.Contains(fmt.Sprint(got), "s3cr3t") {
		t.Errorf("Status() = %v, which contains a password", got)
	}
}

func forceIsBounded(t *testing.T, c *cluster) {
	s1 := c.target(t, "s1")
	m := migrator(t, s1)
	refused(t, "Force(s2, 1)", m.Force(t.Context(), "s2", 1), "there is no shard s2")
	refused(t, "Force() of a version to come", m.Force(t.Context(), "s1", next), fmt.Sprintf("0 to %d", latest))
	refused(t, "Force(s1, -1)", m.Force(t.Context(), "s1", -1), fmt.Sprintf("0 to %d", latest))
	for _, version := range []int{3, 0} {
		if err := m.Force(t.Context(), "s1", version); err != nil {
			t.Errorf("Force(s1, %d) = %v, want nil", version, err)
		}
		atVersion(t, m, version)
	}
	up(t, s1)
	dealtOnce(t, s1)
}

// TestReplicaIsRefused checks that Up rejects a replica, even if the DSN has no
// target_session_attrs.
func TestReplicaIsRefused(t *testing.T) {
	t.Parallel()
	c := testenv.NewCluster(t, testenv.ClusterOptions{Replicas: 1})
	m := migrator(t, schema.Target{Name: "s1", DSN: c.Replicas()[0].DSN("postgres")})
	refused(t, "Up()", m.Up(t.Context()), "shard s1: ", "read only")
	up(t, schema.Target{Name: "s1", DSN: strings.Replace(c.DSN("postgres"), "&target_session_attrs=read-write", "", 1)})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	valid := schema.Target{Name: "s1", DSN: "postgres://terse@127.0.0.1/links"}
	for _, tt := range []struct {
		name string
		opts schema.Options
		want string
	}{
		{"no targets", options(t), "schema: Options.Targets is required"},
		{"no logger", schema.Options{Targets: []schema.Target{valid}}, "schema: Options.Logger is required"},
		{"no name", options(t, schema.Target{DSN: valid.DSN}), "schema: Options.Targets[0].Name is required"},
		{"no DSN", options(t, schema.Target{Name: "s1"}), "shard s1: its DSN"},
		{"a name twice", options(t, valid, valid), "schema: Options.Targets[1].Name is the name of another shard: s1"},
		{"a password in pieces", options(t, schema.Target{Name: "s1", DSN: "postgres://terse:s3cr3t/x?y=z@127.0.0.1/links"}), "shard s1: its DSN"},
		{"a bad port", options(t, schema.Target{Name: "s1", DSN: "postgres://terse:s3cr3t@127.0.0.1:port/links"}), "shard s1: its DSN"},
		{"a negative timeout", schema.Options{Targets: []schema.Target{valid}, Logger: options(t).Logger, LockTimeout: -1}, "schema: Options.LockTimeout must be positive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := schema.New(tt.opts)
			refused(t, "New()", err, tt.want)
			if err != nil && strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("New() = %v, which contains the password", err)
			}
		})
	}
}

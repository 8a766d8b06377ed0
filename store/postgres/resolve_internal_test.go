package postgres

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// TestByAge checks which replicas are asked while the primary is unreachable, and in what
// order.
func TestByAge(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	s := &Store{opts: Options{MaxAge: time.Hour, Now: func() time.Time { return now }}}
	recent, old := now.Add(-59*time.Minute), now.Add(-61*time.Minute)
	for _, r := range []struct {
		name string
		look look
	}{
		{"never seen", look{}},
		{"behind", look{position: 10, covers: recent}},
		{"too old", look{position: 95, covers: old, shows: old}},
		{"of another shard", look{position: 99, unfit: true, err: ErrWrongShard}},
		{"fresh", look{position: 30, covers: old, shows: recent}},
		{"silent", look{position: 40, err: errors.ErrUnsupported, covers: recent}},
		{"middle", look{position: 20, shows: recent}},
		{"promoted long ago", look{position: 98, err: errPromoted, shows: old}},
	} {
		s.replicas = append(s.replicas, &server{name: r.name, view: view{look: r.look}})
	}
	var got []string
	for _, server := range s.byAge() {
		got = append(got, server.name)
	}
	if want := []string{"fresh", "middle", "behind", "silent"}; !slices.Equal(got, want) {
		t.Errorf("byAge() = %q, want %q", got, want)
	}
}

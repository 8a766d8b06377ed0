package postgres

import (
	"errors"
	"slices"
	"testing"
)

// TestByAge holds which replica is asked first when the primary is away.
func TestByAge(t *testing.T) {
	t.Parallel()
	s := &Store{}
	for _, r := range []struct {
		name string
		look look
	}{
		{"never seen", look{}},
		{"behind", look{position: 10}},
		{"of another shard", look{position: 99, unfit: true, err: ErrWrongShard}},
		{"fresh", look{position: 30}},
		{"silent", look{position: 40, err: errors.ErrUnsupported}},
		{"middle", look{position: 20}},
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

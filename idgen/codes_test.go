package idgen_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/idgen"
)

// newCodes returns Codes with the given placement.
func newCodes(t *testing.T, placement idgen.Placement) *idgen.Codes {
	t.Helper()
	minter, err := idgen.NewMinter(t.Context(), idgen.Options{Leaser: idgen.NewMemoryLeases(nil).Holder()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := minter.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	cipher, err := idgen.NewCipher(bytes.Repeat([]byte{1, 2, 3, 4}, 8))
	if err != nil {
		t.Fatal(err)
	}
	return idgen.NewCodes(minter, cipher, placement)
}

// shards are a Placement of two shards. The last byte of a code decides on its shard, and the
// bucket is the number of its shard. Shard 1 accepts no writes.
type shards struct{ minted map[string]bool }

func (s shards) of(code string) int {
	s.minted[code] = true
	return int(code[len(code)-1]) % 2
}

func (s shards) AcceptsWrites(code string) bool { return s.of(code) == 0 }

func (s shards) Together(code string, bucket int) bool { return s.of(code) == bucket }

// nowhere is a Placement that accepts no code.
type nowhere struct{ shards }

func (n nowhere) AcceptsWrites(code string) bool { return n.of(code) < 0 }

func (n nowhere) Together(code string, _ int) bool { return n.of(code) < 0 }

// TestCodesChooseTheShard checks that NextCode avoids a shard that accepts no writes, and that
// NextKeyNear finds the shard of the bucket.
func TestCodesChooseTheShard(t *testing.T) {
	t.Parallel()
	p := shards{map[string]bool{}}
	c := newCodes(t, p)
	elsewhere := 0
	for range 200 {
		code, err := c.NextCode()
		if err != nil {
			t.Fatalf("NextCode() = %v", err)
		}
		if p.of(code) != 0 {
			elsewhere++
		}
		for bucket := range 2 {
			code, err := c.NextKeyNear("d00000001/", bucket)
			if err != nil || p.of(code) != bucket || !strings.HasPrefix(code, "d00000001/") {
				t.Errorf("NextKeyNear(%d) = %q on shard %d, %v", bucket, code, p.of(code), err)
			}
		}
	}
	if elsewhere > 20 { // 1 of 256 is expected
		t.Errorf("%d of 200 codes are on the shard that accepts no writes", elsewhere)
	}
}

// TestCodesGiveUp checks that a search for a shard ends without success, and still returns a code.
func TestCodesGiveUp(t *testing.T) {
	t.Parallel()
	p := nowhere{shards{map[string]bool{}}}
	c := newCodes(t, p)
	for _, next := range []func() (string, error){c.NextCode, func() (string, error) { return c.NextKeyNear("", 3) }} {
		clear(p.minted)
		code, err := next()
		if err != nil || !p.minted[code] {
			t.Errorf("got %q, %v, want one of the minted codes", code, err)
		}
		if n := len(p.minted); n < 2 || n > 64 {
			t.Errorf("%d codes were minted in the search, want 2 to 64", n)
		}
	}
}

// TestCodesWithoutShards checks that Codes without a Placement mint different codes, and return
// the errors of the Minter.
func TestCodesWithoutShards(t *testing.T) {
	t.Parallel()
	c := newCodes(t, nil)
	first, err := c.NextCode()
	if err != nil {
		t.Fatalf("NextCode() = %v", err)
	}
	second, err := c.NextKeyNear("", 7)
	if err != nil || first == second || len(first) != 9 || len(second) != 9 {
		t.Errorf("NextCode() = %q and NextKeyNear() = %q, %v, want two codes of 9 characters", first, second, err)
	}
}

// node is a NodeLeaser. All node ids are free, except held.
type node struct {
	idgen.Leaser
	held  int64
	floor time.Time
}

func (n node) AcquireNode(_ context.Context, id int64, _ time.Duration) (time.Time, error) {
	if id == n.held {
		return time.Time{}, errOutage
	}
	return n.floor, nil
}

// TestFixedNode checks that Acquire leases the given node id only.
func TestFixedNode(t *testing.T) {
	t.Parallel()
	leaser := node{held: 8, floor: time.Unix(1_800_000_000, 0)}
	id, floor, err := idgen.FixedNode(leaser, 7).Acquire(t.Context(), time.Minute)
	if err != nil || id != 7 || !floor.Equal(leaser.floor) {
		t.Errorf("Acquire() = %d, %v, %v, want node id 7 and its floor", id, floor, err)
	}
	if _, _, err := idgen.FixedNode(leaser, 8).Acquire(t.Context(), time.Minute); !errors.Is(err, errOutage) {
		t.Errorf("Acquire() of a held node id = %v, want the error of AcquireNode", err)
	}
}

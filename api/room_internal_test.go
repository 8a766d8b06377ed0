package api

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/terse/terse/store"
)

// fill takes bodies of a size for each address until there is no room for another one, and
// returns their bytes.
func (r *room) fill(addrs []netip.Addr, size int64) (taken int64) {
	for _, addr := range addrs {
		for r.take(r.partsOf(&caller{addr: addr}), size) == nil {
			taken += size
		}
	}
	return taken
}

// addrsOf returns addresses of a format with one number.
func addrsOf(format string, n int) (addrs []netip.Addr) {
	for i := range n {
		addrs = append(addrs, netip.MustParseAddr(fmt.Sprintf(format, i)))
	}
	return addrs
}

// TestFewClientsFillNoRoom checks that neither a few clients without a key nor a network leave
// no room for the small bodies of others.
func TestFewClientsFillNoRoom(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		addrs []netip.Addr
		most  int64
	}{
		"one address":               {addrsOf("203.0.113.%d", 1), 256 << 10},
		"twenty addresses":          {addrsOf("203.0.%d.7", 20), 20 * 256 << 10},
		"an IPv4 network":           {addrsOf("203.0.113.%d", 256), 1 << 20},
		"an IPv4 network in IPv6":   {addrsOf("::ffff:203.0.113.%d", 256), 1 << 20},
		"an IPv6 network":           {addrsOf("2001:db8::%x", 256), 256 << 10},
		"the network around others": {addrsOf("2001:db8:0:%x::1", 256), 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int64{100, 4 << 10, smallBody} {
				r := smallRoom()
				if taken := r.fill(tt.addrs, size); taken > tt.most || taken < tt.most*9/10 {
					t.Errorf("bodies of %d bytes from %s take %d bytes, want %d or little less", size, name, taken, tt.most)
				}
				for _, other := range []string{"198.51.100.1", "2001:db8:1::1"} {
					if err := r.take(r.partsOf(&caller{addr: netip.MustParseAddr(other)}), smallBody); err != nil {
						t.Errorf("a body of %s beside those of %s = %v, want room", other, name, err)
					}
				}
			}
		})
	}
}

// TestRoomForKeys checks that clients without a key, however many, leave room for keys. It also
// checks that a freed room is empty.
func TestRoomForKeys(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*room{"small": smallRoom(), "large": largeRoom()} {
		many := append(addrsOf("203.%d.113.7", 256), addrsOf("2001:db8:%x::1", 256)...)
		if taken := r.fill(many, smallBody); taken != r.most/anonymousPart {
			t.Errorf("%s bodies of many clients take %d bytes, want %d", name, taken, r.most/anonymousPart)
		}
		if err := r.take(r.partsOf(&caller{addr: netip.MustParseAddr("198.51.100.1")}), 1); !errors.Is(err, errBodies) {
			t.Errorf("one more of the %s bodies without a key = %v, want %v", name, err, errBodies)
		}
		who := &caller{addr: many[0]}
		who.Key = &store.Key{ID: "key_1"}
		own := r.partsOf(who)
		if err := r.take(own, r.most/keyPart); err != nil {
			t.Errorf("the %s bodies of a key = %v, want room for %d bytes", name, err, r.most/keyPart)
		}
		if err := r.take(own, 1); !errors.Is(err, error(errOwnBodies)) {
			t.Errorf("more %s bodies of a key = %v, want %v", name, err, errOwnBodies)
		}
		r.give(own, r.most/keyPart)
		if _, found := r.used[own[0].name]; found {
			t.Errorf("the room of %s bodies remembers a key without bodies", name)
		}
	}
}

// TestLargeBodiesOfOneClient checks that a client without a key may send eight of the largest
// bodies at the same time.
func TestLargeBodiesOfOneClient(t *testing.T) {
	t.Parallel()
	if taken := largeRoom().fill(addrsOf("203.0.113.%d", 1), MaxBodyLen); taken != 8*MaxBodyLen {
		t.Errorf("the large bodies of one client take %d bytes, want %d", taken, 8*MaxBodyLen)
	}
}

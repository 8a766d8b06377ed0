package ratelimit_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/terse/terse/api/ratelimit"
)

func mustParseProxies(tb testing.TB, cidrs ...string) ratelimit.Proxies {
	tb.Helper()
	p, err := ratelimit.ParseProxies(cidrs)
	if err != nil {
		tb.Fatalf("ParseProxies(%q) = %v", cidrs, err)
	}
	return p
}

func request(peer string, forwarded ...string) *http.Request {
	return &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": forwarded}}
}

func TestClientAddr(t *testing.T) {
	t.Parallel()
	p := mustParseProxies(t, "10.0.0.0/8", "fd00::/8", "::ffff:192.168.0.0/112", "172.16.5.9/12")
	const peer = "10.0.0.1:4000"
	for _, tt := range []struct {
		name      string
		peer      string
		forwarded []string
		want      string
	}{
		{"no header", peer, nil, "10.0.0.1"},
		{"one hop", peer, []string{"198.51.100.7"}, "198.51.100.7"},
		{"direct client is not believed", "203.0.113.5:4000", []string{"198.51.100.7"}, "203.0.113.5"},
		{"spoofed in front", peer, []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7"},
		{"spoofed in front with trusted addresses", peer, []string{"10.9.9.9, 10.8.8.8, 198.51.100.7"}, "198.51.100.7"},
		{"past trusted hops", peer, []string{"1.1.1.1, 198.51.100.7, 10.2.2.2, 172.31.0.1"}, "198.51.100.7"},
		{"all trusted", peer, []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		{"several lines are one list", peer, []string{"1.1.1.1", "198.51.100.7", "10.2.2.2"}, "198.51.100.7"},
		{"spoofed line in front", peer, []string{"1.1.1.1, 10.4.4.4", "198.51.100.7"}, "198.51.100.7"},
		{"garbage at the end", peer, []string{"198.51.100.7, what"}, "10.0.0.1"},
		{"garbage behind a trusted hop", peer, []string{"198.51.100.7, unknown, 10.2.2.2"}, "10.2.2.2"},
		{"garbage in front", peer, []string{"<script>, 198.51.100.7"}, "198.51.100.7"},
		{"empty line", peer, []string{""}, "10.0.0.1"},
		{"empty line behind", peer, []string{"198.51.100.7", ""}, "10.0.0.1"},
		{"trailing comma", peer, []string{"198.51.100.7,"}, "10.0.0.1"},
		{"blanks", peer, []string{"\t 198.51.100.7 \t,  10.2.2.2 "}, "198.51.100.7"},
		{"no blanks", peer, []string{"1.1.1.1,198.51.100.7,10.2.2.2"}, "198.51.100.7"},
		{"port", peer, []string{"198.51.100.7:1234"}, "198.51.100.7"},
		{"v6", peer, []string{"2001:db8::1"}, "2001:db8::1"},
		{"v6 in brackets", peer, []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"v6 in brackets with port", peer, []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"v6 with zone", peer, []string{"fe80::1%eth0"}, "fe80::1"},
		{"v6 with zone in brackets with port", peer, []string{"[fe80::1%eth0]:443"}, "fe80::1"},
		{"v4 in brackets is garbage", peer, []string{"[198.51.100.7]"}, "10.0.0.1"},
		{"v4 in v6", peer, []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"trusted v4 in v6", peer, []string{"198.51.100.7, ::ffff:10.2.2.2"}, "198.51.100.7"},
		{"network written as v4 in v6", peer, []string{"198.51.100.7, 192.168.0.5"}, "198.51.100.7"},
		{"peer is v4 in v6", "[::ffff:10.0.0.1]:4000", []string{"198.51.100.7"}, "198.51.100.7"},
		{"peer is v6", "[fd00::1]:4000", []string{"198.51.100.7"}, "198.51.100.7"},
		{"peer with zone", "[fd00::1%eth0]:4000", []string{"198.51.100.7"}, "198.51.100.7"},
		{"peer with zone, no header", "[fe80::1%eth0]:4000", nil, "fe80::1"},
		{"leading zeros are garbage", peer, []string{"198.051.100.007"}, "10.0.0.1"},
		{"integer is garbage", peer, []string{"3232235777"}, "10.0.0.1"},
		{"quoted is garbage", peer, []string{`"198.51.100.7"`}, "10.0.0.1"},
		{"no peer", "@", []string{"198.51.100.7"}, "invalid IP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := p.ClientAddr(request(tt.peer, tt.forwarded...)).String(); got != tt.want {
				t.Errorf("ClientAddr(%s, %q) = %s, want %s", tt.peer, tt.forwarded, got, tt.want)
			}
		})
	}
}

func TestClientAddrBelievesNoOtherHeader(t *testing.T) {
	t.Parallel()
	r := request("10.0.0.1:4000")
	for _, name := range []string{"X-Real-Ip", "Forwarded", "True-Client-Ip", "Cf-Connecting-Ip"} {
		r.Header.Set(name, "for=198.51.100.7")
		r.Header.Add(name, "198.51.100.7")
	}
	if got := mustParseProxies(t, "10.0.0.0/8").ClientAddr(r).String(); got != "10.0.0.1" {
		t.Errorf("ClientAddr = %s, want 10.0.0.1", got)
	}
}

func TestZeroProxiesBelieveNobody(t *testing.T) {
	t.Parallel()
	var p ratelimit.Proxies
	if got := p.ClientAddr(request("127.0.0.1:1", "198.51.100.7")).String(); got != "127.0.0.1" {
		t.Errorf("ClientAddr = %s, want 127.0.0.1", got)
	}
}

func TestParseProxiesReportsEveryBadOne(t *testing.T) {
	t.Parallel()
	bad := []string{"10.0.0.1", "10.0.0.0/33", "nonsense", "", "fe80::%eth0/64", "::ffff:10.0.0.0/8"}
	_, err := ratelimit.ParseProxies(append([]string{"10.0.0.0/8"}, bad...))
	if err == nil {
		t.Fatal("ParseProxies = nil, want an error")
	}
	if got := strings.Split(err.Error(), "\n"); len(got) != len(bad) {
		t.Errorf("ParseProxies = %v, want %d problems", err, len(bad))
	}
	for _, s := range bad {
		if !strings.Contains(err.Error(), `"`+s+`"`) {
			t.Errorf("ParseProxies = %v, want an error that names %q", err, s)
		}
	}
}

func TestClientKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ a, b, want string }{
		{"198.51.100.7", "::ffff:198.51.100.7", "198.51.100.7"},
		{"2001:db8::1", "2001:db8::ffff:1:2:3", "2001:db8::/64"},
		{"fe80::1%eth0", "fe80::2%eth1", "fe80::/64"},
	} {
		for _, s := range []string{tt.a, tt.b} {
			if got := ratelimit.ClientKey(netip.MustParseAddr(s)); got != tt.want {
				t.Errorf("ClientKey(%s) = %q, want %q", s, got, tt.want)
			}
		}
	}
	if a, b := ratelimit.ClientKey(netip.MustParseAddr("2001:db8:0:1::")), ratelimit.ClientKey(netip.MustParseAddr("2001:db8:0:2::")); a == b {
		t.Errorf("ClientKey of two networks = %q and %q, want different keys", a, b)
	}
	if got := ratelimit.ClientKey(netip.Addr{}); got == "" {
		t.Error("ClientKey of the zero Addr is empty")
	}
}

func TestNetworkKey(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"2001:db8:1:2::3": "2001:db8:1::/48", "2001:db8:1:ffff::": "2001:db8:1::/48", "2001:db8:2::": "2001:db8:2::/48",
		"198.51.100.7": "", "::ffff:198.51.100.7": "",
	} {
		if got := ratelimit.NetworkKey(netip.MustParseAddr(addr)); got != want {
			t.Errorf("NetworkKey(%s) = %q, want %q", addr, got, want)
		}
	}
	if got := ratelimit.NetworkKey(netip.Addr{}); got != "" {
		t.Errorf("NetworkKey of the zero Addr = %q, want an empty key", got)
	}
}

// FuzzClientAddr checks that a client cannot change the result: it does not depend on
// anything before the part that trusted proxies have appended.
func FuzzClientAddr(f *testing.F) {
	f.Add("1.1.1.1", "198.51.100.7", "10.0.0.1:1")
	f.Add("[::1]:5, ,%", "fe80::1%a", "[fd00::1]:1")
	f.Add("10.1.1.1,", "unknown", "203.0.113.1:1")
	p := mustParseProxies(f, "10.0.0.0/8", "fd00::/8")
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	trusts := func(a netip.Addr) bool { return trusted[0].Contains(a) || trusted[1].Contains(a) }
	f.Fuzz(func(t *testing.T, spoofed, appended, peer string) {
		direct := p.ClientAddr(request(peer))
		if direct.IsValid() && !trusts(direct) {
			if got := p.ClientAddr(request(peer, spoofed, appended)); got != direct {
				t.Fatalf("ClientAddr(%q, %q, %q) = %s, want the untrusted peer", peer, spoofed, appended, got)
			}
			return
		}
		alone := p.ClientAddr(request(peer, appended))
		if alone.Zone() != "" || alone.Is4In6() {
			t.Fatalf("ClientAddr(%q, %q) = %s, want neither zone nor mapped address", peer, appended, alone)
		}
		if trusts(alone) {
			return // only trusted addresses: the part before them belongs to the client
		}
		for _, forwarded := range [][]string{{spoofed, appended}, {spoofed + "," + appended}} {
			if got := p.ClientAddr(request(peer, forwarded...)); got != alone {
				t.Fatalf("ClientAddr(%q, %q) = %s, want %s as without %q", peer, forwarded, got, alone, spoofed)
			}
		}
	})
}

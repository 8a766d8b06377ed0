package store_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/terse/terse/store"
)

func TestNewRulesRefusesOwnHosts(t *testing.T) {
	t.Parallel()
	bad := []string{"", "http://sho.rt", "sho.rt/", "u@sho.rt", "sho.rt:x", "sho.rt:65536", ":8080", "[::1", "1.2.3.256", "a b", "..."}
	_, err := store.NewRules(store.RulesOptions{OwnHosts: append(bad, "sho.rt", "[::1]:8080"), Reserved: []string{"", "a/b", "api"}})
	if err == nil {
		t.Fatalf("NewRules(%q) = nil, want an error", bad)
	}
	for _, s := range bad {
		if want := fmt.Sprintf("own host %q ", s); !strings.Contains(err.Error(), want) {
			t.Errorf("NewRules = %v, want it to name %s", err, want)
		}
	}
	for _, s := range []string{`store: RulesOptions.Reserved[0] must be one path segment: ""`, `store: RulesOptions.Reserved[1] must be one path segment: "a/b"`} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("NewRules = %v, want it to name %s", err, s)
		}
	}
	if got, want := strings.Count(err.Error(), "\n")+1, len(bad)+2; got != want {
		t.Errorf("NewRules reports %d problems, want %d", got, want)
	}
}

func TestTargetOwnHosts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		own    string
		ours   []string
		others []string
	}{
		{
			own: "bücher.example",
			ours: []string{
				"http://bücher.example", "http://BÜCHER.example", "http://xn--bcher-kva.example", "http://XN--BCHER-KVA.EXAMPLE.",
				"http://b%C3%BCcher.example", "http://bu\u0308cher.example", "https://bücher.example:8443",
			},
			others: []string{"http://bucher.example", "http://bücher.example.com", "http://www.bücher.example"},
		},
		{
			own:    "Sho.RT.:8080",
			ours:   []string{"http://sho.rt", "http://sho.rt:9999", "https://sho.rt."},
			others: []string{"http://sho.rt.example", "http://ssho.rt", "http://sho-rt"},
		},
		{
			own: "localhost:8080",
			ours: []string{
				"http://localhost:8080", "http://LOCALHOST.:8080", "http://a.localhost:8080", "http://127.0.0.1:8080", "http://127.9.9.9:8080",
				"http://0x7f.1:8080", "http://2130706433:8080", "http://017700000001:08080", "http://[::1]:8080", "http://[0:0::0:1]:8080",
				"http://[::ffff:127.0.0.1]:8080", "http://[::ffff:7f00:1]:8080", "http://0:8080", "http://0.0.0.0:8080", "http://[::]:8080", "http://[::ffff:0.0.0.0]:8080",
				"https://localhost:8080", "http://lo%63alhost:8080", "http://ｌocalhost:8080", "http://１２７.1:8080",
			},
			others: []string{
				"http://localhost", "http://localhost:8081", "http://127.0.0.1", "http://[::1]:80", "http://128.0.0.1:8080",
				"http://localhost.example:8080", "http://notlocalhost:8080", "http://[::2]:8080", "http://0.0.0.1:8080",
			},
		},
		{
			own:    "[::1]",
			ours:   []string{"http://localhost", "https://localhost", "http://localhost:80", "https://127.1:443", "http://127.1:443"},
			others: []string{"http://localhost:8080", "https://[::1]:8443"},
		},
		{
			own: "192.0.2.7:8080",
			ours: []string{
				"http://192.0.2.7", "http://192.0.2.7:8080", "http://192.0.2.7.", "http://0xc0.0.2.7", "http://3221225991", "http://192.519",
				"http://[::ffff:192.0.2.7]", "http://[::FFFF:c000:207]", "http://192.0.2.7..",
			},
			others: []string{"http://192.0.2.8", "http://[::192.0.2.7]", "http://7.2.0.192", "http://localhost:8080"},
		},
		{
			own:    "[2001:db8::1]",
			ours:   []string{"http://[2001:db8::1]", "http://[2001:0DB8:0:0:0:0:0:1]:99", "http://[2001:db8::0.0.0.1]"},
			others: []string{"http://[2001:db8::2]", "http://2001.db8"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.own, func(t *testing.T) {
			t.Parallel()
			r := newRules(t, "other.example", tt.own)
			for _, raw := range tt.ours {
				_, err := r.Target(raw)
				wantFieldError(t, fmt.Sprintf("Target(%q)", raw), err, "url", "this URL shortener")
			}
			for _, raw := range tt.others {
				if _, err := r.Target(raw); err != nil {
					t.Errorf("Target(%q) = %v, want nil", raw, err)
				}
			}
		})
	}
}

// TestTargetRefusesEverySpelling writes our own host in random ways that browsers read as
// the same host.
func TestTargetRefusesEverySpelling(t *testing.T) {
	t.Parallel()
	r := newRules(t, "go.sho-rt9.example", "192.0.2.7")
	rapid.Check(t, func(t *rapid.T) {
		host := drawDomainSpelling(t, "go.sho-rt9.example")
		if rapid.Bool().Draw(t, "address") {
			host = drawAddressSpelling(t, netip.MustParseAddr("192.0.2.7"))
		}
		raw := rapid.SampledFrom([]string{"http://", "https://", "HTTP://", " hTTpS://"}).Draw(t, "scheme") + host +
			rapid.SampledFrom([]string{"", ":", ":80", ":443", ":0443", ":8443"}).Draw(t, "port") +
			rapid.SampledFrom([]string{"", "/", "/abc", "?q", "#f", "/é "}).Draw(t, "rest")
		_, err := r.Target(raw)
		wantFieldError(t, fmt.Sprintf("Target(%q)", raw), err, "url", "this URL shortener")
	})
}

// drawDomainSpelling replaces each character of an ASCII domain by a character that UTS #46
// maps to it, and percent-encodes some.
func drawDomainSpelling(t *rapid.T, domain string) string {
	const fullWidth, circled = 'Ａ' - 'A', 'ⓐ' - 'a'
	var b strings.Builder
	for _, c := range domain + rapid.SampledFrom([]string{"", ".", ".."}).Draw(t, "dots") {
		spellings := []string{string(c), strings.ToUpper(string(c)), string(c + fullWidth), "\u00AD" + string(c), string(c) + "\u2060"}
		switch {
		case c >= 'a' && c <= 'z':
			spellings = append(spellings, string(c+circled))
		case c == '.':
			spellings = append(spellings, "\u3002", "\uFF61")
		}
		s := rapid.SampledFrom(spellings).Draw(t, "spelling")
		if rapid.IntRange(0, 3).Draw(t, "encode") == 0 {
			s = percentEncode(s)
		}
		b.WriteString(s)
	}
	return b.String()
}

func percentEncode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

// drawAddressSpelling writes an IPv4 address as one to four numbers in any base, or mapped
// into IPv6.
func drawAddressSpelling(t *rapid.T, addr netip.Addr) string {
	bytes := addr.As4()
	if rapid.IntRange(0, 3).Draw(t, "mapped") == 0 {
		return rapid.SampledFrom([]string{
			"[::ffff:" + addr.String() + "]", "[0:0:0:0:0:FFFF:" + addr.String() + "]",
			fmt.Sprintf("[::ffff:%X:%x]", uint(bytes[0])<<8|uint(bytes[1]), uint(bytes[2])<<8|uint(bytes[3])),
		}).Draw(t, "mapping")
	}
	numbers := rapid.IntRange(1, 4).Draw(t, "numbers")
	parts := make([]string, numbers)
	for i := range parts {
		n := uint32(bytes[i])
		if i == numbers-1 {
			for _, b := range bytes[i+1:] {
				n = n<<8 | uint32(b)
			}
		}
		parts[i] = fmt.Sprintf(rapid.SampledFrom([]string{"%d", "0%o", "000%o", "0x%x", "0X%X", "0x00%x"}).Draw(t, "base"), n)
	}
	return strings.Join(parts, ".") + rapid.SampledFrom([]string{"", "."}).Draw(t, "dot")
}

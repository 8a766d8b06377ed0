//go:build unix

package testenv

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// DNS is a DNS server on a loopback address, with the records that tests set. A name without
// records does not exist. Safe for concurrent use.
type DNS struct {
	conn net.PacketConn
	done chan struct{}

	mu      sync.Mutex
	names   map[string]DNSName
	other   *DNSName // what other names have; nil: they do not exist
	queries int
}

// DNSName is what a DNS server knows about a name.
type DNSName struct {
	CNAME string
	Addrs []string // IPv4 and IPv6
	TXT   []string

	Fails  bool // answers SERVFAIL
	Silent bool // does not answer
	Lies   bool // answers with bytes that are no DNS message
}

// NewDNS starts a DNS server that ends with the test.
func NewDNS(tb testing.TB) *DNS {
	tb.Helper()
	conn, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	if err != nil {
		tb.Fatal(err)
	}
	s := &DNS{conn: conn, done: make(chan struct{}), names: map[string]DNSName{}}
	go s.serve()
	tb.Cleanup(func() {
		_ = conn.Close()
		<-s.done
	})
	return s
}

// Addr returns the address as HOST:PORT.
func (s *DNS) Addr() string { return s.conn.LocalAddr().String() }

// Set replaces the records of a name, which has no final dot.
func (s *DNS) Set(name string, n DNSName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name] = n
}

// Default sets the records of all names that Set does not know.
func (s *DNS) Default(n DNSName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.other = &n
}

// Queries returns how many queries the server has received.
func (s *DNS) Queries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries
}

func (s *DNS) serve() {
	defer close(s.done)
	query := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(query)
		if err != nil {
			return
		}
		if answer := s.answer(query[:n]); answer != nil {
			_, _ = s.conn.WriteTo(answer, from)
		}
	}
}

// answer returns the answer to a query, or nil for none.
func (s *DNS) answer(query []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries++
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}
	m.Additionals = nil
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	n, known := s.names[name]
	if !known && s.other != nil {
		n, known = *s.other, true
	}
	switch {
	case n.Silent:
		return nil
	case n.Lies:
		return []byte("no DNS message")
	case n.Fails:
		m.RCode = dnsmessage.RCodeServerFailure
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	}
	const mostAliases = 8 // a loop of aliases ends
	for range mostAliases {
		m.Answers = append(m.Answers, records(q.Name, n, q.Type)...)
		if n.CNAME == "" || q.Type == dnsmessage.TypeCNAME {
			break
		}
		q.Name = dnsmessage.MustNewName(n.CNAME + ".")
		n = s.names[n.CNAME]
	}
	answer, err := m.Pack()
	if err != nil {
		return nil
	}
	return answer
}

// records returns the records of a name with a type, and its alias.
func records(name dnsmessage.Name, n DNSName, kind dnsmessage.Type) (all []dnsmessage.Resource) {
	add := func(kind dnsmessage.Type, body dnsmessage.ResourceBody) {
		all = append(all, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Type: kind, Class: dnsmessage.ClassINET}, Body: body})
	}
	if n.CNAME != "" {
		add(dnsmessage.TypeCNAME, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(n.CNAME + ".")})
	}
	for _, a := range n.Addrs {
		addr := netip.MustParseAddr(a)
		switch {
		case addr.Is4() && kind == dnsmessage.TypeA:
			add(kind, &dnsmessage.AResource{A: addr.As4()})
		case addr.Is6() && kind == dnsmessage.TypeAAAA:
			add(kind, &dnsmessage.AAAAResource{AAAA: addr.As16()})
		}
	}
	if kind == dnsmessage.TypeTXT {
		for _, text := range n.TXT {
			add(kind, &dnsmessage.TXTResource{TXT: []string{text}})
		}
	}
	return all
}

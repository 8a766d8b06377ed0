package domains

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"code.dny.dev/ssrf"

	"github.com/terse/terse/store"
)

// Limits of one check.
const (
	lookupTimeout = 2 * time.Second
	fetchTimeout  = 3 * time.Second
	minFetches    = 8       // requests to a host
	nodeFetches   = 4       // requests to a host for each node
	maxFetches    = 128     // most requests to a host
	maxAddresses  = 32      // of a host
	maxAnswerLen  = 256     // bytes
	maxHeaderLen  = 8 << 10 // bytes
)

// Check is the result of one check of a host.
type Check struct {
	Host     string   // of the domain
	Type     string   // CNAME or ALIAS for the address, TXT for the owner, HTTP for the answers
	Name     string   // of the DNS record, or the address that was requested
	Expected string   // the value of the record, or the answer
	Found    []string // the values of the records, or the wrong answers by address
	OK       bool
	Problem  string // the reason for a failure; empty if OK
}

// prober checks hosts through the DNS and by HTTP. Safe for concurrent use.
type prober struct {
	resolver *net.Resolver
	dialer   *net.Dialer
	port     int
	nodes    func() int
}

// Guard returns a net.Dialer.Control that allows connections to public addresses and to networks
// only, at the ports 80, 443 and port. The owner of a host decides to which address it leads, and
// must not reach other services through this server.
func Guard(networks []netip.Prefix, port int) func(network, address string, c syscall.RawConn) error {
	var v4, v6 []netip.Prefix
	for _, n := range networks {
		if n.Addr().Is4() {
			v4 = append(v4, n)
		} else {
			v6 = append(v6, n)
		}
	}
	guard := ssrf.New(ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...),
		ssrf.WithPorts(http80, https443, uint16(port))) //nolint:gosec // validated
	return func(network, address string, c syscall.RawConn) error {
		err := guard.Safe(network, address, c)
		if errors.Is(err, ssrf.ErrProhibitedIP) {
			return &networkError{"the address is private. An administrator can allow its network in TERSE_DOMAINS_NETWORKS", err}
		}
		return err
	}
}

func newProber(opts *ServiceOptions) *prober {
	server := opts.DNSServer
	return &prober{
		resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if server != "" {
				address = server
			}
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				context.AfterFunc(ctx, func() { _ = conn.Close() }) // otherwise the resolver continues to wait for an answer
			}
			return conn, err
		}},
		dialer: &net.Dialer{Control: Guard(opts.Networks, opts.Port)},
		port:   opts.Port,
		nodes:  opts.Nodes,
	}
}

// The ports of http and https.
const (
	http80   = 80
	https443 = 443
)

// txt checks the TXT record r. The name may have other values too.
func (p *prober) txt(ctx context.Context, r Record) Check {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	c := Check{Host: r.Host, Type: r.Type, Name: r.Name, Expected: r.Value}
	values, err := p.resolver.LookupTXT(ctx, r.Name+".") // a final dot: without the search list of the system
	for _, v := range values {
		c.Found = append(c.Found, clean(v))
		c.OK = c.OK || strings.TrimSpace(v) == r.Value
	}
	switch {
	case c.OK:
	case err != nil:
		c.Problem = lookupProblem(err)
	default:
		c.Problem = "the record has another value"
	}
	return c
}

// host checks that requests for a host reach this service: the DNS first, then the answers of
// every address. secrets.challenge returns token and want.
func (p *prober) host(ctx context.Context, r Record, token, want string) []Check {
	name := r.Host
	if strings.HasPrefix(name, store.WildcardLabel) {
		name = "terse-check-" + token[:8] + "." + bare(name) // any name below it
	}
	address := Check{Host: r.Host, Type: r.Type, Name: r.Name, Expected: r.Value}
	addrs, err := p.addresses(ctx, name, &address)
	if err != nil {
		address.Problem = err.Error()
		return []Check{address}
	}
	answers := p.answers(ctx, name, addrs, token, want)
	answers.Host = r.Host
	// An address of a load balancer or a CDN is right if the answers are.
	if address.OK = answers.OK; !address.OK {
		address.Problem = "the name does not lead to this server, or not only to it"
	}
	return []Check{address, answers}
}

// addresses looks up the addresses of a name, and records them in c.
func (p *prober) addresses(ctx context.Context, name string, c *Check) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	canonical, err := p.resolver.LookupCNAME(ctx, name+".")
	if canonical = strings.TrimSuffix(canonical, "."); err == nil && canonical != name {
		c.Found = append(c.Found, clean(canonical))
	}
	addrs, err := p.resolver.LookupNetIP(ctx, "ip", name+".")
	if err != nil {
		return nil, errors.New(lookupProblem(err))
	}
	for i, addr := range addrs {
		addrs[i] = addr.Unmap()
		c.Found = append(c.Found, addrs[i].String())
	}
	if len(addrs) > maxAddresses {
		c.Found = c.Found[:maxAddresses]
		return nil, fmt.Errorf("the name has more than %d addresses", maxAddresses)
	}
	return addrs, nil
}

// answers requests the challenge from all addresses, each time on a new connection. Several nodes
// may share an address, so that one right answer does not show that all nodes are right. Every
// address gets at least one request.
func (p *prober) answers(ctx context.Context, name string, addrs []netip.Addr, token, want string) Check {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	authority := name
	if p.port != http80 {
		authority = net.JoinHostPort(name, strconv.Itoa(p.port))
	}
	target := url.URL{Scheme: "http", Host: authority, Path: ChallengePath + token}
	c := Check{Type: "HTTP", Name: target.String(), Expected: want}
	results := make([]error, max(min(nodeFetches*p.nodes(), maxFetches), minFetches, len(addrs)))
	var fetching sync.WaitGroup
	for i := range results {
		fetching.Go(func() { results[i] = p.fetch(ctx, target.String(), addrs[i%len(addrs)], want) })
	}
	fetching.Wait()
	right := 0
	for i, err := range results {
		addr := addrs[i%len(addrs)]
		switch {
		case err == nil:
			right++
		case addr.Is6() && errors.Is(err, syscall.ENETUNREACH): // this machine has no IPv6
		default:
			if found := addr.String() + ": " + err.Error(); !slices.Contains(c.Found, found) {
				c.Found = append(c.Found, found)
			}
		}
	}
	switch {
	case len(c.Found) > 0:
		c.Problem = "an answer is wrong"
	case right == 0:
		c.Problem = "this machine has no IPv6, and the name has no IPv4 address"
	default:
		c.OK = true
	}
	return c
}

// fetch requests a URL from an address, and returns nil for the wanted answer.
func (p *prober) fetch(ctx context.Context, target string, addr netip.Addr, want string) error {
	transport := &http.Transport{
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: maxHeaderLen,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return p.dialer.DialContext(ctx, network, net.JoinHostPort(addr.String(), port))
		},
		// A proxy may send all requests to https before the host has a certificate. The answer
		// is the proof, as over http, so the certificate is not needed.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
	}
	client := http.Client{Transport: transport, CheckRedirect: toHTTPS}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "Terse")
	response, err := client.Do(request)
	if err != nil {
		return dialProblem(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerLen+1))
	switch {
	case err != nil:
		return dialProblem(err)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d, so another program answers, or a node with an older version or without this domain", response.StatusCode)
	case strings.TrimSpace(string(answer)) != want:
		return errors.New("another text, so another program answers")
	}
	return nil
}

// toHTTPS is a CheckRedirect that allows one redirect to the same address over https.
func toHTTPS(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > 1 || next.URL.Scheme != "https" || next.URL.Hostname() != first.Hostname() || next.URL.Path != first.Path {
		return http.ErrUseLastResponse
	}
	return nil
}

// networkError is the reason for a failed request, for the owner of the host.
type networkError struct {
	reason string
	cause  error
}

func (e *networkError) Error() string { return e.reason }

func (e *networkError) Unwrap() error { return e.cause }

// dialProblem returns the reason for a failed request.
func dialProblem(err error) error {
	if known, ok := errors.AsType[*networkError](err); ok { // of Guard
		return known
	}
	reason := "no answer: the connection failed"
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		reason = "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		reason = "the connection was refused"
	}
	return &networkError{reason, err}
}

// lookupProblem returns the reason for a failed look-up. It does not name the DNS server.
func lookupProblem(err error) string {
	failed, ok := errors.AsType[*net.DNSError](err)
	switch {
	case ok && failed.IsNotFound:
		return "there is no such record"
	case ok && failed.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return "the DNS did not answer in time"
	}
	return "the DNS answered with an error"
}

// clean makes a text from the DNS printable, and short.
func clean(s string) string {
	const most = 255
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
	return s[:min(len(s), most)]
}

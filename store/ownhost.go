package store

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The default ports of http and https URLs.
const (
	httpPort  = 80
	httpsPort = 443
)

// ownHosts is the set of hosts that serve short links.
type ownHosts struct {
	names    map[string]bool // see host.key
	loopback map[uint16]bool // ports of this machine
}

// newOwnHosts reads hosts, each with or without a port. Its error joins every problem.
func newOwnHosts(domains domainParser, hosts []string) (ownHosts, error) {
	own := ownHosts{names: make(map[string]bool), loopback: make(map[uint16]bool)}
	var errs []error
	for _, s := range hosts {
		if err := own.add(domains, s); err != nil {
			errs = append(errs, fmt.Errorf("own host %q %w", s, err))
		}
	}
	return own, errors.Join(errs...)
}

func (o *ownHosts) add(domains domainParser, s string) error {
	name, port := cutPort(s)
	h, err := domains.parse(name)
	if err != nil {
		return err
	}
	ports := []uint16{httpPort, httpsPort}
	if digits := strings.TrimPrefix(port, ":"); digits != "" {
		p, err := parsePort(digits)
		if err != nil {
			return err
		}
		ports = []uint16{p}
	}
	if !h.isLoopback() {
		o.names[h.key()] = true
		return nil
	}
	for _, p := range ports {
		o.loopback[p] = true
	}
	return nil
}

// contains reports whether a URL with this host and port leads to this service. Another port
// of a loopback host is another service, such as a developer's.
func (o *ownHosts) contains(h host, port uint16) bool {
	if h.isLoopback() {
		return o.loopback[port]
	}
	return o.names[h.key()]
}

// key returns the form that all spellings of the host share: a domain name without trailing
// dots, or an address that is not mapped into IPv6.
func (h host) key() string {
	if h.addr.IsValid() {
		return h.addr.Unmap().String()
	}
	return strings.TrimRight(h.name, ".")
}

// IsLoopback reports whether a host is this machine, under any of its names. host must be the
// result of CanonicalHost.
func IsLoopback(host string) bool {
	h, err := hosts.parse(host)
	return err == nil && h.isLoopback()
}

// isLoopback reports whether h is this machine: localhost and all names below it (RFC 6761,
// section 6.3), a loopback address, or the unspecified address, which systems dial as
// loopback.
func (h host) isLoopback() bool {
	if h.addr.IsValid() {
		addr := h.addr.Unmap()
		return addr.IsLoopback() || addr.IsUnspecified()
	}
	name := h.key()
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// cutPort splits an authority before the colon of its port.
func cutPort(s string) (name, port string) {
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		return s[:i], s[i:]
	}
	return s, ""
}

// parsePort reads the digits of a port. Leading zeros are ignored.
func parsePort(digits string) (uint16, error) {
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return 0, errors.New("must have a port from 0 to 65535, or none")
	}
	return uint16(n), nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/terse/terse/api"
	"github.com/terse/terse/domains"
	"github.com/terse/terse/store"
)

// domainFlags are the settings of domains besides the default one.
type domainFlags struct {
	DomainsPerKey   string `default:"20" placeholder:"N" help:"Domains that one API key may have, unless it is an admin key. Default: 20." setting:""`
	DomainsNetworks string `placeholder:"CIDR,…" help:"Private networks to which the verification of domains, and the check of their hosts before a certificate is ordered, may connect. Default: none." setting:""`
	DNSServer       string `name:"dns-server" placeholder:"ADDRESS" help:"DNS server for the verification of domains, and for the check of a host before a certificate is ordered, IP:PORT. Default: the servers of the system." setting:""`
}

// domainSettings are domainFlags as the server uses them.
type domainSettings struct {
	perKey    int
	networks  []netip.Prefix
	dnsServer string // empty: the servers of the system
}

// maxDomainsPerKey is more than a server should have in memory.
const maxDomainsPerKey = 100_000

func (f *domainFlags) read(try func(name string, err error)) domainSettings {
	s := domainSettings{dnsServer: f.DNSServer}
	var err error
	s.perKey, err = parseCount(f.DomainsPerKey, maxDomainsPerKey)
	try("DOMAINS_PER_KEY", err)
	s.networks, err = parseNetworks(splitList(f.DomainsNetworks))
	try("DOMAINS_NETWORKS", err)
	if f.DNSServer != "" {
		try("DNS_SERVER", checkServer(f.DNSServer))
	}
	return s
}

// parseNetworks parses networks. Its error names every invalid one.
func parseNetworks(list []string) (networks []netip.Prefix, err error) {
	var problems []error
	for _, s := range list {
		n, err := netip.ParsePrefix(s)
		switch {
		case err != nil || n != n.Masked():
			problems = append(problems, fmt.Errorf("%q must be a network, such as 10.0.0.0/8", s))
		case n.Addr().Is4In6():
			problems = append(problems, fmt.Errorf("%q must be written as an IPv4 network", s))
		default:
			networks = append(networks, n)
		}
	}
	return networks, errors.Join(problems...)
}

// checkServer checks the address of a server: an IP address and a port.
func checkServer(address string) error {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return fmt.Errorf("%q must be an IP address and a port, such as 192.0.2.53:53", address)
	}
	return nil
}

// domains loads the domains and follows their changes.
func (p *process) domains(ctx context.Context, d database) (*domains.Map, error) {
	m, err := domains.New(ctx, domains.Options{Sources: d.hosts, Logger: p.logger, Registerer: p.registry})
	if err != nil {
		return nil, err
	}
	p.background(ctx, "domains", m.Run)
	return m, nil
}

// domainCases returns the use cases on domains, and starts the verification of pending domains.
func (p *process) domainCases(ctx context.Context, s *stores) (*domains.Service, error) {
	base, err := api.ParseBaseURL(p.settings.baseURL)
	if err != nil {
		return nil, err
	}
	appHost := ""
	if p.settings.appURL != "" {
		app, err := api.ParseAppURL(p.settings.appURL, base)
		if err != nil {
			return nil, err
		}
		appHost = app.Hostname()
	}
	port, err := p.settings.https.visitorPort(base)
	if err != nil {
		return nil, err
	}
	rules, err := store.NewRules(p.ruleOptions(s, base))
	if err != nil {
		return nil, err
	}
	var claimers []domains.Claimer
	for _, from := range s.scanned {
		claimers = append(claimers, from.Links)
	}
	service, err := domains.NewService(domains.ServiceOptions{
		Store: s.domainStore, Map: s.hosts, Links: s.links, Keys: s.keys, Minter: s.codes, Rules: rules, Claimers: claimers,
		Secret: s.codeKey, BaseHost: base.Hostname(), AppHost: appHost, PerOwner: p.settings.domains.perKey,
		Port: port, DNSServer: p.settings.domains.dnsServer, Networks: p.settings.domains.networks,
		Nodes: p.nodes, Now: s.linkTime, Registerer: p.registry, Logger: p.logger,
	})
	if err != nil {
		return nil, err
	}
	p.background(ctx, "verification", service.Run)
	return service, nil
}

// visitorPort returns the port at which this server answers HTTP requests for the hosts of domains.
// With HTTPS, it is the port for challenges of ACME. Otherwise it is the port of an http base URL.
func (s *httpsSettings) visitorPort(base *url.URL) (int, error) {
	if s.on && s.acme.HTTPPort != 0 {
		return s.acme.HTTPPort, nil
	}
	if base.Scheme != "http" || base.Port() == "" {
		return domains.DefaultPort, nil
	}
	return strconv.Atoi(base.Port())
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/terse/terse/api"
	"github.com/terse/terse/server"
)

// listenAdmin serves health, metrics and profiles, and returns the address. It starts before
// the database opens and ends after everything else has closed.
func (p *process) listenAdmin(ctx context.Context) (net.Addr, error) {
	l, err := p.listener(ctx, adminSocket, "TERSE_ADMIN_LISTEN", p.settings.admin)
	if err != nil {
		return nil, err
	}
	admin, err := server.Start(server.Options{
		Listener: l, Handler: api.Admin(&p.health, p.registry, p.settings.adminHosts), Logger: p.logger, Failed: p.failed,
	})
	if err != nil {
		return nil, err
	}
	p.open.push("admin server", closeTimeout, admin.Shutdown)
	return l.Addr(), nil
}

// Names of the sockets that systemd may pass: FileDescriptorName in the socket units.
const (
	publicSocket = "public"
	plainSocket  = "http" // beside HTTPS
	adminSocket  = "admin"
)

// inheritedSockets returns the sockets from systemd, by name.
func inheritedSockets(getenv func(string) string) (map[string]*server.Listener, error) {
	sockets, err := server.Inherited(getenv)
	if err != nil {
		return nil, fmt.Errorf("take sockets from systemd: %w", err)
	}
	for name := range sockets {
		if name != publicSocket && name != plainSocket && name != adminSocket {
			return nil, fmt.Errorf("take sockets from systemd: in the unit of socket %q set FileDescriptorName=%s, %s or %s", name, publicSocket, plainSocket, adminSocket)
		}
	}
	return sockets, nil
}

// listener returns the socket from systemd, or else listens on the address of the setting.
func (p *process) listener(ctx context.Context, socket, setting, address string) (*server.Listener, error) {
	if l := p.sockets[socket]; l != nil {
		return l, nil
	}
	l, err := server.Listen(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return l, nil
}

// listen serves the public address and returns it.
func (p *process) listen(ctx context.Context, s *stores) (net.Addr, error) {
	public, err := p.listener(ctx, publicSocket, "TERSE_LISTEN", p.settings.listen)
	if err != nil {
		return nil, err
	}
	if p.settings.baseURL == "" {
		p.settings.baseURL = localURL(public.Addr())
	}
	handler, err := p.handler(ctx, s)
	if err != nil {
		return nil, errors.Join(err, public.Close())
	}
	traced := p.tracer.Handler(p.settings.forCDN(handler), p.settings.proxies.FromProxy)
	secure, err := p.secure(ctx, s, public, traced)
	if err != nil {
		return nil, errors.Join(err, public.Close())
	}
	bounds := server.Options{
		Listener: public, Handler: traced, TLS: secure,
		MaxConnections: p.settings.operation.maxConnections, Handshakes: handshakes,
		Trusted: p.settings.proxies, Registerer: p.registry, Logger: p.logger, Failed: p.failed,
	}
	if p.settings.proxyProtocol {
		bounds.Proxies = p.settings.proxies
	}
	if p.public, err = server.Start(bounds); err != nil {
		return nil, err
	}
	p.open.push("server", p.settings.operation.drain.requests(), p.public.Shutdown)
	if p.obtain != nil { // now this node answers challenges
		p.obtain()
	}
	return public.Addr(), nil
}

// handshakes is the time for new connections to finish their handshake while the server
// stops. It is longer than a round trip around the world.
const handshakes = 300 * time.Millisecond

// localURL is the start of short URLs without TERSE_BASE_URL.
func localURL(addr net.Addr) string {
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil || port == "80" {
		return "http://localhost"
	}
	return "http://localhost:" + port
}

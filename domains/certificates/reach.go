package certificates

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// reachPath is followed by a token that the asking node chose.
const reachPath = "/.well-known/terse/reachable/"

// reachTimeout bounds one check.
const reachTimeout = 10 * time.Second

// reach checks that clients of a host reach a node of this server, as the authority does in its
// challenge. Every node can answer the check of another node, because the answer depends only
// on a key that all nodes have.
type reach struct {
	key     []byte
	client  *http.Client // for the hosts of domains
	own     *http.Client // for the host of the operator
	ownHost string
	lookUp  func(ctx context.Context, host string) ([]string, error)
	port    int
}

func newReach(key []byte, opts *Options) reach {
	resolver := net.DefaultResolver
	if dns := opts.DNS; dns != "" {
		resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, dns)
		}}
	}
	client := func(dialer net.Dialer) *http.Client {
		dialer.Resolver = resolver
		return &http.Client{
			Timeout:       reachTimeout,
			Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return reach{
		key: key, port: opts.HTTPPort, lookUp: resolver.LookupHost,
		client: client(net.Dialer{Control: opts.Control}), own: client(net.Dialer{}), ownHost: opts.DefaultHost,
	}
}

// check returns an error if the authority would not reach this server at host. The text of the
// error is for the operator.
func (c *reach) check(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	addrs, err := c.lookUp(ctx, host)
	if err != nil {
		return fmt.Errorf("%s has no address in the DNS: %w", host, err)
	}
	found := strings.Join(addrs, ", ")
	token := rand.Text()
	url := "http://" + net.JoinHostPort(host, strconv.Itoa(c.port)) + reachPath + token
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Host = host
	client := c.client
	if host == c.ownHost {
		client = c.own
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("port %d of %s (%s) does not answer: %w", c.port, host, found, errors.Unwrap(err))
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 256))
	if err != nil || response.StatusCode != http.StatusOK || !hmac.Equal(answer, c.answer(token)) {
		return fmt.Errorf("port %d of %s (%s) is not this server: it answered with status %d", c.port, host, found, response.StatusCode)
	}
	return nil
}

// answer returns the right answer to a token.
func (c *reach) answer(token string) []byte {
	mac := hmac.New(sha256.New, c.key)
	_, _ = io.WriteString(mac, token)
	return hex.AppendEncode(nil, mac.Sum(nil))
}

// serve answers the check of a node.
func (c *reach) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(c.answer(strings.TrimPrefix(r.URL.Path, reachPath)))
}

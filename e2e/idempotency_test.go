//go:build unix

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// cutter is a TCP proxy that resets every connection after a random number of bytes, both
// directions counted together. A seed makes the numbers repeatable.
type cutter struct {
	url      string
	upstream string
	listener net.Listener
	open     sync.WaitGroup
	cuts     atomic.Int64

	mu     sync.Mutex
	random *rand.Rand
}

// mostBytes is the most bytes of one connection: enough for a few creates. Connections are
// therefore cut within requests, within responses and between them.
const mostBytes = 4000

func newCutter(t *testing.T, upstream string, seed uint64) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{
		url: "http://" + l.Addr().String(), listener: l, random: rand.New(rand.NewPCG(seed, 1)),
		upstream: strings.TrimPrefix(upstream, "http://"),
	}
	c.open.Go(c.accept)
	t.Cleanup(func() {
		_ = l.Close()
		c.open.Wait()
	})
	return c
}

func (c *cutter) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", c.upstream)
		if err != nil {
			_ = client.Close()
			continue
		}
		c.mu.Lock()
		var left atomic.Int64
		left.Store(1 + c.random.Int64N(mostBytes))
		c.mu.Unlock()
		c.open.Go(func() { c.carry(server, client, &left) })
		c.open.Go(func() { c.carry(client, server, &left) })
	}
}

// carry copies from one side to the other until left is 0, and then resets both.
func (c *cutter) carry(to, from net.Conn, left *atomic.Int64) {
	defer func() {
		for _, conn := range []net.Conn{to, from} {
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	}()
	buffer := make([]byte, mostBytes)
	for {
		n, err := from.Read(buffer)
		rest := left.Add(-int64(n))
		if rest < 0 {
			n = max(0, n+int(rest))
		}
		if _, werr := to.Write(buffer[:n]); err != nil || werr != nil {
			return
		}
		if rest <= 0 {
			c.cuts.Add(1)
			return
		}
	}
}

const stubbornWorkers = 50

// TestRetriesMakeOneLink checks that each of 1000 creates with an Idempotency-Key makes one
// link. 50 workers repeat them at random over connections that are cut. Some repeats run at
// the same time, and some come after the response.
func TestRetriesMakeOneLink(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		node := start(t)
		token := strings.TrimPrefix(node.newKey("links:read,links:write", "--limit", "off")[1], "TERSE_API_KEY=")
		stubborn(t, token, node)
	})
	t.Run("shards", func(t *testing.T) {
		t.Parallel()
		f := newFleet(t, 2, testenv.ClusterOptions{})
		stubborn(t, f.newKey(0), f.serve(), f.serve())
	})
}

// stubborn makes the links through nodes and counts them.
func stubborn(t *testing.T, token string, nodes ...*program) {
	const seed = 20260101
	creates := int64(testenv.Rounds(1000))
	cutters := make([]*cutter, len(nodes))
	for i, node := range nodes {
		cutters[i] = newCutter(t, node.url, seed+uint64(i))
	}
	var (
		wg       sync.WaitGroup
		next     atomic.Int64
		attempts atomic.Int64
		codes    sync.Map // the code of the first response, by target
	)
	deadline := time.Now().Add(10 * time.Minute)
	for worker := range stubbornWorkers {
		wg.Go(func() {
			c := client(t)
			random := rand.New(rand.NewPCG(seed, uint64(worker)))
			for i := next.Add(1); i <= creates; i = next.Add(1) {
				target := targetOf(fmt.Sprint(i))
				for again := true; again && time.Now().Before(deadline); {
					var tries sync.WaitGroup
					var answered atomic.Bool
					for range 1 + random.IntN(5)/4 { // sometimes two at once
						via := cutters[random.IntN(len(cutters))].url
						tries.Go(func() {
							attempts.Add(1)
							code, err := createOnce(c, via, token, fmt.Sprint("create ", i), target)
							if err != nil {
								return
							}
							answered.Store(true)
							if first, _ := codes.LoadOrStore(target, code); first != code {
								t.Errorf("create %d made %v and %s, want one link", i, first, code)
							}
						})
					}
					tries.Wait()
					again = !answered.Load() || random.IntN(4) == 0
				}
			}
		})
	}
	wg.Wait()
	got := ownLinks(t, nodes[0], token)
	cuts := int64(0)
	for _, c := range cutters {
		cuts += c.cuts.Load()
	}
	t.Logf("%d creates took %d attempts; %d connections were cut", creates, attempts.Load(), cuts)
	if int64(len(got)) != creates || cuts < creates/4 {
		t.Errorf("%d links and %d cut connections, want %d links and at least %d cuts", len(got), cuts, creates, creates/4)
	}
	for i := range creates {
		target := targetOf(fmt.Sprint(i + 1))
		if code, ok := codes.Load(target); !ok || got[code.(string)] != target {
			t.Errorf("create %d returned %v, which redirects to %q, want %s", i+1, code, got[fmt.Sprint(code)], target)
		}
	}
}

// createOnce creates a link, with a token and a key unless they are empty. It returns an
// error without a 201.
func createOnce(c *http.Client, base, token, key, target string) (code string, err error) {
	body, err := json.Marshal(map[string]string{"url": target})
	if err != nil {
		return "", err
	}
	request, err := http.NewRequest(http.MethodPost, base+"/api/v1/links", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	var l struct{ Code string }
	if response.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("create = %d, want 201", response.StatusCode)
	}
	err = json.NewDecoder(response.Body).Decode(&l)
	return l.Code, err
}

// ownLinks returns the targets of all links of a key, by code.
func ownLinks(t *testing.T, node *program, token string) map[string]string {
	t.Helper()
	c := client(t)
	links := map[string]string{}
	for cursor := ""; ; {
		request, err := http.NewRequest(http.MethodGet, node.url+"/api/v1/links?limit=300&cursor="+url.QueryEscape(cursor), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := c.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		var page struct {
			Links []struct{ Code, URL string }
			Next  string `json:"next_cursor"`
		}
		if err != nil || response.StatusCode != http.StatusOK || json.Unmarshal(text, &page) != nil {
			t.Fatalf("list = %d, %v: %s", response.StatusCode, err, text)
		}
		for _, l := range page.Links {
			links[l.Code] = l.URL
		}
		if cursor = page.Next; cursor == "" {
			return links
		}
	}
}

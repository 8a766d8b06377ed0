//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/internal/testenv/audit"
)

// perBatch is the number of links in one batch call.
const perBatch = 1000

// createAttempts is how often a batch of links is sent at most.
const createAttempts = 5

// coldTimes is the number of cold links as a multiple of the option -links. The crowd visits
// the cold links in turn, so each has left every cache before its next visit. The number of
// hot links is half of -links; the crowd visits them all the time.
const coldTimes = 50

func (o *options) hotLinks() int  { return max(1, o.links/2) }
func (o *options) coldLinks() int { return coldTimes * o.links }

// The kinds of the mix, from the most to the least important.
const (
	hot = iota
	cold
	creates
	lists
)

func redirectKinds(kind int) bool { return kind == hot || kind == cold }

// newMix returns a crowd that sends the mix to the first node.
func (s *scene) newMix() (*crowd, error) {
	if err := s.seedMix(); err != nil {
		return nil, err
	}
	host := strings.TrimPrefix(s.state.Nodes[0].URL, "http://")
	return newCrowd(host, connections, mix(&s.o, host, s.state.APIKey)), nil
}

// mix returns all kinds of requests, for a host and an API key.
func mix(o *options, host, key string) []kind {
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" }
	visit := func(code string) question {
		return question{[]byte(get("/"+code) + "\r\n"), "302", audit.TargetOf(code)}
	}
	list := question{[]byte(get("/api/v1/links?limit=100") + "Authorization: Bearer " + key + "\r\n\r\n"), "200", ""}
	var visited, created atomic.Int64
	return []kind{
		hot:  {"cached redirects", 70, func() question { return visit(hotCode(rand.IntN(o.hotLinks()))) }}, //nolint:gosec // not a secret
		cold: {"other redirects", 20, func() question { return visit(coldCode(int(visited.Add(1)) % o.coldLinks())) }},
		creates: {"creates", 8, func() question {
			body := fmt.Sprintf(`{"url":"https://example.com/new/%d"}`, created.Add(1))
			return question{fmt.Appendf(nil, "POST /api/v1/links HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", host, len(body), body), "201", ""}
		}},
		lists: {"lists", 2, func() question { return list }},
	}
}

func hotCode(n int) string  { return fmt.Sprintf("hot-%d", n) }
func coldCode(n int) string { return fmt.Sprintf("cold-%d", n) }

// seedMix creates the links of the mix, and then empties Redis.
func (s *scene) seedMix() error {
	var codes []string
	for n := range s.o.hotLinks() {
		codes = append(codes, hotCode(n))
	}
	for n := range s.o.coldLinks() {
		codes = append(codes, coldCode(n))
	}
	links := make([]newLink, len(codes))
	for i, code := range codes {
		links[i] = newLink{code, audit.TargetOf(code)}
	}
	if err := s.create(s.state.APIKey, links); err != nil {
		return err
	}
	o, err := redis.ParseURL(s.state.Redis)
	if err != nil {
		return err
	}
	client := redis.NewClient(o)
	defer func() { _ = client.Close() }()
	return client.FlushAll(s.ctx).Err()
}

// newLink is a link to create.
type newLink struct {
	Alias string `json:"alias"`
	URL   string `json:"url"`
}

// create creates links on the first node, in batches, with an API key.
func (s *scene) create(key string, links []newLink) error {
	a, err := audit.New(audit.Options{Token: key, DSNs: []string{s.state.Shards[0].DSN}, Connections: seeders, ShardOf: func(string) int { return 0 }})
	if err != nil {
		return err
	}
	defer a.Close()
	s.log("creating %d links", len(links))
	var group errgroup.Group
	group.SetLimit(4)
	for some := range slices.Chunk(links, perBatch) {
		group.Go(func() error {
			var err error
			for range createAttempts { // a busy node may close a connection
				got, failed := a.Send(s.ctx, "POST", s.state.Nodes[0].URL+"/api/v1/links/batch", map[string]any{"links": some}, a.Authorization()...)
				if err = failed; err == nil && got.Status != 200 {
					err = fmt.Errorf("status of a batch create = %d", got.Status)
				}
				if err == nil || s.ctx.Err() != nil {
					break
				}
			}
			return err
		})
	}
	return group.Wait()
}

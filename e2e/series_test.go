//go:build unix

package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/internal/testenv"
)

// TestHostileRequestsMakeNoSeries checks that hostile requests add no metric series and no
// goroutines to a process.
func TestHostileRequestsMakeNoSeries(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	p := start(t, "TERSE_REDIS_URL="+redis.URL(), "TERSE_TRUSTED_PROXIES=127.0.0.0/8")
	testenv.Await(t, "the Redis channel", func() bool { return p.metric("terse_redis_channel_up") == 1 })
	c := client(t)
	code, err := shorten(c, p.url, "https://example.com/")
	must(t, err)
	send := func(method, path, body string, headers ...string) {
		r, err := http.NewRequest(method, p.url+path, strings.NewReader(body))
		must(t, err)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
			if headers[i] == "Host" {
				r.Host = headers[i+1]
			}
		}
		response, err := c.Do(r)
		must(t, err)
		must(t, response.Body.Close())
	}
	kinds := map[string]func(n string){
		"methods":     func(n string) { send("METHOD"+n, "/"+code, "") },
		"resources":   func(n string) { send("METHOD"+n, "/api/v1/links", "") },
		"codes":       func(n string) { send("GET", "/code-"+n, "") },
		"paths":       func(n string) { send("GET", "/path/"+n+"/x", "") },
		"API paths":   func(n string) { send("GET", "/api/"+n, "") },
		"links":       func(n string) { send("GET", "/api/v1/links/"+n, "") },
		"static":      func(n string) { send("GET", "/static/"+n, "") },
		"queries":     func(n string) { send("GET", "/"+code+"?"+n+"="+n, "") },
		"hosts":       func(n string) { send("GET", "/"+code, "", "Host", n+".example") },
		"agents":      func(n string) { send("GET", "/"+code, "", "User-Agent", n, "Referer", "https://"+n+".example/") },
		"clients":     func(n string) { send("GET", "/unknown", "", "X-Forwarded-For", "2001:db8:"+n[1:]+"::1") },
		"request ids": func(n string) { send("GET", "/"+code, "", "X-Request-Id", n, "Traceparent", n) },
		"keys":        func(n string) { send("GET", "/api/v1/links", "", "Authorization", "Bearer tk_"+n) },
		"bodies":      func(n string) { send("POST", "/api/v1/links", `{"`+n+`":1}`, "Content-Type", "application/json") },
		"types":       func(n string) { send("POST", "/api/v1/links", n, "Content-Type", "text/"+n) },
		"repetitions": func(n string) {
			send("POST", "/api/v1/links", `{"url":"javascript:`+n+`"}`, "Content-Type", "application/json", "Idempotency-Key", n)
		},
		"passwords": func(n string) {
			send("POST", "/"+code, "password="+n, "Content-Type", "application/x-www-form-urlencoded")
		},
	}
	size := func() (series int, goroutines float64) {
		_, text := p.ask("/metrics")
		return strings.Count(text, "\n"), p.metric("go_goroutines")
	}
	storm := func(round string, times int) {
		for _, kind := range kinds {
			for i := range 100 {
				kind(fmt.Sprintf("%s%02d", round, i))
			}
		}
		request := func(method, path, host string) string {
			return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, path, host)
		}
		flood(t, p, 1000/times, func(i int) string { return request(fmt.Sprint("METHOD", round, i), "/"+code, "x") })
		flood(t, p, testenv.Rounds(100_000)/times, func(i int) string {
			return request("GET", fmt.Sprintf([]string{"/%s-%d", "/%s/%d", "/api/%s/%d", "/static/%s-%d"}[i%4], round, i), "x")
		})
		flood(t, p, testenv.Rounds(10_000)/times, func(i int) string { return request("GET", "/"+code, fmt.Sprintf("%s%d.example", round, i)) })
		c.CloseIdleConnections()
		testenv.Await(t, "the connections to be closed", func() bool { return p.metric("terse_http_connections") == 0 })
	}
	storm("a1", 100)
	series, goroutines := size()
	storm("a2", 1)
	testenv.Await(t, "the number of goroutines to fall to its first value", func() bool {
		_, now := size()
		return now <= goroutines+goroutinesMayVary
	})
	after, now := size()
	t.Logf("%d lines of metrics and %v goroutines, %d and %v after another storm", series, goroutines, after, now)
	if after != series || series < 100 {
		t.Errorf("/metrics has %d lines after another storm, %d before", after, series)
	}
}

// goroutinesMayVary is the number of goroutines that start and end without requests.
const goroutinesMayVary = 8

// flood sends n requests over a few connections. It sends the next request before the
// response to the last one arrives.
func flood(t *testing.T, p *program, n int, request func(i int) string) {
	t.Helper()
	const connections, ahead = 8, 64
	var group errgroup.Group
	for c := range connections {
		conn := p.dial()
		must(t, conn.SetDeadline(time.Now().Add(5*time.Minute)))
		sent := make(chan struct{}, ahead)
		group.Go(func() error {
			defer close(sent)
			for i := c; i < n; i += connections {
				if _, err := io.WriteString(conn, request(i)); err != nil {
					return err
				}
				sent <- struct{}{}
			}
			return nil
		})
		group.Go(func() (err error) {
			defer func() {
				_ = conn.Close() // ends the sender, which may be blocked
				for range sent {
				}
			}()
			answers := bufio.NewReader(conn)
			for range sent {
				response, err := http.ReadResponse(answers, nil)
				if err != nil {
					return fmt.Errorf("answer: %w", err)
				}
				_, err = io.Copy(io.Discard, response.Body)
				if err := errors.Join(err, response.Body.Close()); err != nil {
					return fmt.Errorf("body of the answer: %w", err)
				}
				if response.StatusCode >= 500 {
					return fmt.Errorf("answer = %s, want no 5xx", response.Status)
				}
			}
			return nil
		})
	}
	must(t, group.Wait())
}

//go:build unix

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	testservers "github.com/terse/terse/store/storetest/servers"
)

// TestHostileRequestsMakeNoSeries holds that the metrics of a process do not grow
// with what strangers send.
func TestHostileRequestsMakeNoSeries(t *testing.T) {
	t.Parallel()
	redis := testservers.NewRedis(t, testservers.RedisOptions{})
	p := start(t, filepath.Join(t.TempDir(), "data"), "TERSE_REDIS_URL="+redis.URL(), "TERSE_TRUSTED_PROXIES=127.0.0.0/8")
	await(t, backWithin, "the channel", func() bool { return p.metric("terse_redis_channel_up") == 1 })
	c := client()
	defer c.CloseIdleConnections()
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
	storm := func(round string) {
		for _, kind := range kinds {
			for i := range 100 {
				kind(fmt.Sprintf("%s%02d", round, i))
			}
		}
	}
	series := func() (lines int) {
		_, text := p.ask("/metrics")
		return bytes.Count([]byte(text), []byte("\n"))
	}
	storm("a1")
	before := series()
	storm("a2")
	if after := series(); after != before || before < 100 {
		t.Errorf("/metrics has %d lines after another storm, %d before", after, before)
	}
}

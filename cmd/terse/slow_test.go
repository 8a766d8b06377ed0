//go:build unix

package main

import (
	"flag"
	"io"
	"net"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

var slowClients = flag.Int("slow-clients", 1000, "how many connections TestSlowClientsTakeLittle opens; 10000 need as many open files")

// mostPerConnection is what a connection may take while its client is slow to send a
// head of 12 KiB: what the README says, and half as much for what the heap happens to
// have at the moment. The race detector takes several times that.
func mostPerConnection() float64 {
	const most = 60 << 10
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return 4 * most
	}
	return most
}

// TestSlowClientsTakeLittle holds what the memory of one slow client is, by which
// TERSE_MAX_CONNECTIONS bounds that of all, and that others are served meanwhile.
func TestSlowClientsTakeLittle(t *testing.T) {
	t.Parallel()
	p := start(t, filepath.Join(t.TempDir(), "data"))
	c := client()
	defer c.CloseIdleConnections()
	code, err := shorten(c, p.url, "https://example.com/")
	must(t, err)
	memory := func() float64 { return p.metric("process_resident_memory_bytes") }
	before := memory()
	head := "GET /" + code + " HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("a", 12<<10)
	held := make([]net.Conn, *slowClients)
	for i := range held {
		held[i] = p.dial()
		if _, err := io.WriteString(held[i], head); err != nil {
			t.Fatal(err)
		}
	}
	open := 0.0
	await(t, 20*time.Second, "the connections", func() bool {
		open = p.metric("terse_http_connections")
		return open >= float64(*slowClients)/2 // the first are closed again already, when there are many
	})
	most := memory()
	if got := location(t, c, p.url, code); got != "https://example.com/" {
		t.Errorf("Location beside %d slow clients = %q", *slowClients, got)
	}
	each := (most - before) / open
	t.Logf("%v slow clients take %.0f MiB, %.1f KiB each", open, (most-before)/(1<<20), each/(1<<10))
	if most := mostPerConnection(); each > most {
		t.Errorf("a slow client takes %.0f KiB, want %.0f at most", each/(1<<10), most/(1<<10))
	}
	await(t, backWithin, "slow clients to be closed", func() bool { return p.metric("terse_http_connections") <= 1 })
}

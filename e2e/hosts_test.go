//go:build unix

package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// spelling is a Host header of a raw request.
type spelling struct {
	host   string // as it is sent
	domain string // the primary host of the only domain that may answer; empty for none
	must   bool   // whether that domain must answer
}

// spellings returns more than a thousand spellings of the hosts of domains, and of no host.
func spellings(domains map[string]string) (all []spelling) {
	for host, domain := range domains {
		for mask := range 64 { // the case of the first six letters
			text := []byte(host)
			for i := range min(6, len(text)) {
				if mask&(1<<i) != 0 && text[i] >= 'a' && text[i] <= 'z' {
					text[i] -= 'a' - 'A'
				}
			}
			for _, end := range []string{"", ".", ":80", ".:8080"} {
				all = append(all, spelling{string(text) + end, domain, true})
			}
		}
		for _, same := range []string{host + "..", host + ":", host + ":443", host + ":65535", host + ":0", host + ":00080"} {
			all = append(all, spelling{same, domain, false})
		}
		for i := range host { // one character by its percent-encoding
			all = append(all, spelling{fmt.Sprintf("%s%%%02x%s", host[:i], host[i], host[i+1:]), domain, false})
		}
		for _, text := range []string{
			host + ":65536", host + ":-1", host + ":8a", host + ":80:80", host + "::1", ":" + host, "." + host, "-" + host, "_" + host, host + "-", host + ".evil.example",
			host + "@evil.example", "evil.example@" + host, "a:b@" + host, host + "%00", host + "%00.evil.example", host + "%2f", host + "%20", host + "%25", host + "%", host + "%zz",
			host + "\x00", "\x00" + host, host + "\x00.evil.example", host + "\t", host + "/", host + "/x", host + "?", host + "#", host + "\\", host + ",evil.example", host + ", " + host, host + " " + host,
			"http://" + host, "//" + host, "[" + host + "]", host + "]", strings.ReplaceAll(host, ".", ".."), strings.ReplaceAll(host, ".", "\u3002"), strings.ReplaceAll(host, ".", "\uff0e"),
			strings.ReplaceAll(host, "e", "\u0435"), strings.ReplaceAll(host, "o", "\uff4f"), strings.ReplaceAll(host, ".", "\u00ad."), host + "\u200b", "x" + host, host + "x", strings.Repeat("a", 64) + "." + host, strings.Repeat("a.", 130) + host,
			strings.Repeat("x", 5000) + host, host + strings.Repeat(".", 300), strings.Repeat("\u00fc", 70) + "." + host, "xn--" + host, "xn--a." + host, "*." + host, "*" + host,
		} {
			all = append(all, spelling{text, domain, false})
		}
	}
	for _, none := range []string{
		"", ".", "..", ":", ":80", "@", "%", "[", "]", "[]", "[:", "[::1", "::1]", "[::1]", "[::1]:80", "[::1]x", "[::ffff:127.0.0.1]", "[fe80::1%25eth0]", "[v1.a]", "::1", "127.0.0.1", "127.1",
		"0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.1.", "0", "0.0.0.0", "localhost", "localhost.", "a", "com", "co.uk", "evil.example", "*.links.example", "*", "links.example", "example.com", "www.go.example.com",
		"a.b.links.example", ".links.example", "-.links.example", "b\u00fccher.example.evil.example", "xn--bcher-kvb.example", "xn--.example", "xn--\u00fc.example", "k7Qx9mB2a", "k7Qx9mB2a/spring",
	} {
		domain := ""
		if strings.HasSuffix(none, ".links.example") && strings.Count(none, ".") == 2 {
			domain = "wild.example" // some texts for the wildcard label
		}
		all = append(all, spelling{none, domain, false})
	}
	return append(all, spelling{"b\u00fccher.example", "xn--bcher-kva.example", false}, spelling{"B%C3%9CCHER.example", "xn--bcher-kva.example", false}, spelling{"xn--BCHER-KVA.example", "xn--bcher-kva.example", true})
}

// TestSpellingsOfHosts sends raw requests with more than a thousand spellings of hosts. Each leads to
// one domain, or is answered 400 or 421: never to the link of another domain, and never by a 5xx.
func TestSpellingsOfHosts(t *testing.T) {
	t.Parallel()
	const base = "sho.rt"
	node := start(t, "TERSE_BASE_URL=http://"+base)
	token := strings.TrimPrefix(node.newKey("admin,links:write")[1], "TERSE_API_KEY=")
	post := func(path, body string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+node.Addr()+path, strings.NewReader(body))
		must(t, err)
		r.Host = base
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := client(t).Do(r)
		must(t, err)
		text, err := io.ReadAll(response.Body)
		must(t, errors.Join(err, response.Body.Close()))
		if response.StatusCode != http.StatusCreated {
			t.Fatalf("POST %s %s = %d %s", path, body, response.StatusCode, text)
		}
	}
	for _, hosts := range []string{`"go.example.com"`, `"xn--bcher-kva.example"`, `"wild.example","aliases":["*.links.example"]`} {
		post("/api/v1/domains", `{"verified":true,"host":`+hosts+`}`)
	}
	domains := map[string]string{base: base, "go.example.com": "go.example.com", "xn--bcher-kva.example": "xn--bcher-kva.example", "any.links.example": "wild.example"}
	for _, domain := range domains {
		post("/api/v1/links", `{"alias":"spring","url":"https://example.com/`+domain+`","domain":"`+domain+`"}`)
	}
	all := spellings(domains)
	if len(all) < 1000 {
		t.Fatalf("%d spellings, want at least 1000", len(all))
	}
	work := make(chan spelling)
	var checking sync.WaitGroup
	for range 8 {
		checking.Go(func() {
			for s := range work {
				node.wantDomain(s, "GET /spring HTTP/1.1\r\nHost: "+s.host+"\r\n")
				if !s.must && s.host != "" && s.host != "@" { // without a host in the target, the header counts
					node.wantDomain(s, "GET http://"+s.host+"/spring HTTP/1.1\r\nHost: "+base+"\r\n")
				}
			}
		})
	}
	for _, s := range all {
		work <- s
	}
	close(work)
	checking.Wait()
	for _, request := range []string{ // not one host
		"GET /spring HTTP/1.1\r\n", "GET /spring HTTP/1.1\r\nHost: go.example.com\r\nHost: sho.rt\r\n",
		"GET /spring HTTP/1.0\r\n", "GET /spring HTTP/1.1\r\nHost : go.example.com\r\n", "GET /spring HTTP/1.1\r\n Host: go.example.com\r\n",
	} {
		node.wantDomain(spelling{}, request)
	}
}

// wantDomain sends the beginning of a request for the link spring, and checks which domain answers.
func (p *program) wantDomain(s spelling, request string) {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		p.t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, request+"Connection: close\r\n\r\n"); err != nil {
		p.t.Errorf("%.200q: %v", request, err)
		return
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		p.t.Errorf("%.200q: %v", request, err)
		return
	}
	_ = response.Body.Close()
	location := response.Header.Get("Location")
	absolute := strings.HasPrefix(request, "GET http:")
	domain, err := url.PathUnescape(strings.TrimPrefix(location, "https://example.com/"))
	switch status := response.StatusCode; {
	case err != nil:
		p.t.Errorf("%.200q leads to %q", request, location)
	case status == http.StatusFound && s.domain != "" && domain == s.domain:
	case status == http.StatusFound:
		p.t.Errorf("%.200q leads to the link of %s, want %q", request, domain, s.domain)
	case s.must && !absolute, status != http.StatusBadRequest && status != http.StatusMisdirectedRequest && (!absolute || status != http.StatusNotFound):
		p.t.Errorf("%.200q = %d, want 400 or 421, or the link of %q", request, status, s.domain)
	}
}

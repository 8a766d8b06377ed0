package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/api"
	"github.com/terse/terse/api/overload"
)

// fill takes all the room of a class and returns what gives it back.
func (s *server) fill(c overload.Class) (free func()) {
	s.t.Helper()
	var all []func(bool)
	for {
		done, err := s.guard.Admit(c)
		if err != nil {
			return func() {
				for _, done := range all {
					done(false)
				}
				s.clock.add(time.Second) // past the moment for which it counts as full
			}
		}
		all = append(all, done)
	}
}

// shed checks that an answer is that of refused work.
func (a answer) shed(what string) {
	a.t.Helper()
	after := a.header.Get("Retry-After")
	if a.status != http.StatusServiceUnavailable || !slices.Contains([]string{"1", "2", "3"}, after) || a.header.Get("Cache-Control") != "no-store" {
		a.t.Errorf("%s = %d, Retry-After %q, Cache-Control %q, want 503, 1 to 3, no-store", what, a.status, after, a.header.Get("Cache-Control"))
	}
}

// TestShedding holds that a class without room refuses its own work and that of less
// important ones, and that links in memory redirect whatever happens.
func TestShedding(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.owner("owner")
	var codes []string
	for range 4 {
		codes = append(codes, s.create(`{"url":"https://example.com/"}`, owner...).Code)
	}
	report := func() answer { return s.get("/api/v1/links", owner...) }
	write := func() answer { return s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/"}`) }
	form := func() answer {
		return s.do(http.MethodPost, "/", []byte("url=https://example.com/"), "Content-Type", "application/x-www-form-urlencoded")
	}
	read := func() answer { return s.get("/api/v1/links/"+codes[0], owner...) }
	cold := func() answer { return s.get("/never-heard-of") }
	status := func(what string, a answer, want int) {
		t.Helper()
		if a.status != want {
			t.Errorf("%s = %d %.200s, want %d", what, a.status, a.body, want)
		}
	}
	hot := func(when string) {
		t.Helper()
		for _, code := range codes {
			status("a link in memory, "+when, s.get("/"+code), http.StatusFound)
		}
	}
	hot("at first")

	free := s.fill(overload.Report)
	report().shed("a list without room for lists")
	status("a create without room for lists", write(), http.StatusCreated)
	status("a read without room for lists", read(), http.StatusOK)
	status("a cold redirect without room for lists", cold(), http.StatusNotFound)
	status("the document without room for lists", s.get("/api/openapi.json"), http.StatusOK)
	free()
	status("a list with room again", report(), http.StatusOK)

	free = s.fill(overload.Write)
	report().shed("a list without room for creates")
	write().shed("a create without room for creates")
	form().shed("the form without room for creates")
	read().shed("a read without room for creates")
	status("a cold redirect without room for creates", s.get("/never-heard-of-2"), http.StatusNotFound)
	hot("without room for creates")
	free()
	status("a create with room again", write(), http.StatusCreated)
	status("a list with room again", report(), http.StatusOK)

	for _, class := range []overload.Class{overload.Miss, overload.Redirect} {
		free = s.fill(class)
		hot("without room for cold ones")
		report().shed("a list without room for redirects")
		write().shed("a create without room for redirects")
		s.get("/never-heard-of-3").shed("a cold redirect without room")
		free()
	}
	status("a cold redirect with room again", s.get("/never-heard-of-3"), http.StatusNotFound)
	status("a create with room again", write(), http.StatusCreated)
}

// TestPasswordsLeaveRoom holds that creates which wait for their password to be
// hashed are refused before they take the places of all others.
func TestPasswordsLeaveRoom(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *api.Options) { o.PasswordCost = 8 })
	clients := [][]string{s.owner("one"), s.owner("two")} // each may have fewer hashed than are taken on
	statuses := make(chan int, 50)
	for i := range cap(statuses) {
		go func() {
			statuses <- s.do(http.MethodPost, "/api/v1/links", []byte(`{"url":"https://example.com/","password":"a long one"}`),
				append([]string{"Content-Type", "application/json"}, clients[i%2]...)...).status
		}()
	}
	seen := map[int]int{}
	for range cap(statuses) {
		seen[<-statuses]++
	}
	if seen[http.StatusCreated] == 0 || seen[http.StatusServiceUnavailable] == 0 || len(seen) != 2 {
		t.Errorf("of %d creates with a password at once: %v, want some 201 and the rest 503", cap(statuses), seen)
	}
}

// begin sends the head of a create.
func (s *server) begin(length int) net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	must(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	must(s.t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = fmt.Fprintf(conn, "POST /api/v1/links HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", length)
	must(s.t, err)
	return conn
}

func status(t *testing.T, conn net.Conn) int {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	must(t, response.Body.Close())
	return response.StatusCode
}

// TestShedsBeforeTheBody holds that what will be refused is refused before its body
// is there, and that whoever is slow to send one takes nobody's place.
func TestShedsBeforeTheBody(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const body = `{"url":"https://example.com/"}`
	slow := s.begin(len(body))
	if got := status(t, slow); got != http.StatusContinue { // it is being read
		t.Errorf("the head of a create = %d, want 100", got)
	}
	free := s.fill(overload.Redirect)
	if got := status(t, s.begin(1000)); got != http.StatusServiceUnavailable {
		t.Errorf("a create without a body = %d, want 503 before the body", got)
	}
	free()
	_, err := io.WriteString(slow, body)
	must(t, err)
	if got := status(t, slow); got != http.StatusCreated {
		t.Errorf("a create whose body came late = %d, want 201", got)
	}
}

// TestBodiesAreBounded holds that bodies which do not end take no more memory
// together than they may.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const most = 1 << 20
	part := bytes.Repeat([]byte{' '}, most-1)
	var held []net.Conn
	defer func() {
		for _, conn := range held {
			_ = conn.Close()
		}
	}()
	refused := make(chan int, 70)
	for range cap(refused) { // of which 64 find room
		conn := s.begin(most)
		held = append(held, conn)
		go func() { // the answer may come before the whole body is sent
			_, _ = conn.Write(part)
		}()
		go func() {
			for answers := bufio.NewReader(conn); ; {
				response, err := http.ReadResponse(answers, nil)
				if err != nil {
					return
				}
				_ = response.Body.Close()
				if response.StatusCode != http.StatusContinue {
					refused <- response.StatusCode
				}
			}
		}()
	}
	select {
	case got := <-refused:
		if got != http.StatusServiceUnavailable {
			t.Errorf("a body too many = %d, want 503", got)
		}
	case <-time.After(20 * time.Second):
		t.Error("of 70 bodies of a MiB none was refused")
	}
	for _, conn := range held {
		must(t, conn.Close())
	}
	deadline := time.Now().Add(30 * time.Second)
	for s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/"}`).status != http.StatusCreated {
		if time.Now().After(deadline) {
			t.Fatal("no create succeeds once the bodies are gone")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

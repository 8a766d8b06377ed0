//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// connection is a keep-alive connection to a server.
type connection struct {
	address string
	conn    net.Conn // nil without a connection
	reader  *bufio.Reader
}

// reply is the part of a response that a crowd checks.
type reply struct {
	status     string
	location   string // target of a redirect
	retryAfter uint8  // in seconds; 0 without the header
}

// exchange sends a request and reads the whole response, until a deadline. After an error it
// closes the connection.
func (c *connection) exchange(request []byte, until time.Time) (reply, error) {
	if err := c.connect(until); err != nil {
		return reply{}, err
	}
	got, keep, err := c.roundTrip(request, until)
	if err != nil || !keep {
		c.close()
	}
	return got, err
}

func (c *connection) connect(until time.Time) error {
	if c.conn != nil {
		return nil
	}
	conn, err := (&net.Dialer{Deadline: until}).Dial("tcp", c.address)
	if err != nil {
		return err
	}
	c.conn, c.reader = conn, bufio.NewReader(conn)
	return nil
}

func (c *connection) roundTrip(request []byte, until time.Time) (got reply, keep bool, err error) {
	if err := c.conn.SetDeadline(until); err != nil {
		return got, false, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return got, false, err
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return got, false, err
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return got, false, err
	}
	after, err := strconv.ParseUint(answer.Header.Get("Retry-After"), 10, 8)
	if err != nil {
		after = 0
	}
	got = reply{status: answer.Status[:3], retryAfter: uint8(after)}
	if got.status == "302" {
		got.location = answer.Header.Get("Location")
	}
	return got, !answer.Close, answer.Body.Close()
}

func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// explain describes a wrong response.
func explain(kind string, got reply, err error) string {
	if err != nil {
		return fmt.Sprintf("%s: %v", kind, err)
	}
	return fmt.Sprintf("%s: %s", kind, got.status)
}

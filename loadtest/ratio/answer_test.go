//go:build unix

package main

import (
	"strings"
	"testing"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	const redirect = "HTTP/1.1 302 Found\r\nLocation: https://example.com/a\r\nContent-Length: 0\r\n\r\n"
	const created = "HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n{\"a\": 1}\n"
	for _, tt := range []struct {
		name, answer, status, location string
		fails                          bool
	}{
		{"redirect", redirect, "302", "https://example.com/a", false},
		{"created", created, "201", "", false},
		{"another status", redirect, "201", "", true},
		{"cut short", created[:len(created)-1], "201", "", true},
		{"no answer", "", "302", "", true},
	} {
		a := newAnswers(strings.NewReader(tt.answer + redirect))
		if tt.fails {
			a = newAnswers(strings.NewReader(tt.answer))
		}
		if err := a.next(tt.status); (err != nil) != tt.fails {
			t.Errorf("%s: next(%s) = %v, want an error: %v", tt.name, tt.status, err, tt.fails)
		}
		if tt.fails {
			continue
		}
		if string(a.location) != tt.location {
			t.Errorf("%s: location = %q, want %q", tt.name, a.location, tt.location)
		}
		if err := a.next("302"); err != nil {
			t.Errorf("%s: the answer after it = %v, want nil", tt.name, err)
		}
	}
}

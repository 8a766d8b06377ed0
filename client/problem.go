package client

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Problem is an error response of the server (RFC 9457).
type Problem struct {
	Type       string        `json:"type"` // stable, such as urn:terse:problem:conflict
	Title      string        `json:"title"`
	Status     int           `json:"status"` // HTTP status
	Detail     string        `json:"detail"`
	Errors     []Fault       `json:"errors"` // one entry for each invalid field
	RetryAfter time.Duration `json:"-"`      // 0 means that the server gave no time
}

// Fault is the error of one field or parameter.
type Fault struct {
	Location string `json:"location"` // such as body.url or query.from
	Message  string `json:"message"`
}

// Field returns the name of the field or parameter, such as url.
func (f *Fault) Field() string {
	return strings.TrimPrefix(strings.TrimPrefix(f.Location, "body."), "query.")
}

func (p *Problem) Error() string {
	if len(p.Errors) == 0 {
		return strings.TrimSuffix(p.Title+": "+p.Detail, ": ")
	}
	parts := make([]string, len(p.Errors))
	for i, f := range p.Errors {
		parts[i] = strings.TrimPrefix(f.Field()+": "+f.Message, ": ")
	}
	return strings.Join(parts, "; ")
}

// RejectsLink reports whether the server rejected this link only. Other problems are of the
// server or the API key, and the next links would fail too.
func (p *Problem) RejectsLink() bool {
	switch p.Status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// readProblem returns the Problem of a response without a 2xx status.
func readProblem(response *http.Response, body []byte) *Problem {
	p := &Problem{}
	if json.Unmarshal(body, p) != nil || p.Title == "" {
		*p = Problem{Title: "The server answered " + response.Status}
	}
	p.Status, p.RetryAfter = response.StatusCode, retryAfter(response.Header)
	return p
}

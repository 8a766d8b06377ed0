package web

import (
	"net/http"
	"time"
)

// Password is the view model of the page that asks for a link's password. Its form
// posts the field "password" to the page's own address.
type Password struct {
	Code       string
	Error      string        // message about the last attempt; empty for no error
	RetryAfter time.Duration // when the next attempt is allowed; 0 means now
}

// Password writes the page that asks for a link's password.
func (p *Pages) Password(w http.ResponseWriter, status int, v Password) {
	p.password.write(w, status, view{Site: p.opts, Name: "Password needed", Page: v})
}

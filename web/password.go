package web

import (
	"net/http"
	"time"
)

// Password asks for the password of a link. Its form posts the field password
// to the page's own address.
type Password struct {
	Code       string
	Error      string        // what was wrong with the last guess; empty for none
	RetryAfter time.Duration // when the next guess is taken; 0 for now
}

// Password writes the page that asks for the password of a link.
func (p *Pages) Password(w http.ResponseWriter, status int, v Password) {
	p.password.write(w, status, view{Site: p.opts, Name: "Password needed", Page: v})
}

package web

import (
	"net/http"
	"time"
)

// Password is the view model of the page that asks for the password of a link, or of shared
// statistics. Its form
// posts the field "password" to the page's own address.
type Password struct {
	Code       string
	Stats      bool          // whether the password is for shared statistics; Code is then not shown
	Error      string        // message about the last attempt; empty for no error
	RetryAfter time.Duration // when the next attempt is allowed; 0 means now
}

// Password writes the page that asks for a password.
func (p *Pages) Password(w http.ResponseWriter, status int, v Password) {
	page := &p.password
	if v.Stats {
		page = &p.statsPassword
	}
	page.write(w, status, view{Site: p.opts, Name: "Password needed", Page: v})
}

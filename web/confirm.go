package web

import "net/http"

// Confirm is the view model of the page that asks a visitor to press Continue. Its
// form posts nothing to the page's own address.
type Confirm struct {
	Code    string
	URL     string // target; the page shows only its host
	Limited bool   // whether the link has a click limit, so that Continue uses a click
}

// Host returns the host of the target, like Preview.Host.
func (v Confirm) Host() string { return hostOf(v.URL) }

// PreviewPath returns the path of the link's preview.
func (v Confirm) PreviewPath() string { return previewPath(v.Code) }

// Confirm writes the page that asks a visitor to press Continue.
func (p *Pages) Confirm(w http.ResponseWriter, status int, v Confirm) {
	p.confirm.write(w, status, view{Site: p.opts, Name: "Continue", Page: v})
}

// Package web renders the pages that people see: the form, the result, the
// preview, the password and the errors, with the style sheet, script and icons
// that they load. It knows view models and nothing of links, stores or routes:
// whoever calls it decides which page answers which request.
//
// A page is complete without JavaScript, loads nothing from another origin and
// treats every value that it is given as hostile.
package web

import (
	"errors"
	"fmt"
	"net/url"
)

// Options say what the pages speak of.
type Options struct {
	// BaseURL is what short URLs begin with, like https://sho.rt, without a
	// trailing slash. Required.
	BaseURL string

	// AnonymousCreate says whether the home page has a form. Without it, the page
	// tells how to make links with an API key.
	AnonymousCreate bool

	// MaxURLLen is the longest target in bytes. The script names it before
	// anything is sent; the server decides. Required.
	MaxURLLen int

	// Version of the program, shown in the footer. Default: "dev".
	Version string
}

func (o *Options) validate() error {
	var problems []error
	u, err := url.Parse(o.BaseURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		problems = append(problems, fmt.Errorf("web: Options.BaseURL: %q must look like https://sho.rt", o.BaseURL))
	}
	if o.MaxURLLen <= 0 {
		problems = append(problems, errors.New("web: Options.MaxURLLen: required"))
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	return errors.Join(problems...)
}

// Pages renders pages and serves what they load. Safe for concurrent use. Make
// one with New.
type Pages struct {
	opts   Options
	assets *assets

	home, preview, password, problem page
}

// New parses the templates and fingerprints the static files. It fails when
// Options are incomplete.
func New(opts Options) (*Pages, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	files, err := loadAssets()
	if err != nil {
		return nil, err
	}
	p := &Pages{
		opts:   opts,
		assets: files,
		home:   page{file: "home.html", forms: formsToSelf, referrer: "same-origin", indexed: true},
		// With no-referrer, a form would be sent with "Origin: null" (Fetch, "append a
		// request Origin header"), as if from another site. Other sites are told nothing
		// by same-origin either.
		preview:  page{file: "preview.html", forms: formsToSelf, referrer: "same-origin"},
		password: page{file: "password.html", forms: formsToTargets, referrer: "same-origin"},
		problem:  page{file: "problem.html", forms: formsToSelf, referrer: "same-origin"},
	}
	for _, page := range []*page{&p.home, &p.preview, &p.password, &p.problem} {
		if err := page.parse(p.Asset); err != nil {
			return nil, err
		}
	}
	return p, nil
}

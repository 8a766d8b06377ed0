// Package web renders the HTML pages: the form, the result, the preview, the
// password page, the statistics, the console and the error pages, and serves their style sheets,
// scripts and icons. It knows view models, but no links, stores or routes: the caller decides
// which page answers a request.
//
// Every page works without JavaScript, loads nothing from another origin, and
// escapes every value that it shows.
package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Options are the settings that all pages share.
type Options struct {
	// BaseURL is the start of every short URL, without a trailing slash, like
	// https://sho.rt. Required.
	BaseURL string

	// AppURL is the start of the addresses of the console, without a trailing slash. Default: the console is on the host
	// of these pages.
	AppURL string

	// AnonymousCreate reports whether the home page has a form. Without it, the page
	// explains how to create links with an API key.
	AnonymousCreate bool

	// MaxURLLen is the longest target in bytes, above 0. The script checks it before
	// it sends the form; the server checks it again. Required.
	MaxURLLen int

	// Name of the website, shown on every page. Default: "Terse".
	Name string

	// Contact is a mailto: or https: URI for questions of visitors, shown on every page.
	// Default: none.
	Contact string

	// Custom reports whether the pages belong to a custom domain. Such pages do not link to
	// the home page or the documentation of the API, which are on another host.
	Custom bool

	// Version of the program, shown in the footer. Default: "dev".
	Version string
}

const mailto = "mailto:"

// ContactText returns the contact as people read it: the e-mail address, or the address of the
// page without https://.
func (o Options) ContactText() string {
	return strings.TrimPrefix(strings.TrimPrefix(o.Contact, mailto), "https://")
}

func (o *Options) validate() error {
	var problems []error
	u, err := url.Parse(o.BaseURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		problems = append(problems, fmt.Errorf("web: Options.BaseURL: %q must look like https://sho.rt", o.BaseURL))
	}
	if o.MaxURLLen <= 0 {
		problems = append(problems, errors.New("web: Options.MaxURLLen is required"))
	}
	if o.Contact != "" && !strings.HasPrefix(o.Contact, mailto) && !strings.HasPrefix(o.Contact, "https://") {
		problems = append(problems, fmt.Errorf("web: Options.Contact: %q must begin with mailto: or https://", o.Contact))
	}
	o.Name = cmp.Or(o.Name, "Terse")
	if o.Version == "" {
		o.Version = "dev"
	}
	return errors.Join(problems...)
}

// Pages renders pages and serves their static files. Safe for concurrent use.
// Create one with New.
type Pages struct {
	opts   Options
	assets *assets

	home, result, preview, counted, password, confirm, problem, stats, statsPassword page

	console console
}

// New parses the templates and fingerprints the static files. It returns an error
// that joins every problem of the options.
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
		result: page{file: "home.html", forms: formsToSelf, referrer: "same-origin"},
		// With no-referrer, browsers send a form with "Origin: null", as if it came
		// from another site (Fetch, "append a request Origin header"). With same-origin,
		// other sites get no referrer either.
		preview:  page{file: "preview.html", forms: formsToSelf, referrer: "same-origin"},
		counted:  page{file: "preview.html", forms: formsToTargets, referrer: "same-origin"},
		confirm:  page{file: "confirm.html", forms: formsToTargets, referrer: "same-origin"},
		password: page{file: "password.html", forms: formsToTargets, referrer: "same-origin"},
		problem:  page{file: "problem.html", forms: formsToSelf, referrer: "same-origin"},
		stats:    page{file: "stats.html", forms: formsToSelf, referrer: "no-referrer"},

		statsPassword: page{file: "password.html", forms: formsToSelf, referrer: "no-referrer"},

		console: newConsole(),
	}
	for _, page := range append(p.console.all(), &p.home, &p.result, &p.preview, &p.counted, &p.password, &p.confirm, &p.problem, &p.stats, &p.statsPassword) {
		if err := page.parse(p.Asset); err != nil {
			return nil, err
		}
	}
	return p, nil
}

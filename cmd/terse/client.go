package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	terseclient "github.com/terse/terse/client"
)

// defaultServer is the server without TERSE_SERVER and without a login.
const defaultServer = "http://localhost:8080"

// clientFlags are the settings of every command that calls a server.
type clientFlags struct {
	Config string `placeholder:"FILE" help:"JSON file with settings." setting:""`
	Server string `placeholder:"URL" help:"The server to call. Default: the server of terse login, else http://localhost:8080." setting:""`
	APIKey string `name:"api-key" placeholder:"KEY" help:"API key. Default: the key of terse login, if it belongs to the server. Without a key you can only shorten and expand." setting:"" secret:""`

	Timeout  time.Duration `default:"30s" placeholder:"TIME" help:"How long one request may take. Default: 30s."`
	Patience time.Duration `default:"2m" placeholder:"TIME" help:"How long to retry while the server is unreachable or overloaded. Default: 2m."`
}

// open returns a client of the server. It uses what terse login saved for settings that are
// not given. A saved key is only sent to the server that it was saved for.
func (f *clientFlags) open(out output) (*terseclient.Client, error) {
	saved, err := readLogin(out.login)
	if err != nil && (f.Server == "" || f.APIKey == "") {
		return nil, settingsError{err}
	}
	f.Server = cmp.Or(f.Server, saved.Server, defaultServer)
	if f.APIKey == "" && f.Server == saved.Server {
		f.APIKey = saved.APIKey
	}
	patience := f.Patience
	if patience == 0 {
		patience = -1 // no retries
	}
	waits := &waits{w: out.stderr, server: f.Server}
	c, err := terseclient.New(terseclient.Options{
		Server: f.Server, Key: f.APIKey, Timeout: f.Timeout, Patience: patience, Version: version, Waiting: waits.report,
	})
	if err != nil {
		return nil, settingsError{err}
	}
	return c, nil
}

// reportWaitsEvery is the shortest time between two reports of waits.
const reportWaitsEvery = 30 * time.Second

// waits reports to the user what a command waits for. Safe for concurrent use.
type waits struct {
	w      io.Writer
	server string

	mu       sync.Mutex
	reported time.Time
}

// report reports a wait, at most once every reportWaitsEvery. It is a
// terseclient.Options.Waiting.
func (w *waits) report(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.reported) < reportWaitsEvery {
		return
	}
	w.reported = time.Now()
	if err == nil {
		fmt.Fprintf(w.w, "terse: waiting for an answer of %s\n", w.server)
		return
	}
	if problem, ok := errors.AsType[*terseclient.Problem](err); ok {
		err = problem
	}
	if request, ok := errors.AsType[*url.Error](err); ok {
		err = request.Err
	}
	fmt.Fprintf(w.w, "terse: %s: %v. Trying again\n", w.server, err)
}

// linkArg is the argument of a command that works on one link.
type linkArg struct {
	Link   string `arg:"" name:"code" help:"The code of the link, or its short URL."`
	Domain string `placeholder:"HOST" help:"The domain of the link. Default: the host of the short URL, or the default domain of the server."`
}

// open returns a client for the domain of the link, and the code of the link. The caller must
// close the client.
func (a *linkArg) open(f *clientFlags, out output) (api *terseclient.Client, code string, err error) {
	if api, err = f.open(out); err != nil {
		return nil, "", err
	}
	short, err := api.ParseShort(a.Link)
	switch {
	case err != nil:
	case short.Code == "":
		err = fmt.Errorf("%s has not the form of a short URL", a.Link)
	case a.Domain != "" && strings.Contains(a.Link, "/"):
		err = errors.New("--domain: works with a code only; the short URL names its domain")
	}
	if err != nil {
		api.Close()
		return nil, "", settingsError{err}
	}
	return api.OnDomain(cmp.Or(a.Domain, short.Domain)), short.Code, nil
}

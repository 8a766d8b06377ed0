package web_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/web"
)

const (
	longURL  = "https://example.com/a/very-long-path-without-a-break/very-long-path-without-a-break?q=1&r=2#part"
	password = "open sesame"
)

// site is a small server around the pages. It keeps links in memory and returns
// the product's statuses: 201, 409 for a taken alias, 422 for a bad URL.
type site struct {
	*httptest.Server
	pages *web.Pages
	keyed *web.Pages // pages of a site that creates links with API keys alone
	base  string     // start of every short URL

	mu     sync.Mutex
	fail   int               // answer to JSON creates: a status, hangUp, or 0 for success
	bodies []string          // of JSON creates, oldest first
	keys   []string          // Idempotency-Key of each JSON create
	links  map[string]string // target by code
	totals int64             // answers of total
}

func newSite(tb testing.TB) *site {
	tb.Helper()
	s := &site{links: map[string]string{}}
	mux := http.NewServeMux()
	s.Server = httptest.NewServer(mux)
	tb.Cleanup(s.Close)
	s.base = s.URL
	s.pages = newPages(tb, web.Options{BaseURL: s.URL, AnonymousCreate: true, MaxURLLen: 8192, Version: "v1.2.3"})
	s.keyed = newPages(tb, web.Options{BaseURL: s.URL, MaxURLLen: 8192})
	mux.Handle("/static/", s.pages.Static())
	mux.Handle("/favicon.ico", s.pages.Static())
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("POST /{$}", s.postForm)
	mux.HandleFunc("POST /api/v1/links", s.postJSON)
	mux.HandleFunc("GET /api/v1/links/{code}/qr", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		fmt.Fprint(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M1 1h3v3H1zM5 1h3v3H5zM1 5h3v3H1zM5 5h1v1H5zM7 7h1v1H7z"/></svg>`)
	})
	mux.HandleFunc("GET /show/{page}", s.show)
	mux.HandleFunc("GET /total", s.total)
	mux.HandleFunc("GET /landing", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html><title>landed</title>") })
	protect := http.NewCrossOriginProtection()
	mux.Handle("/once", protect.Handler(http.HandlerFunc(s.once)))
	mux.Handle("/secret", protect.Handler(http.HandlerFunc(s.secret)))
	return s
}

func newPages(tb testing.TB, opts web.Options) *web.Pages {
	tb.Helper()
	p, err := web.New(opts)
	if err != nil {
		tb.Fatalf("New(%+v): %v", opts, err)
	}
	return p
}

// create makes a link and returns its code, or an error message for each field.
func (s *site) create(target, alias string) (code string, problems map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.HasPrefix(target, "https://") {
		return "", map[string]string{"url": "must begin with http:// or https://"}
	}
	code = alias
	if code == "" {
		code = fmt.Sprintf("k7Qx%05d", len(s.links))
	}
	if s.links[code] != "" {
		return "", map[string]string{"alias": "This alias is taken. Choose another."}
	}
	s.links[code] = target
	return code, nil
}

func (s *site) postForm(w http.ResponseWriter, r *http.Request) {
	target := r.FormValue("url")
	code, problems := s.create(target, r.FormValue("alias"))
	if problems != nil {
		s.pages.Home(w, 422, web.Home{URL: target, Alias: r.FormValue("alias"), Errors: problems})
		return
	}
	http.Redirect(w, r, "/?created="+code, http.StatusSeeOther)
}

// home shows the form, or the link that it has created.
func (s *site) home(w http.ResponseWriter, r *http.Request) {
	code := r.FormValue("created")
	if code == "" {
		s.pages.Home(w, 200, web.Home{})
		return
	}
	s.mu.Lock()
	target := s.links[code]
	s.mu.Unlock()
	s.pages.Home(w, 200, web.Home{Result: &web.Result{
		Code: code, ShortURL: s.base + "/" + code, URL: target, QRPath: "/api/v1/links/" + code + "/qr",
	}})
}

func (s *site) postJSON(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in struct {
		URL, Alias string
		Title      string     `json:"title"`
		ExpiresAt  *time.Time `json:"expires_at"`
		MaxClicks  int64      `json:"max_clicks"`
		Password   string     `json:"password"`
	}
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.bodies = append(s.bodies, string(body))
	s.keys = append(s.keys, r.Header.Get("Idempotency-Key"))
	fail := s.fail
	s.mu.Unlock()
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			panic(err)
		}
	}
	switch fail {
	case hangUp:
		panic(http.ErrAbortHandler)
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "7")
		answer(429, map[string]any{"status": 429, "detail": "The limit of creates is reached."})
		return
	}
	if in.MaxClicks < 0 || len(in.URL) > 8192 || in.ExpiresAt != nil && in.ExpiresAt.IsZero() {
		errors := []any{}
		if in.MaxClicks < 0 {
			errors = append(errors, map[string]string{"location": "body.max_clicks", "message": "the message of the server"})
		}
		if !strings.HasPrefix(in.URL, "https://") {
			errors = append(errors, map[string]string{"location": "body.url", "message": "must begin with http:// or https://"})
		}
		answer(422, map[string]any{"status": 422, "errors": errors})
		return
	}
	code, problems := s.create(in.URL, in.Alias)
	switch {
	case problems["alias"] != "":
		answer(409, map[string]any{"status": 409, "detail": problems["alias"]})
	case problems != nil:
		answer(422, map[string]any{"status": 422, "errors": []any{map[string]string{"location": "body.url", "message": problems["url"]}}})
	default:
		answer(201, map[string]any{
			"code": code, "short_url": s.base + "/" + code, "url": in.URL,
			"title": in.Title, "expires_at": in.ExpiresAt, "max_clicks": in.MaxClicks, "password_protected": in.Password != "",
		})
	}
}

// hangUp is not a status: the server closes the connection without an answer.
const hangUp = -1

// failWith makes JSON creates return a status, hang up, or succeed again with 0.
// Browsers retry a request by themselves when the connection was closed.
func (s *site) failWith(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = status
}

// received returns the bodies and idempotency keys of the JSON creates.
func (s *site) received() (bodies, keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bodies), slices.Clone(s.keys)
}

// secret is a link with a password.
func (s *site) secret(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet:
		s.pages.Password(w, 200, web.Password{Code: "secret"})
	case r.FormValue("password") == password:
		http.Redirect(w, r, s.URL+"/landing", http.StatusSeeOther)
	default:
		s.pages.Password(w, 403, web.Password{Code: "secret", Error: "That is not the password of this link."})
	}
}

// once is a link whose visitors have to press Continue.
func (s *site) once(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		s.pages.Confirm(w, 200, web.Confirm{Code: "once", URL: longURL})
		return
	}
	http.Redirect(w, r, s.URL+"/landing", http.StatusSeeOther)
}

// show writes one of the pages, filled with ordinary values.
func (s *site) show(w http.ResponseWriter, r *http.Request) {
	made := time.Date(2026, 3, 14, 9, 26, 0, 0, time.UTC)
	shown := web.Preview{Code: "k7Qx9mB2a", ShortURL: s.base + "/k7Qx9mB2a", URL: longURL, Title: "Spring sale, all shops", CreatedAt: made, ExpiresAt: made.AddDate(0, 1, 0)}
	switch page := r.PathValue("page"); page {
	case "result":
		s.pages.Home(w, 201, web.Home{Result: &web.Result{
			Code: "k7Qx9mB2a", ShortURL: "https://sho.rt/k7Qx9mB2a", URL: longURL, QRPath: "/api/v1/links/k7Qx9mB2a/qr",
			Title: "Spring sale, all shops", ExpiresAt: made, MaxClicks: 5, Protected: true,
		}})
	case "errors":
		s.pages.Home(w, 422, web.Home{
			URL: "javascript:alert(1)", Alias: "a b", General: "Nothing was made.",
			Errors: map[string]string{"url": "must begin with http:// or https://", "alias": "must be 1 to 64 characters, each a letter A to Z, a digit, - or _"},
		})
	case "keys":
		s.keyed.Home(w, 200, web.Home{})
	case "long":
		shown.URL, shown.Title = "https://"+strings.Repeat("a", 60)+".example/"+strings.Repeat("b", 8000), strings.Repeat("W", 400)
		s.pages.Preview(w, 200, shown)
	case "preview":
		s.pages.Preview(w, 200, shown)
	case "rules":
		for _, when := range []string{"the device is ios or ipados and not (the country is US)", "the time is 09:00-17:30 in Europe/Berlin"} {
			shown.Rules = append(shown.Rules, web.PreviewRule{When: when, Targets: []web.PreviewTarget{{URL: longURL, Share: "70 %"}, {URL: "https://example.com/b", Share: "30 %"}}})
		}
		s.pages.Preview(w, 200, shown)
	case "report":
		shown.Report = web.Report{
			Open: true, Reason: "spam", Comment: "It came\nby mail.", Email: "ann", General: "You have sent many reports in a short time.", RetryAfter: time.Minute,
			Errors: map[string]string{"reason": "must be one of the list", "comment": "must not contain control characters or bidirectional overrides", "email": "must be an e-mail address, or empty"},
		}
		s.pages.Preview(w, 422, shown)
	case "reported":
		shown.Report = web.Report{Open: true, Done: "Thank you. We will check this link."}
		s.pages.Preview(w, 200, shown)
	case "hidden":
		shown.HiddenReason = web.HiddenByPassword
		s.pages.Preview(w, 200, shown)
	case "counted":
		shown.HiddenReason = web.HiddenByMaxClicks
		s.pages.Preview(w, 200, shown)
	case "stats", "stats-empty", "stats-errors", "stats-tag", "stats-people":
		s.pages.Stats(w, 200, shownStats(page, r))
	case "confirm":
		s.pages.Confirm(w, 200, web.Confirm{Code: "k7Qx9mB2a", URL: longURL, Limited: true})
	case "password":
		s.pages.Password(w, 403, web.Password{Code: "k7Qx9mB2a", Error: "That is not the password of this link.", RetryAfter: 90 * time.Second})
	default:
		status, err := strconv.Atoi(page)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		s.pages.Error(w, status, web.Problem{Status: status, RetryAfter: map[int]time.Duration{429: 12 * time.Second}[status]})
	}
}

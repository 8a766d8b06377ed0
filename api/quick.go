package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/api/overload"
)

// quickLen is the longest body in bytes that is answered quickly: the answer to
// it is one that compress leaves alone.
const quickLen = 400

// quick answers the create that most clients send, whose body names a target and
// nothing else, as the routers and huma would. What those do for any path, header
// and body takes longer than all the rest. It reports whether it did: it leaves
// every other request as it was, also those of which it can tell that they are
// wrong.
func (a *API) quick(w http.ResponseWriter, r *http.Request) bool {
	if !isQuick(r) || a.opts.Guard.Full(overload.Write) { // it is refused before its body is read
		return false
	}
	start := time.Now()
	target, ok := readQuick(r)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(r.Context(), RequestTimeout)
	defer cancel()
	status := http.StatusCreated
	if err := a.recovered(linksPath, func() context.Context { return ctx }, func() error {
		return a.admitted(ctx, overload.Write, func() error { return a.quickCreate(ctx, w, r, target) })
	}); err != nil {
		p := a.routerProblem(ctx, err)
		setNoStore(w.Header())
		varyQuick(w.Header())
		status = p.Status
		a.ignore(ctx, p.write(w))
	}
	took := time.Since(start)
	a.metrics.quick.observe(status, took)
	a.access(ctx, linksPath, http.MethodPost, status, took)
	return true
}

// isQuick reports whether nothing but the body of r can ask for more than a plain
// create.
func isQuick(r *http.Request) bool {
	if r.Method != http.MethodPost || r.URL.Path != linksPath || r.URL.RawPath != "" || r.URL.RawQuery != "" ||
		r.ContentLength <= 0 || r.ContentLength > quickLen {
		return false
	}
	h := r.Header
	kind, accept := h["Content-Type"], h["Accept"]
	return len(kind) == 1 && kind[0] == echo.MIMEApplicationJSON &&
		(len(accept) == 0 || len(accept) == 1 && accept[0] == "*/*") &&
		h["Content-Encoding"] == nil && h["Idempotency-Key"] == nil
}

// readQuick reads the body, and returns the target when there is nothing else in
// it. Otherwise r can be read from the start again.
func readQuick(r *http.Request) (target string, ok bool) {
	body := make([]byte, r.ContentLength)
	n, err := io.ReadFull(r.Body, body)
	if err == nil {
		if target, ok = quickTarget(body); ok {
			return target, true
		}
		err = io.EOF
	}
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:n]), failing{err}))
	return "", false
}

// failing is a reader that has come to an end or an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// quickTarget returns the target of a body that is {"url":"…"}, without anything
// in the text that would have to be decoded.
func quickTarget(body []byte) (target string, ok bool) {
	const space = " \t\r\n"
	rest := body
	for _, part := range [...]string{`{`, `"url"`, `:`, `"`} {
		if rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, space), []byte(part)); !ok {
			return "", false
		}
	}
	end := bytes.IndexByte(rest, '"')
	if end < 1 || string(bytes.Trim(rest[end+1:], space)) != "}" {
		return "", false
	}
	for _, c := range rest[:end] {
		if c < ' ' || c > '~' || c == '\\' {
			return "", false
		}
	}
	return string(rest[:end]), true
}

// quickCreate creates a link and answers with it.
func (a *API) quickCreate(ctx context.Context, w http.ResponseWriter, r *http.Request, target string) error {
	ctx, err := a.withCaller(ctx, r)
	if err != nil {
		return err
	}
	who := callerOf(ctx)
	if err := a.mayCreate(who); err != nil {
		return err
	}
	charged, err := a.charge(ctx, who, 1)
	if err != nil {
		return err
	}
	out, err := a.createCharged(ctx, &createLinkInput{Body: CreateInput{URL: target}}, charged.headers)
	if err != nil {
		return err
	}
	v := [2]string{out.Location, out.ETag} // one array holds both values
	h := w.Header()
	h["Location"], h["Etag"] = v[0:1:1], v[1:2:2]
	out.set(h)
	h["Content-Type"] = quickType
	varyQuick(h)
	setNoStore(h)
	w.WriteHeader(out.Status)
	_, err = w.Write(append(appendLink(nil, &out.Body), '\n'))
	a.ignore(ctx, err)
	return nil
}

// varyQuick says what a quick answer depends on, beside what it may say already.
func varyQuick(h http.Header) {
	if h["Vary"] == nil {
		h["Vary"] = quickVary
		return
	}
	h.Add("Vary", quickVary[0])
}

// Values of headers that are always the same. Nobody changes them.
var (
	quickType = []string{echo.MIMEApplicationJSON}
	quickVary = []string{"Accept-Encoding"}
)

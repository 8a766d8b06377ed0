package webtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Tab is one tab of a browser. A step that fails ends the test. Not safe for
// concurrent use.
type Tab struct {
	tb  testing.TB
	ctx context.Context

	mu         sync.Mutex
	requests   []string
	complaints []string
}

// Context returns the tab's chromedp context, for steps that Tab does not offer.
func (t *Tab) Context() context.Context { return t.ctx }

// Do runs the steps in order.
func (t *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	t.tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, stepTimeout)
	defer cancel()
	for i, step := range steps {
		if err := chromedp.Do(ctx, step); err != nil {
			t.tb.Fatalf("step %d in the browser: %v", i+1, err)
		}
	}
}

// Visit opens a page and waits until the element with the id has the focus, so
// that keys typed next arrive there.
func (t *Tab) Visit(url, id string) {
	t.tb.Helper()
	t.Do(chromedp.Navigate(url))
	t.Wait(`document.activeElement?.id === "` + id + `"`)
}

// Follow runs steps that lead to another page, waits for it, and returns the
// status of its answer.
func (t *Tab) Follow(steps ...chromedp.Action[chromedp.Void]) int {
	t.tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, stepTimeout)
	defer cancel()
	r, err := chromedp.RunResponse(ctx, steps...)
	if err != nil {
		t.tb.Fatalf("follow in the browser: %v", err)
	}
	return int(r.Status)
}

// Eval returns the value of a JavaScript expression in the page; a promise is
// waited for.
func Eval[T any](t *Tab, expression string) T {
	t.tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, stepTimeout)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.tb.Fatalf("evaluate %q: %v", expression, err)
	}
	return v
}

// Wait waits until a JavaScript expression is true in the page.
func (t *Tab) Wait(expression string) {
	t.tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, stepTimeout)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression)); err != nil {
		t.tb.Fatalf("wait for %q: %v", expression, err)
	}
}

// Screenshot writes a picture of the whole page as PNG and makes its folder.
func (t *Tab) Screenshot(path string) {
	t.tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, stepTimeout)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o750)
	}
	if err == nil {
		err = os.WriteFile(path, picture, 0o600)
	}
	if err != nil {
		t.tb.Fatalf("take a screenshot: %v", err)
	}
}

// Requests returns the URL of every request over the network since the tab was
// opened.
func (t *Tab) Requests() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.requests)
}

// Complaints returns what the browser complained of since the tab was opened:
// errors and warnings on the console, exceptions, violations of the
// Content-Security-Policy, and parts of a page that could not be loaded. An
// answer of 4xx or 5xx to a navigation or a fetch is none.
func (t *Tab) Complaints() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.complaints)
}

// listen notes what happens. It runs on the goroutine that reads from the browser.
func (t *Tab) listen(event any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if strings.HasPrefix(e.Request.URL, "http") {
			t.requests = append(t.requests, e.Request.URL)
		}
	case *network.EventResponseReceived:
		part := e.Type != network.ResourceTypeDocument && e.Type != network.ResourceTypeFetch
		if part && e.Response.Status >= 400 {
			t.complain("%s: status %v", e.Response.URL, e.Response.Status)
		}
	case *runtime.EventExceptionThrown:
		t.complain("exception: %s", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			t.complain("console.%s", e.Type)
		}
	case *log.EventEntryAdded:
		loud := e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning
		if loud && e.Entry.Source != log.EntrySourceNetwork {
			t.complain("%s %s: %s", e.Entry.Source, e.Entry.Level, e.Entry.Text)
		}
	}
}

func (t *Tab) complain(format string, args ...any) {
	t.complaints = append(t.complaints, fmt.Sprintf(format, args...))
}

func call[P, R any](t *Tab, command cdp.Command[P, R], params P) {
	t.tb.Helper()
	if _, err := chromedp.Call(t.ctx, command, params); err != nil {
		t.tb.Fatalf("set up the tab: %v", err)
	}
}

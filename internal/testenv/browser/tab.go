package browser

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

	"github.com/terse/terse/internal/testenv"
)

// Tab is one tab of a browser. A step that fails ends the test, so its steps are
// not safe for concurrent use.
type Tab struct {
	tb  testing.TB
	ctx context.Context

	mu         sync.Mutex
	requests   []string
	complaints []string
}

// Context returns the tab's chromedp context, for steps without a method of Tab.
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

// Visit opens a page and waits until the element with the id has the focus. Keys
// that are typed next go to that element.
func (t *Tab) Visit(url, id string) {
	t.tb.Helper()
	t.Do(chromedp.Navigate(url))
	t.Wait(`document.activeElement?.id === "` + id + `"`)
}

// Follow runs steps that open another page, waits for that page, and returns its
// HTTP status.
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

// Eval returns the value of a JavaScript expression in the page. It waits for the
// result of a promise.
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

// Wait waits until a JavaScript expression is true in the page. It evaluates the expression
// again and again, because a page without scripts runs no timers.
func (t *Tab) Wait(expression string) {
	t.tb.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, stepTimeout)
	defer cancel()
	testenv.AwaitWithin(t.tb, stepTimeout, expression+" in the browser", func() bool {
		done, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		return err == nil && done // an error: the page is being replaced
	})
}

// Screenshot writes a PNG of the whole page if the environment variable TERSE_TEST_SCREENSHOTS
// names a folder, which it creates. name has no extension.
func (t *Tab) Screenshot(name string) {
	t.tb.Helper()
	dir := os.Getenv("TERSE_TEST_SCREENSHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, stepTimeout)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.MkdirAll(dir, 0o750) //nolint:gosec // whoever runs the test names the folder
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600) //nolint:gosec // as above
	}
	if err != nil {
		t.tb.Fatalf("take a screenshot: %v", err)
	}
}

// Requests returns the URL of every http request since the tab was opened.
func (t *Tab) Requests() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.requests)
}

// Complaints returns the browser's complaints since the tab was opened: console
// errors and warnings, exceptions, violations of the Content-Security-Policy, and
// parts of a page that failed to load. A navigation or a fetch with status 4xx or
// 5xx is not a complaint.
func (t *Tab) Complaints() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.complaints)
}

// listen records requests and complaints. It runs on the goroutine that reads from the browser.
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

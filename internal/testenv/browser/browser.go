// Package browser drives a real Chromium over pages under test. It reports their
// look, their console messages, their network requests and the accessibility
// problems that axe-core finds. It knows nothing about the pages.
package browser

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// stepTimeout limits each step in a tab, so a stuck test fails by itself.
const stepTimeout = 2 * time.Minute

// hosts restricts the browser to this machine. Names below .test, reserved for
// tests (RFC 6761 section 6.2), also resolve to this machine. Chromium trusts
// localhost as a secure context, but not a .test origin.
const hosts = "MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"

// Browser is a running browser. Safe for concurrent use.
type Browser struct{ ctx context.Context }

// Start starts a headless browser with a new profile and stops it when the test
// ends. It fails the test when no browser is installed.
func Start(tb testing.TB) *Browser {
	tb.Helper()
	alloc, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(find(tb)),
		chromedp.Headless,
		chromedp.NoSandbox, // tests run as root in containers
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("host-resolver-rules", hosts),
	)
	tb.Cleanup(stop)
	ctx, closeBrowser := chromedp.NewContext(alloc)
	tb.Cleanup(closeBrowser)
	if err := chromedp.Do(ctx); err != nil {
		tb.Fatalf("start the browser: %v", err)
	}
	return &Browser{ctx: ctx}
}

func find(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{
		"chromium", "chromium-browser", "google-chrome",
		"/Applications/Chromium.app/Contents/MacOS/Chromium",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	tb.Fatal("no browser is installed: run apt-get install chromium, or brew install --cask google-chrome")
	return ""
}

// Look is the setup of a visitor's browser.
type Look struct {
	Width    int64 // of the window, in CSS pixels; default 1280
	Dark     bool  // prefers-color-scheme
	NoScript bool  // JavaScript is off
}

// Open opens an empty tab with its own cookies and storage, and closes it when the
// test ends. Motion is reduced, so that pages do not change during a check.
func (b *Browser) Open(tb testing.TB, look Look) *Tab {
	tb.Helper()
	t := &Tab{tb: tb}
	var closeTab context.CancelFunc
	t.ctx, closeTab = chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(t.listen))
	tb.Cleanup(closeTab)
	if err := chromedp.Do(t.ctx); err != nil {
		tb.Fatalf("open a tab: %v", err)
	}
	scheme := "light"
	if look.Dark {
		scheme = "dark"
	}
	width := look.Width
	if width == 0 {
		width = 1280
	}
	call(t, network.Enable, network.EnableParams{})
	call(t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
		{Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	call(t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: look.NoScript})
	t.Do(chromedp.EmulateViewport(width, 900))
	return t
}

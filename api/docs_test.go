package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/internal/testenv/browser"
)

// TestDocsCallTheirOwnHost checks that the documentation page lists links first, explains keys and
// errors, and can call the server at an address that is not the base URL.
func TestDocsCallTheirOwnHost(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s := newServer(t)
	tab := browser.Start(t).Open(t, browser.Look{Width: 1280})
	tab.Do(chromedp.Navigate(s.URL + "/api/docs#/Links/createLink"))
	tab.Wait(`document.querySelector("#operations-Links-createLink .try-out__btn") !== null`)
	groups := browser.Eval[[]string](tab, `[...document.querySelectorAll(".opblock-tag")].map((tag) => tag.dataset.tag)`)
	if want := []string{"Links", "Statistics", "Domains", "Workspaces", "Abuse", "Archive"}; !slices.Equal(groups, want) {
		t.Errorf("groups of operations = %q, want %q", groups, want)
	}
	for _, text := range []string{"Authorization: Bearer tk_", "urn:terse:problem:invalid"} {
		if !browser.Eval[bool](tab, `document.querySelector(".info").innerText.includes("`+text+`")`) {
			t.Errorf("the introduction lacks %q", text)
		}
	}
	const operation = `document.querySelector("#operations-Links-createLink `
	browser.Eval[any](tab, operation+`.try-out__btn").click()`)
	tab.Wait(operation + `.execute") !== null`)
	browser.Eval[any](tab, operation+`.execute").click()`)
	const status = operation + `.live-responses-table tr.response .response-col_status")`
	tab.Wait(status + ` !== null`)
	if got := browser.Eval[string](tab, status+`.innerText`); !strings.HasPrefix(got, "201") {
		t.Errorf("create on the documentation page = %q, want 201", got)
	}
	if complaints := tab.Complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
}

package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/web"
)

// everyScreen returns a function for each page of the console that writes it with text in every field.
func everyScreen(p *web.Pages, who web.Viewer, text string) map[string]func(http.ResponseWriter) {
	who.Name, who.Workspace = text, text
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	wrong := map[string]string{"q": text, "tag": text, "domain": text, "owner": text, "url": text, "alias": text, "title": text, "tags": text, "scopes": text, "name": text, text: text}
	row := web.LinkRow{
		Path: "/~/links/default/" + text, ShortURL: "https://sho.rt/" + text, URL: text, Title: text, Tags: []string{text, text}, State: text,
		Owner: text, Clicks: 12, CreatedAt: at, Protected: true,
	}
	link := web.LinkPage{LinkRow: row, QRPath: "/api/v1/links/" + text + "/qr?", Status: 302, ForwardQuery: text, StartsAt: at, DisabledReason: text, MaxClicks: 3, Done: text, Reason: text, Errors: map[string]string{"reason": text}, NoVisitors: true, Rules: []web.PreviewRule{{When: text, Targets: []web.PreviewTarget{{URL: text, Share: text}}}}}
	form := web.LinkForm{
		Path: row.Path, ShortURL: row.ShortURL, URL: text, Domain: text, Alias: text, Title: text, Tags: text, StartsAt: text, ExpiresAt: text, MaxClicks: text,
		Status: text, ForwardQuery: text, Version: text, Nonce: text, Protected: true, Errors: wrong, General: text, Conflict: []web.Difference{{Field: text, Yours: text, Theirs: text}},
		Rules: text, OldAlias: text, Renames: true, RuleErrors: []string{text},
	}
	domain := web.DomainRow{Path: "/~/domains/" + text, Host: text, State: text, Owner: text, Shared: true, Hosts: 2}
	created := form
	created.Path, created.Renames = "", false
	counted := busyStats(web.Subject{Kind: web.SubjectLink, Name: text})
	counted.Path = row.Path + "/stats"
	return map[string]func(http.ResponseWriter){
		"sign in": func(w http.ResponseWriter) {
			p.SignIn(w, 401, web.SignIn{Passkeys: true, Person: text, PersonPath: "/~/sign-in?return_to=" + text, Providers: []web.Provider{{Name: text, Path: "/~/with/" + text}}, ReturnTo: text, Error: text, RetryAfter: time.Second})
		},
		"one-time link": func(w http.ResponseWriter) { p.OneTimeLink(w, 200) },
		"invitation": func(w http.ResponseWriter) {
			p.Invitation(w, 200, web.Invitation{Name: text, Workspace: text, Role: text, Passkeys: true, PasskeyPath: "/~/in/" + text})
		},
		"welcome": func(w http.ResponseWriter) { p.Welcome(w, 200, web.Welcome{Name: text, Workspace: text, Key: text}) },
		"members": func(w http.ResponseWriter) {
			p.MemberList(w, 200, who, web.MemberList{
				Workspace: text, Workspaces: []string{text}, Asked: text, Name: text, Role: text, ExpiresAt: text, Errors: wrong, Link: text, Invited: text, LinkEnds: at, Done: text,
				Members: []web.MemberRow{
					{ID: text, Name: text, Role: text, CreatedAt: at, LastUsedAt: at, Self: true},
					{ID: text, Name: text, Role: text, Issuer: text},
					{ID: text, Name: text, Role: text, Invited: true, ExpiresAt: at},
					{ID: text, Name: text, Role: text, Fixed: true},
				},
			})
		},
		"tags": func(w http.ResponseWriter) {
			p.TagList(w, 422, who, web.TagList{Workspace: text, Owner: text, Tags: []web.TagRow{web.NewTagRow(text, text, 12, true)}, Next: "/~/tags?after=" + text, Continued: true, Unavailable: true, Errors: wrong})
		},
		"no tags": func(w http.ResponseWriter) { p.TagList(w, 200, who, web.TagList{Workspace: text}) },
		"statistics of a workspace": func(w http.ResponseWriter) {
			v := busyStats(web.Subject{Kind: web.SubjectOwner, Name: text})
			v.Path, v.Set, v.Errors = "/~/stats", &web.StatsGroup{Tag: text, Domain: text, Owner: text, Admin: true}, wrong
			p.GroupStats(w, 422, who, v)
		},
		"statistics of a tag": func(w http.ResponseWriter) {
			v := busyStats(web.Subject{Kind: web.SubjectTag, Name: text})
			v.Path, v.Set, v.Live, v.Today = "/~/stats", &web.StatsGroup{Tag: text}, "/~/stats/total?tag="+text, "2026-11-30"
			p.GroupStats(w, 200, who, v)
		},
		"domains": func(w http.ResponseWriter) {
			p.DomainList(w, 422, who, web.DomainList{
				Rows: []web.DomainRow{domain, {Path: domain.Path, Host: text, State: "active"}}, Next: "/~/domains?after=" + text, Continued: true,
				Host: text, Aliases: text, Verified: true, Errors: map[string]string{"host": text, "aliases": text}, General: text, Done: text,
			})
		},
		"no domains": func(w http.ResponseWriter) { p.DomainList(w, 200, who, web.DomainList{}) },
		"domain": func(w http.ResponseWriter) {
			p.DomainPage(w, 200, who, web.DomainPage{
				DomainRow: domain, Changes: true, RootURL: text, NotFound: text, EndedURL: text, NoRobots: true, CreatedAt: at, Done: text, Checked: true,
				Hosts:   []web.DomainHost{{Host: text, VerifiedAt: at, Certificate: &web.Certificate{State: text, Issuer: text, EndsAt: at, Problem: text, RetryAt: at}}, {Host: text}},
				Records: []web.DNSRecord{{Type: "ALIAS", Name: text, Value: text}},
				Checks:  []web.DomainCheck{{Type: text, Name: text, Expected: text, Found: []string{text}, Problem: text}, {Type: text, Name: text, OK: true}, {}},
			})
		},
		"domain of others": func(w http.ResponseWriter) {
			p.DomainPage(w, 200, who, web.DomainPage{DomainRow: domain, Hosts: []web.DomainHost{{Host: text}}})
		},
		"settings of a domain": func(w http.ResponseWriter) {
			p.EditDomain(w, 412, who, web.DomainForm{
				Path: domain.Path, Saved: text, Host: text, Aliases: text, Robots: text, RootURL: text, RootStatus: text, NotFoundURL: text, NotFoundStatus: text, EndedURL: text, EndedStatus: text,
				Shared: true, Off: true, Verified: true, Version: text, General: text, Conflict: []web.Difference{{Field: text, Yours: text, Theirs: text}},
				Errors: map[string]string{"host": text, "aliases": text, "robots": text, "root_url": text, "root_status": text, "not_found_url": text, "not_found_status": text, "ended_url": text, "ended_status": text, text: text},
			})
		},
		"remove a domain": func(w http.ResponseWriter) {
			p.RemoveDomain(w, 409, who, web.DomainRemoval{DomainRow: domain, Version: text, InUse: true})
		},
		"reports": func(w http.ResponseWriter) {
			report := web.ReportRow{ID: text, Link: row, Version: 3, Rules: true, Reason: text, Comment: text, Email: text, At: at, Dropped: 2}
			closed := web.ReportRow{ID: "x", Link: row, Missing: text, Reason: text, ResolvedAt: at, ResolvedBy: text, Resolution: text}
			p.ReportList(w, 422, who, web.ReportList{
				Rows: []web.ReportRow{report, closed, {ID: "y", Link: web.LinkRow{ShortURL: text}, Missing: text}}, Cursor: text, Next: "/~/reports?cursor=" + text, Unavailable: true, Done: text,
				Failed: text, Reason: text, Resolution: text, Errors: map[string]string{"reason": text, "resolution": text},
			})
		},
		"no reports": func(w http.ResponseWriter) { p.ReportList(w, 200, who, web.ReportList{Resolved: true}) },
		"blocklist": func(w http.ResponseWriter) {
			p.Blocklist(w, 422, who, web.Blocklist{
				Rows: []web.BlockedRow{{Host: text, Reason: text, By: text, At: at}, {Host: "=" + text}}, Next: "/~/blocklist?cursor=" + text, Continued: true,
				Host: text, Reason: text, Errors: map[string]string{"host": text, "reason": text}, Done: text,
			})
		},
		"no blocked hosts": func(w http.ResponseWriter) { p.Blocklist(w, 200, who, web.Blocklist{}) },
		"import": func(w http.ResponseWriter) {
			p.Import(w, 422, who, web.Import{Encoding: text, MaxRows: 10, MaxBytes: 1 << 10, Errors: map[string]string{"file": text, "encoding": text}})
		},
		"columns": func(w http.ResponseWriter) {
			p.ImportColumns(w, 422, who, web.ImportColumns{
				Name: text, Data: text, Columns: []string{text, "b"}, Rows: [][]string{{text, text}, {text}}, Total: 3, General: text,
				Fields: []web.ImportField{{Name: "url", Column: text, Error: text}, {Name: "title"}, {Name: text}},
			})
		},
		"imported": func(w http.ResponseWriter) {
			p.ImportReport(w, 200, who, web.ImportReport{
				Name: text, Rows: 3, Rejected: 1, Faults: []web.ImportFault{{Line: 2, Field: text, Reason: text}}, Made: []web.ImportedRow{{Line: 3, Link: row, Warning: text}, {Line: 4, Link: row}}, Rest: &web.ImportRest{From: 1, Data: text, Fields: []web.ImportField{{Name: "url", Column: text}}},
			})
		},
		"links": func(w http.ResponseWriter) {
			p.LinkList(w, 200, who, web.LinkList{Search: text, Tag: text, Domain: text, Owner: text, State: text, CreatedFrom: text, CreatedUntil: text, Export: "/~/links.csv?q=" + text, Rows: []web.LinkRow{row}, Next: "/~/links?cursor=" + text, Continued: true, Unavailable: true, Errors: wrong, Done: text})
		},
		"question": func(w http.ResponseWriter) {
			p.Bulk(w, 422, who, web.Bulk{Action: web.BulkDisable, Ask: true, Rows: []web.BulkRow{{Ref: text, Path: row.Path, Name: text}}, Reason: text, Errors: map[string]string{"reason": text}})
		},
		"results": func(w http.ResponseWriter) {
			p.Bulk(w, 200, who, web.Bulk{Action: text, Rows: []web.BulkRow{{Ref: text, Path: row.Path, Name: text, Error: text}}})
		},
		"no links": func(w http.ResponseWriter) { p.LinkList(w, 200, who, web.LinkList{Search: text}) },
		"new link": func(w http.ResponseWriter) { p.NewLink(w, 422, who, created) },
		"edit":     func(w http.ResponseWriter) { p.EditLink(w, 412, who, form) },
		"link":     func(w http.ResponseWriter) { p.LinkPage(w, 200, who, link) },
		"QR code": func(w http.ResponseWriter) {
			p.QRPage(w, 422, who, web.QRPage{LinkRow: row, Size: text, Margin: text, Color: text, Background: text, Scans: true, Errors: map[string]string{"size": text, "margin": text, "color": text, "background": text}, Files: []web.QRFile{{Format: text, Path: link.QRPath + "color=" + text, Name: text}}})
		},
		"try a visit": func(w http.ResponseWriter) {
			p.Explain(w, 422, who, web.Explain{
				LinkRow: row, Agent: text, Language: text, Referrer: text, IP: text, Country: text, At: text, Query: text, Errors: map[string]string{"ip": text, "country": text, "at": text, "query": text, "user_agent": text},
				Result: &web.ExplainResult{State: text, URL: text, Rule: text, Drawn: true, Rules: []web.ExplainRule{{Number: 1, When: text, Failed: text, Unknown: true}, {Number: 2, Applies: true}}},
			})
		},
		"delete": func(w http.ResponseWriter) { p.DeleteLink(w, 200, who, link) },
		"history": func(w http.ResponseWriter) {
			p.History(w, 200, who, web.History{LinkRow: row, Version: 2, Older: row.Path + "/history?cursor=" + text, Entries: []web.Revision{{Version: 1, At: at, Action: text, Actor: text, Note: text, Back: true, Changes: []web.Change{{Field: text, Before: text, After: text}}}}})
		},
		"statistics": func(w http.ResponseWriter) { p.LinkStats(w, 200, who, web.LinkStats{LinkRow: row, Stats: counted}) },
		"keys": func(w http.ResponseWriter) {
			p.KeyList(w, 200, who, web.KeyList{
				Keys: []web.KeyRow{{ID: text, Name: text, Workspace: text, Prefix: text, Scopes: []string{text}}, {ID: text, Ended: text}},
				Name: text, Workspace: text, ExpiresAt: text, AllScopes: []string{text}, Errors: wrong, Token: text, Done: text,
			})
		},
		"sessions": func(w http.ResponseWriter) {
			p.SessionList(w, 200, who, web.SessionList{
				Sessions:        []web.SessionRow{{ID: text, CreatedAt: at, LastUsedAt: at}, {ID: text, Current: true}},
				MayHavePasskeys: true, Passkeys: []web.PasskeyRow{{ID: text, Name: text, CreatedAt: at, LastUsedAt: at}},
			})
		},
		"error": func(w http.ResponseWriter) { p.ConsoleError(w, 404, who, web.Problem{Detail: text}) },
	}
}

func TestHostileMarkupInTheConsole(t *testing.T) {
	t.Parallel()
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", MaxURLLen: 8192})
	who := web.Viewer{Writes: true, Counts: true, Domains: true, Hosts: true, Manages: true, Admin: true}
	plain := map[string]string{}
	for name, write := range everyScreen(p, who, "plain") {
		plain[name] = shape(t, render(write))
	}
	for _, attack := range hostile {
		for name, write := range everyScreen(p, who, attack.text) {
			body := render(write)
			checkMarkup(t, body)
			if got := shape(t, body); got != plain[name] {
				t.Errorf("%s: %q changes the elements of the page:\n%s\nwant\n%s", name, attack.text, got, plain[name])
			}
		}
	}
}

// TestScreensByRight checks that a page has no button for an action that the viewer may not do.
func TestScreensByRight(t *testing.T) {
	t.Parallel()
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", MaxURLLen: 8192})
	for name, write := range everyScreen(p, web.Viewer{}, "text") {
		switch name {
		case "sign in", "one-time link", "new link", "edit", "delete", "statistics", "statistics of a workspace", "statistics of a tag", "domain", "domains", "no domains", "domain of others", "settings of a domain", "remove a domain", "import", "columns", "imported", "reports", "no reports", "blocklist", "no blocked hosts", "keys", "members", "question", "results": // such a viewer never gets them
			continue
		}
		body := render(write)
		for _, forbidden := range []string{"/edit", "/delete", "/rollback", "/disable", "/enable", "/~/new", "/~/keys", "/~/members", "/~/import", "/~/domains", "/~/reports", "/~/blocklist", `/default/text/stats"`, "/~/stats"} {
			if strings.Contains(body, forbidden) {
				t.Errorf("%s: a viewer without rights sees %q", name, forbidden)
			}
		}
	}
}

func TestConsoleHeaders(t *testing.T) {
	t.Parallel()
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", MaxURLLen: 8192})
	for name, write := range everyScreen(p, web.Viewer{}, "text") {
		w := httptest.NewRecorder()
		write(w)
		for header, want := range map[string]string{
			"Content-Security-Policy": ownForms + "; manifest-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'",
			"Referrer-Policy":         "same-origin", "X-Robots-Tag": "noindex", "Cache-Control": "no-store",
		} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s = %q, want %q", name, header, got, want)
			}
		}
	}
}

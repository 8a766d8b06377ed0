package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/access"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// Routes of the console. "~" is in no code. A link is named by the host of its domain, or by
// defaultHost, and its code.
const (
	signInRoute    = web.ConsolePath + "sign-in"
	signOutRoute   = web.ConsolePath + "sign-out"
	oneTimeRoute   = web.ConsolePath + "in/:token"
	linksScreen    = web.ConsolePath + "links"
	newScreen      = web.ConsolePath + "new"
	keysScreen     = web.ConsolePath + "keys"
	membersScreen  = web.ConsolePath + "members"
	sessionsScreen = web.ConsolePath + "sessions"
	linkScreen     = linksScreen + "/:host/:code"

	defaultHost = "default" // no host of a domain
)

// OneTimePath returns the path of a one-time link.
func OneTimePath(token string) string { return strings.TrimSuffix(oneTimeRoute, ":token") + token }

const (
	maxConsoleFormLen = smallBody
	consolePage       = 50 // links in a page of the list
	consoleRevisions  = 20 // changes in a page of the history
)

// routeConsole adds the routes of the console.
func (a *API) routeConsole(e *echo.Echo) {
	e.Match(getHead, web.ConsolePath, a.console(func(c echo.Context) error { return c.Redirect(http.StatusSeeOther, linksScreen) }))
	e.Match(getHead, signInRoute, a.console(a.signInPage))
	e.Match(getHead, web.ManifestPath, a.console(func(c echo.Context) error { a.pages.Manifest(c.Response()); return nil }))
	e.Match(getHead, web.OpenSearchPath, a.console(func(c echo.Context) error { a.pages.OpenSearch(c.Response()); return nil }))
	e.POST(signInRoute, a.console(a.signIn))
	e.Match(getHead, oneTimeRoute, a.console(a.oneTimePage))
	e.POST(oneTimeRoute, a.console(a.redeem))
	e.Match(getHead, providerRoute, a.console(a.toProvider))
	e.GET(providerRoute+"/back", a.console(a.fromProvider))
	a.routePasskeys(e)
	for path, h := range map[string]func(c echo.Context, s *session) error{
		linksScreen: a.listScreen, exportScreen: a.exportList, newScreen: a.newScreen, keysScreen: a.keysScreen, membersScreen: a.membersScreen,
		sessionsScreen: a.sessionsScreen,
		linkScreen:     a.linkScreen, linkScreen + "/edit": a.editScreen, linkScreen + "/delete": a.deleteScreen,
		linkScreen + "/history": a.historyScreen, linkScreen + "/qr": a.qrScreen, linkScreen + "/explain": a.explainScreen, linkScreen + "/stats": a.statsScreen, linkScreen + "/stats/total": a.statsTotal,
		importScreen: a.importScreen, tagsScreen: a.tagsScreen, groupStatsRoute: a.groupStatsScreen, groupStatsRoute + "/total": a.groupStatsTotal,
		domainsScreen: a.domainsScreen, domainScreen: a.domainScreen, domainScreen + "/edit": a.editDomainScreen, domainScreen + "/remove": a.removeDomainScreen,
		reportsScreen: a.reportsScreen, blocklistScreen: a.blocklistScreen,
	} {
		e.Match(getHead, path, a.inSession(h))
	}
	for path, h := range map[string]func(c echo.Context, s *session) error{
		signOutRoute: a.signOut, newScreen: a.createByForm, bulkScreen: a.bulk, linkScreen + "/edit": a.editByForm,
		linkScreen + "/delete": a.deleteByForm, linkScreen + "/rollback": a.rollBackByForm,
		linkScreen + "/disable": a.disableByForm, linkScreen + "/enable": a.enableByForm,
		domainsScreen: a.addDomainByForm, domainScreen + "/verify": a.verifyByForm, domainScreen + "/edit": a.editDomainByForm, domainScreen + "/remove": a.removeDomainByForm,
		importScreen: a.previewImport, importRoute: a.importRows,
		reportsScreen + "/disable/:id": a.disableReported, reportsScreen + "/close/:id": a.closeReport,
		blocklistScreen: a.blockByForm, blocklistScreen + "/remove": a.unblockByForm,
		keysScreen: a.createKey, keysScreen + "/revoke/:id": a.revokeKey,
		membersScreen: a.inviteByForm, membersScreen + "/role/:id": a.setRole, membersScreen + "/remove/:id": a.removeMemberByForm, sessionsScreen + "/end/:id": a.endSession,
	} {
		e.POST(path, a.inSession(h))
	}
}

// doneParam is the parameter that says what the last action has done.
const doneParam = "done"

// done are messages about actions, by the value of doneParam.
var done = map[string]string{
	"created": "The link is created.", "saved": "The changes are saved.", "renamed": "The link has a new code.", "unchanged": "Nothing was changed.", "deleted": "The link is deleted.",
	"restored": "The link leads to its earlier target again.", "revoked": "The key is revoked.",
	"disabled": "The link is disabled.", "enabled": "The link is enabled.",
	"role": "The role is changed, and the sessions of the member have ended.", "removed": "The member is removed, and the sessions of the member have ended.",
	"added": "The domain is added. Set its DNS records, then check it.", "domain": "The settings of the domain are saved.", "domain-removed": "The domain is removed.",
	"reported-disabled": "The link is disabled, and the report is closed.", "closed": "The report is closed.",
	"blocked": "The host is blocked.", "unblocked": "The host is no longer blocked.",
	"withdrawn": "The invitation is withdrawn.",
}

// finish leads to a page that says what an action has done.
func finish(c echo.Context, path, action string) error {
	return c.Redirect(http.StatusSeeOther, path+"?"+url.Values{doneParam: {action}}.Encode())
}

// linkScreenPath returns the path of a link's page. It is empty while the domain of the link is unknown.
func (a *API) linkScreenPath(key string) string {
	id, code := store.SplitKey(key)
	host := defaultHost
	if id != "" {
		if host = a.opts.Links.HostOf(key); host == "" {
			return ""
		}
	}
	return linksScreen + "/" + url.PathEscape(host) + "/" + url.PathEscape(code)
}

// keyOfPath returns the key of the link in the path of a request.
func (a *API) keyOfPath(c echo.Context, s *session) (string, error) {
	return a.keyOfRef(s, c.Param("host"), c.Param("code"))
}

// keyOfRef returns the key of the link with a code on the domain of a host, or of defaultHost. The error
// for an unknown host is store.ErrNotFound.
func (a *API) keyOfRef(s *session, host, code string) (string, error) {
	if host == defaultHost {
		host = ""
	}
	key, err := a.opts.Links.Key(&s.Caller, host, code)
	if store.IsInvalid(err) {
		err = store.ErrNotFound
	}
	return key, err
}

// linkOfPath returns the link in the path of a request.
func (a *API) linkOfPath(c echo.Context, s *session) (store.Link, error) {
	key, err := a.keyOfPath(c, s)
	if err != nil {
		return store.Link{}, err
	}
	return a.opts.Links.Get(c.Request().Context(), &s.Caller, key)
}

// row returns a link as lists show it.
func (a *API) row(l *store.Link) web.LinkRow {
	return web.LinkRow{
		Path: a.linkScreenPath(l.Code), ShortURL: a.shortURL(l.Code), URL: l.URL, Title: l.Title, Tags: l.Tags, State: stateNames[l.State(a.now())],
		Owner: l.Owner, Clicks: l.Clicks, Robots: l.Robots, CreatedAt: l.CreatedAt, Protected: l.PasswordHash != "",
	}
}

// fieldErrors returns the messages of an error about fields, by the member that the field belongs to.
func fieldErrors(err error) map[string]string {
	all, _ := errors.AsType[store.InvalidError](store.JoinInvalid(err))
	messages := map[string]string{}
	for _, e := range all {
		if messages[e.Member()] == "" {
			messages[e.Member()] = e.Reason
		}
	}
	return messages
}

// linkScreen shows one link.
func (a *API) linkScreen(c echo.Context, s *session) error {
	l, err := a.linkOfPath(c, s)
	if err != nil {
		return err
	}
	v, err := a.linkPage(&l)
	if err != nil {
		return err
	}
	v.Done = done[c.QueryParam(doneParam)]
	a.pages.LinkPage(c.Response(), http.StatusOK, s.viewer(), v)
	return nil
}

func (a *API) linkPage(l *store.Link) (web.LinkPage, error) {
	ruled, err := previewRules(l.Rules)
	if err != nil {
		return web.LinkPage{}, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	qr := qrPath(l.BareCode()) + "?"
	if l.DomainID() != "" {
		qr += url.Values{"domain": {a.opts.Links.HostOf(l.Code)}}.Encode() + "&"
	}
	return web.LinkPage{
		LinkRow: a.row(l), QRPath: qr, Status: l.Status, ForwardQuery: forwardNames[l.ForwardQuery], StartsAt: l.StartsAt, ExpiresAt: l.ExpiresAt,
		MaxClicks: l.MaxClicks, UsedClicks: l.UsedClicks, Confirm: l.Confirm, ForwardPath: l.ForwardPath, NoVisitors: l.NoVisitors, Rules: ruled, DisabledReason: l.DisabledReason,
		UpdatedAt: l.UpdatedAt, LastClickAt: l.LastClickAt, Version: l.Version,
	}, nil
}

// deleteScreen asks before a link is deleted.
func (a *API) deleteScreen(c echo.Context, s *session) error {
	if err := a.opts.Links.May(&s.Caller, links.Editing); err != nil {
		return err
	}
	l, err := a.linkOfPath(c, s)
	if err != nil {
		return err
	}
	v, err := a.linkPage(&l)
	if err != nil {
		return err
	}
	a.pages.DeleteLink(c.Response(), http.StatusOK, s.viewer(), v)
	return nil
}

// deleteByForm deletes a link in the version that the visitor has seen.
func (a *API) deleteByForm(c echo.Context, s *session) error {
	key, err := a.keyOfPath(c, s)
	if err == nil {
		err = a.opts.Links.Delete(c.Request().Context(), &s.Caller, key, versionsOf(`"`+s.form.Get("version")+`"`))
	}
	if err != nil {
		return err
	}
	return finish(c, linksScreen, "deleted")
}

// disableByForm disables a link in the version that the visitor has seen.
func (a *API) disableByForm(c echo.Context, s *session) error {
	if strings.TrimSpace(s.form.Get("reason")) == "" && s.Require(store.ScopeAdmin) == nil {
		return a.moderated(c, s, "disabled", &store.FieldError{Field: "reason", Reason: "must not be empty"})
	}
	key, err := a.keyOfPath(c, s)
	if err == nil {
		_, err = a.opts.Links.Disable(c.Request().Context(), &s.Caller, key, versionsOf(`"`+s.form.Get("version")+`"`), s.form.Get("reason"))
	}
	return a.moderated(c, s, "disabled", err)
}

// enableByForm enables a link in the version that the visitor has seen.
func (a *API) enableByForm(c echo.Context, s *session) error {
	key, err := a.keyOfPath(c, s)
	if err == nil {
		_, err = a.opts.Links.Enable(c.Request().Context(), &s.Caller, key, versionsOf(`"`+s.form.Get("version")+`"`), s.form.Get("reason"))
	}
	return a.moderated(c, s, "enabled", err)
}

// moderated answers a form that disables or enables a link.
func (a *API) moderated(c echo.Context, s *session, action string, err error) error {
	if err == nil {
		return finish(c, strings.TrimSuffix(strings.TrimSuffix(c.Request().URL.EscapedPath(), "/disable"), "/enable"), action)
	}
	if !store.IsInvalid(err) || fieldErrors(err)["reason"] == "" {
		return err
	}
	l, unread := a.linkOfPath(c, s)
	if unread != nil {
		return unread
	}
	v, unread := a.linkPage(&l)
	if unread != nil {
		return unread
	}
	v.Reason, v.Errors = s.form.Get("reason"), fieldErrors(err)
	a.pages.LinkPage(c.Response(), http.StatusUnprocessableEntity, s.viewer(), v)
	return nil
}

// historyScreen shows the changes of a link.
func (a *API) historyScreen(c echo.Context, s *session) error {
	l, err := a.linkOfPath(c, s)
	if err != nil {
		return err
	}
	page, err := a.opts.Links.ReadHistory(c.Request().Context(), &s.Caller, l.Code, c.QueryParam("cursor"), consoleRevisions)
	if err != nil {
		return ofQuery(err)
	}
	v := web.History{LinkRow: a.row(&l), Version: l.Version}
	for i := range page.Entries {
		v.Entries = append(v.Entries, revision(&page.Entries[i], &l))
	}
	if page.Next != "" {
		v.Older = v.Path + "/history?" + url.Values{"cursor": {page.Next}}.Encode()
	}
	a.pages.History(c.Response(), http.StatusOK, s.viewer(), v)
	return nil
}

// revision returns a change of l as the history shows it.
func revision(e *links.HistoryEntry, l *store.Link) web.Revision {
	r := web.Revision{Version: e.Version, At: e.At, Action: e.Action, Actor: e.Actor, Note: e.Note}
	for _, change := range e.Changes {
		r.Changes = append(r.Changes, web.Change{Field: change.Field, Before: shownValue(change.Field, change.Before), After: shownValue(change.Field, change.After)})
		r.Back = r.Back || e.Version != l.Version && (change.Field == "url" && change.After != nil || change.Field == "rules")
	}
	return r
}

// rollBackByForm restores an earlier target of a link.
func (a *API) rollBackByForm(c echo.Context, s *session) error {
	key, err := a.keyOfPath(c, s)
	if err != nil {
		return err
	}
	to, wrong := formNumber(s.form, "version")
	l, err := a.opts.Links.RollBack(c.Request().Context(), &s.Caller, key, links.RollBack{
		Versions: versionsOf(`"` + s.form.Get("current") + `"`), To: to, Err: wrong,
	})
	if err != nil {
		return err
	}
	return finish(c, a.linkScreenPath(l.Code), "restored")
}

// countedLink returns the statistics of the link in the path of a request.
func (a *API) countedLink(c echo.Context, s *session) (share *store.Share, key string, err error) {
	if key, err = a.keyOfPath(c, s); err != nil {
		return nil, "", err
	}
	may, err := a.opts.Links.MayCount(c.Request().Context(), &s.Caller, []string{key})
	if err == nil {
		err = may[0]
	}
	return &store.Share{Kind: store.ClickLink, Key: key}, key, err
}

// statsScreen shows the statistics of a link.
func (a *API) statsScreen(c echo.Context, s *session) error {
	share, key, err := a.countedLink(c, s)
	if err != nil {
		return err
	}
	v, q, err := a.newStats(c, share)
	if err != nil {
		return err
	}
	status := http.StatusUnprocessableEntity
	if v.Errors == nil {
		status = http.StatusOK
		if err := a.fillStats(c, share, &v, &q); err != nil {
			return err
		}
	}
	row := web.LinkRow{Path: a.linkScreenPath(key), ShortURL: a.shortURL(key)}
	a.pages.LinkStats(c.Response(), status, s.viewer(), web.LinkStats{LinkRow: row, Stats: v})
	return nil
}

// statsTotal answers the totals of the statistics as JSON.
func (a *API) statsTotal(c echo.Context, s *session) error {
	share, _, err := a.countedLink(c, s)
	if err != nil {
		return err
	}
	q, err := a.totalQuery(c)
	if err != nil {
		return err
	}
	return a.writeTotal(c, share, &q)
}

// sessionsScreen shows the sessions of the visitor's key.
func (a *API) sessionsScreen(c echo.Context, s *session) error {
	own, err := a.opts.Access.Sessions(c.Request().Context(), &s.Caller)
	if err != nil {
		return err
	}
	rows := make([]web.SessionRow, len(own))
	for i, k := range own {
		rows[i] = web.SessionRow{ID: k.ID, CreatedAt: k.CreatedAt, LastUsedAt: k.LastUsedAt, ExpiresAt: k.ExpiresAt, Current: k.ID == s.Key.ID}
	}
	v := web.SessionList{Sessions: rows}
	if v.Passkeys, v.MayHavePasskeys, err = a.passkeyRows(c, s); err != nil {
		return err
	}
	a.pages.SessionList(c.Response(), http.StatusOK, s.viewer(), v)
	return nil
}

// endSession ends another session of the visitor's key.
func (a *API) endSession(c echo.Context, s *session) error {
	err := a.opts.Access.EndSession(c.Request().Context(), &s.Caller, c.Param("id"))
	if errors.Is(err, store.ErrNotFound) {
		err = newProblem(http.StatusNotFound, "There is no such session. It has probably ended.")
	}
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, sessionsScreen)
}

// keysScreen shows the API keys and the form for a new one.
func (a *API) keysScreen(c echo.Context, s *session) error {
	v := web.KeyList{
		Chosen: []string{string(store.ScopeLinksRead), string(store.ScopeLinksWrite), string(store.ScopeStatsRead)}, Done: done[c.QueryParam(doneParam)],
	}
	return a.showKeys(c, s, http.StatusOK, v)
}

// showKeys shows v with all API keys.
func (a *API) showKeys(c echo.Context, s *session, status int, v web.KeyList) error {
	all, err := a.opts.Access.Keys(c.Request().Context(), &s.Caller)
	if err != nil {
		return err
	}
	now := a.now()
	for i := range all {
		k := &all[i]
		row := web.KeyRow{ID: k.ID, Name: k.Name, Workspace: k.Owner(), Prefix: k.Prefix, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, LastUsedAt: k.LastUsedAt}
		for _, scope := range k.Scopes {
			row.Scopes = append(row.Scopes, string(scope))
		}
		switch {
		case !k.RevokedAt.IsZero():
			row.Ended = "Revoked"
		case !k.Usable(now):
			row.Ended = "Expired"
		}
		v.Keys = append(v.Keys, row)
	}
	for _, scope := range store.Scopes() {
		if s.Require(scope) == nil {
			v.AllScopes = append(v.AllScopes, string(scope))
		}
	}
	a.pages.KeyList(c.Response(), status, s.viewer(), v)
	return nil
}

// createKey creates an API key and shows its token.
func (a *API) createKey(c echo.Context, s *session) error {
	v := web.KeyList{Name: s.form.Get("name"), Workspace: s.form.Get("workspace"), ExpiresAt: s.form.Get("expires_at"), Chosen: s.form["scopes"]}
	ends, wrong := formMoment(s.form, "expires_at")
	in := access.NewKey{Name: v.Name, Workspace: v.Workspace, ExpiresAt: ends, Err: wrong}
	for _, scope := range v.Chosen {
		in.Scopes = append(in.Scopes, store.Scope(scope))
	}
	_, token, err := a.opts.Access.CreateKey(c.Request().Context(), &s.Caller, in)
	if store.IsInvalid(err) {
		v.Errors = fieldErrors(err)
		return a.showKeys(c, s, http.StatusUnprocessableEntity, v)
	}
	if err != nil {
		return err
	}
	return a.showKeys(c, s, http.StatusOK, web.KeyList{Token: token, Chosen: v.Chosen})
}

// revokeKey revokes an API key.
func (a *API) revokeKey(c echo.Context, s *session) error {
	_, err := a.opts.Access.RevokeKey(c.Request().Context(), &s.Caller, c.Param("id"))
	if errors.Is(err, store.ErrNotFound) {
		err = newProblem(http.StatusNotFound, "There is no such API key.")
	}
	if err != nil {
		return err
	}
	return finish(c, keysScreen, "revoked")
}

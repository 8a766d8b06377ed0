package api

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/domains"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

const (
	domainsScreen = web.ConsolePath + "domains"
	domainScreen  = domainsScreen + "/:host"

	domainsPage = 100 // domains in a page of the list
)

// domainScreenPath returns the path of a domain's page.
func domainScreenPath(host string) string { return domainsScreen + "/" + url.PathEscape(host) }

// domainRow returns a domain as lists show it.
func domainRow(d *domains.Domain) web.DomainRow {
	return web.DomainRow{
		Path: domainScreenPath(d.Host), Host: d.Host, State: domainStates[d.State], Owner: d.Owner, Shared: d.Shared, Hosts: len(d.Hosts),
	}
}

// domainsScreen shows the domains and the form to add one.
func (a *API) domainsScreen(c echo.Context, s *session) error {
	return a.showDomains(c, s, http.StatusOK, web.DomainList{Done: done[c.QueryParam(doneParam)]})
}

// showDomains shows v with a page of the domains.
func (a *API) showDomains(c echo.Context, s *session, status int, v web.DomainList) error {
	after := c.QueryParam("after")
	page, next, err := a.opts.Domains.List(s, after, domainsPage)
	if err != nil {
		return err
	}
	v.Continued = after != ""
	for i := range page {
		v.Rows = append(v.Rows, domainRow(&page[i]))
	}
	if next != "" {
		v.Next = domainsScreen + "?" + url.Values{"after": {next}}.Encode()
	}
	a.pages.DomainList(c.Response(), status, s.viewer(), v)
	return nil
}

// addDomainByForm adds a domain.
func (a *API) addDomainByForm(c echo.Context, s *session) error {
	if err := a.opts.Domains.MayWrite(s); err != nil {
		return err
	}
	v := web.DomainList{Host: s.form.Get("host"), Aliases: s.form.Get("aliases"), Verified: s.form.Get("verified") == "true"}
	err := a.chargeForm(c, s)
	var d domains.Domain
	if err == nil {
		d, err = a.opts.Domains.Add(c.Request().Context(), s, domains.Addition{Host: v.Host, Aliases: lines(v.Aliases), Verified: v.Verified})
	}
	if err != nil {
		status, fields, general := a.formFailure(c, err)
		if status == 0 {
			return err
		}
		v.Errors, v.General = fields, general
		return a.showDomains(c, s, status, v)
	}
	return finish(c, domainScreenPath(d.Host), "added")
}

// formFailure returns the answer to a form that failed, and its messages: one for each field, or one about
// the whole form. The status is 0 if the error is not about the form. It sets the headers of the answer.
func (a *API) formFailure(c echo.Context, err error) (status int, fields map[string]string, general string) {
	p := a.problem(a.identified(c), err)
	switch {
	case store.IsInvalid(err):
		fields = fieldErrors(err)
	case p.Status == http.StatusConflict, p.Status == http.StatusTooManyRequests, p.Status == http.StatusServiceUnavailable:
		general = p.Detail
	default:
		return 0, nil, ""
	}
	p.setHeaders(c.Response().Header())
	return p.Status, fields, general
}

// domainOfPath returns the domain in the path of a request, and whether the visitor may change it.
func (a *API) domainOfPath(c echo.Context, s *session) (d domains.Domain, changes bool, err error) {
	d, err = a.opts.Domains.Get(c.Request().Context(), s, c.Param("host"))
	own := d.Owner == s.Owner() || s.Require(store.ScopeAdmin) == nil
	return d, own && a.opts.Domains.MayWrite(s) == nil, err
}

// changedDomain is domainOfPath for a page that changes the domain.
func (a *API) changedDomain(c echo.Context, s *session) (domains.Domain, error) {
	if err := a.opts.Domains.MayWrite(s); err != nil {
		return domains.Domain{}, err
	}
	d, changes, err := a.domainOfPath(c, s)
	if err == nil && !changes {
		err = s.Require(store.ScopeAdmin)
	}
	return d, err
}

// domainScreen shows one domain.
func (a *API) domainScreen(c echo.Context, s *session) error {
	d, changes, err := a.domainOfPath(c, s)
	if err != nil {
		return err
	}
	v := a.domainPage(s, &d, changes)
	v.Done = done[c.QueryParam(doneParam)]
	a.pages.DomainPage(c.Response(), http.StatusOK, s.viewer(), v)
	return nil
}

func (a *API) domainPage(s *session, d *domains.Domain, changes bool) web.DomainPage {
	v := web.DomainPage{
		DomainRow: domainRow(d), Changes: changes, RootURL: d.Root.URL, NotFound: d.NotFound.URL, EndedURL: d.Ended.URL,
		NoRobots: d.Robots == store.RobotsDisallow, CreatedAt: d.CreatedAt, VerifiedAt: d.VerifiedAt,
	}
	for _, h := range d.Hosts {
		shown := web.DomainHost{Host: h.Host, VerifiedAt: h.VerifiedAt}
		if changes && a.certified(h.Host) {
			status := a.opts.Certificates.Status(h.Host)
			shown.Certificate = &web.Certificate{State: string(status.State), Issuer: status.Issuer, EndsAt: status.EndsAt, Problem: status.Problem, RetryAt: status.RetryAt}
		}
		v.Hosts = append(v.Hosts, shown)
	}
	if changes {
		for _, r := range a.opts.Domains.Records(s, d) {
			v.Records = append(v.Records, web.DNSRecord{Type: r.Type, Name: r.Name, Value: r.Value})
		}
	}
	return v
}

// verifyByForm checks the hosts of a domain now, and shows what was found.
func (a *API) verifyByForm(c echo.Context, s *session) error {
	if err := a.opts.Domains.MayWrite(s); err != nil {
		return err
	}
	if err := a.chargeForm(c, s); err != nil {
		return err
	}
	d, checks, err := a.opts.Domains.Verify(c.Request().Context(), s, c.Param("host"))
	if err != nil {
		return err
	}
	v := a.domainPage(s, &d, true)
	v.Checked = true
	for _, check := range checks {
		v.Checks = append(v.Checks, web.DomainCheck(check))
	}
	a.pages.DomainPage(c.Response(), http.StatusOK, s.viewer(), v)
	return nil
}

// domainForm returns the form with the stored settings of a domain.
func domainForm(d *domains.Domain) web.DomainForm {
	v := web.DomainForm{
		Path: domainScreenPath(d.Host), Saved: d.Host, Host: d.Host, Aliases: strings.Join(aliasesOf(d), "\n"), Robots: robotsNames[d.Robots],
		Shared: d.Shared, Off: d.State == store.DomainOff, Version: strconv.FormatInt(d.Version, 10),
	}
	v.RootURL, v.RootStatus = formRedirect(&d.Root)
	v.NotFoundURL, v.NotFoundStatus = formRedirect(&d.NotFound)
	v.EndedURL, v.EndedStatus = formRedirect(&d.Ended)
	return v
}

// aliasesOf returns the hosts of a domain besides the primary one.
func aliasesOf(d *domains.Domain) (aliases []string) {
	for _, h := range d.Hosts {
		if h.Host != d.Host {
			aliases = append(aliases, h.Host)
		}
	}
	return aliases
}

func formRedirect(r *store.DomainRedirect) (target, status string) {
	if r.URL == "" {
		return "", strconv.Itoa(store.DefaultStatus)
	}
	return r.URL, strconv.Itoa(r.Status)
}

// sentDomain returns a form of d as the visitor has sent it.
func sentDomain(f url.Values, d *domains.Domain) web.DomainForm {
	is := func(name string) bool { return f.Get(name) == "true" }
	return web.DomainForm{
		Path: domainScreenPath(d.Host), Saved: d.Host, Host: f.Get("host"), Aliases: f.Get("aliases"), Robots: f.Get("robots"),
		RootURL: f.Get("root_url"), RootStatus: f.Get("root_status"), NotFoundURL: f.Get("not_found_url"), NotFoundStatus: f.Get("not_found_status"),
		EndedURL: f.Get("ended_url"), EndedStatus: f.Get("ended_status"), Shared: is("shared"), Off: is("off"), Verified: is("verified"), Version: f.Get("version"),
	}
}

// editDomainScreen shows the form for a domain.
func (a *API) editDomainScreen(c echo.Context, s *session) error {
	d, err := a.changedDomain(c, s)
	if err != nil {
		return err
	}
	a.pages.EditDomain(c.Response(), http.StatusOK, s.viewer(), domainForm(&d))
	return nil
}

// editDomainByForm changes the settings of a domain.
func (a *API) editDomainByForm(c echo.Context, s *session) error {
	d, err := a.changedDomain(c, s)
	if err != nil {
		return err
	}
	v := sentDomain(s.form, &d)
	if err = a.chargeForm(c, s); err == nil {
		var edited domains.Domain
		if edited, err = a.opts.Domains.Update(c.Request().Context(), s, d.Host, domainEdit(&v, &d)); err == nil {
			return finish(c, domainScreenPath(edited.Host), "domain")
		}
	}
	if errors.Is(err, domains.ErrChanged) {
		if d, err = a.changedDomain(c, s); err != nil {
			return err
		}
		v.Conflict, v.Version = domainDifferences(&v, &d), strconv.FormatInt(d.Version, 10)
		a.pages.EditDomain(c.Response(), http.StatusPreconditionFailed, s.viewer(), v)
		return nil
	}
	status, fields, general := a.formFailure(c, err)
	if status == 0 {
		return err
	}
	v.Errors, v.General = fields, general
	a.pages.EditDomain(c.Response(), status, s.viewer(), v)
	return nil
}

// domainEdit returns the edit of d that a form asks for.
func domainEdit(v *web.DomainForm, d *domains.Domain) domains.Edit {
	e := domains.Edit{Versions: versionsOf(`"` + v.Version + `"`), Off: &v.Off, Verified: v.Verified, Settings: domains.Settings{Shared: &v.Shared}}
	if v.Host != d.Host {
		e.Host = &v.Host
	}
	if aliases := lines(v.Aliases); !slices.Equal(aliases, aliasesOf(d)) {
		e.Aliases = &aliases
	}
	var wrong [4]error
	policy := slices.Index(robotsNames[:], v.Robots)
	if policy < 0 {
		wrong[0] = &store.FieldError{Field: "robots", Reason: "must be default or disallow"}
	}
	e.Robots = new(store.RobotsPolicy(max(policy, 0))) //nolint:gosec // the index of a short list
	e.Root, wrong[1] = sentRedirect("root", &v.RootURL, v.RootStatus, &d.Root)
	e.NotFound, wrong[2] = sentRedirect("not_found", &v.NotFoundURL, v.NotFoundStatus, &d.NotFound)
	e.Ended, wrong[3] = sentRedirect("ended", &v.EndedURL, v.EndedStatus, &d.Ended)
	e.Err = store.JoinInvalid(wrong[:]...)
	return e
}

// sentRedirect reads a redirect of a form. Without a target, the status has no meaning. A redirect that is stored already is
// no change, so that a target which was blocked later does not hinder other changes.
func sentRedirect(name string, target *string, status string, stored *store.DomainRedirect) (domains.Redirect, error) {
	if storedTarget, storedStatus := formRedirect(stored); *target == storedTarget && (*target == "" || status == storedStatus) {
		return domains.Redirect{}, nil
	}
	r := domains.Redirect{URL: target}
	if *target == "" {
		return r, nil
	}
	n, err := strconv.Atoi(status)
	if err != nil {
		return r, &store.FieldError{Field: name + "_status", Reason: "must be 301, 302, 307 or 308"}
	}
	r.Status = &n
	return r, nil
}

// domainDifferences returns the fields in which a form differs from the domain as it is stored now.
func domainDifferences(v *web.DomainForm, d *domains.Domain) (changed []web.Difference) {
	stored := domainForm(d)
	for _, f := range []web.Difference{
		{Field: "Host", Yours: v.Host, Theirs: stored.Host},
		{Field: "Further hosts", Yours: strings.Join(lines(v.Aliases), ", "), Theirs: strings.Join(aliasesOf(d), ", ")},
		{Field: "robots.txt", Yours: v.Robots, Theirs: stored.Robots},
		{Field: "Path / leads to", Yours: v.RootURL, Theirs: stored.RootURL},
		{Field: "Status of path /", Yours: v.RootStatus, Theirs: stored.RootStatus},
		{Field: "Unknown links lead to", Yours: v.NotFoundURL, Theirs: stored.NotFoundURL},
		{Field: "Status of unknown links", Yours: v.NotFoundStatus, Theirs: stored.NotFoundStatus},
		{Field: "Ended links lead to", Yours: v.EndedURL, Theirs: stored.EndedURL},
		{Field: "Status of ended links", Yours: v.EndedStatus, Theirs: stored.EndedStatus},
		{Field: "All workspaces may create links", Yours: yesNo(v.Shared), Theirs: yesNo(stored.Shared)},
		{Field: "Turned off", Yours: yesNo(v.Off), Theirs: yesNo(stored.Off)},
	} {
		if f.Yours != f.Theirs {
			changed = append(changed, f)
		}
	}
	if len(changed) == 0 {
		changed = []web.Difference{{Field: "Version", Yours: v.Version, Theirs: stored.Version}}
	}
	return changed
}

// removeDomainScreen asks before a domain is removed.
func (a *API) removeDomainScreen(c echo.Context, s *session) error {
	return a.askRemoval(c, s, http.StatusOK, false)
}

func (a *API) askRemoval(c echo.Context, s *session, status int, inUse bool) error {
	d, err := a.changedDomain(c, s)
	if err != nil {
		return err
	}
	a.pages.RemoveDomain(c.Response(), status, s.viewer(), web.DomainRemoval{DomainRow: domainRow(&d), Version: strconv.FormatInt(d.Version, 10), InUse: inUse})
	return nil
}

// removeDomainByForm removes a domain in the version that the visitor has seen.
func (a *API) removeDomainByForm(c echo.Context, s *session) error {
	err := a.opts.Domains.Remove(c.Request().Context(), s, c.Param("host"), versionsOf(`"`+s.form.Get("version")+`"`), s.form.Get("force") == "true")
	if _, inUse := errors.AsType[*domains.InUseError](err); inUse {
		return a.askRemoval(c, s, http.StatusConflict, true)
	}
	if err != nil {
		return err
	}
	return finish(c, domainsScreen, "domain-removed")
}

package api

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/terse/terse/links"
	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// formSecond is the layout of a datetime-local input with seconds.
const formSecond = "2006-01-02T15:04:05"

// formMoment returns the time in a field of a form, in UTC; zero for an empty field.
func formMoment(f url.Values, field string) (time.Time, error) {
	text := f.Get(field)
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{formSecond, formTime} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, &store.FieldError{Field: field, Reason: "must be a date and a time"}
}

// shownMoment returns t in a datetime-local input.
func shownMoment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(formSecond)
}

// formNumber returns the whole number in a field of a form; 0 for an empty field.
func formNumber(f url.Values, field string) (int64, error) {
	text := strings.TrimSpace(f.Get(field))
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, &store.FieldError{Field: field, Reason: "must be a whole number"}
	}
	return n, nil
}

// lines returns the lines of a text that are not empty.
func lines(text string) []string {
	all := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	return slices.DeleteFunc(all, func(line string) bool { return line == "" })
}

// shownValue returns the value of a field in the history as text; empty for an unset field.
func shownValue(field string, value any) string {
	switch v := historyValue(field, value).(type) {
	case nil:
		return ""
	case []string:
		return strings.Join(v, ", ")
	case string:
		return v
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	default:
		text, err := json.Marshal(v)
		if err != nil { // a value of the history always has JSON
			return fmt.Sprint(v)
		}
		return string(text)
	}
}

// formOf returns the form with the stored fields of a link.
func (a *API) formOf(l *store.Link) web.LinkForm {
	v := web.LinkForm{
		Path: a.linkScreenPath(l.Code), ShortURL: a.shortURL(l.Code), URL: l.URL, Title: l.Title, Tags: strings.Join(l.Tags, "\n"),
		StartsAt: shownMoment(l.StartsAt), ExpiresAt: shownMoment(l.ExpiresAt), Status: strconv.Itoa(l.Status), ForwardQuery: forwardNames[l.ForwardQuery],
		Confirm: l.Confirm, ForwardPath: l.ForwardPath, NoVisitors: l.NoVisitors, Protected: l.PasswordHash != "", Version: strconv.FormatInt(l.Version, 10),
		Rules: shownRules(l.Rules), Renames: l.DomainID() == "" && a.opts.Links.RenamedTo(l) == "", OldAlias: oldRedirects,
	}
	if v.Renames {
		v.Alias = l.Code
	}
	if l.MaxClicks > 0 {
		v.MaxClicks = strconv.FormatInt(l.MaxClicks, 10)
	}
	return v
}

// Values of old_alias: what happens to the old code of a renamed link.
const (
	oldRedirects = "redirect"
	oldGone      = "gone"
)

// shownRules returns stored rules as JSON with line breaks; empty without rules.
func shownRules(stored string) string {
	var b bytes.Buffer
	if stored == "" || json.Indent(&b, []byte(stored), "", "  ") != nil {
		return stored
	}
	return b.String()
}

// sentRules reads the rules in a form: a JSON list, or nothing. The error names every wrong member.
func (a *API) sentRules(text string) (*[]rules.Rule, error) {
	if strings.TrimSpace(text) == "" {
		return &[]rules.Rule{}, nil
	}
	if !jsontext.Value(text).IsValid() {
		return nil, &store.FieldError{Field: "rules", Reason: "must be a JSON list: " + jsonProblem(text)}
	}
	if jsontext.Value(text).Kind() != jsontext.KindBeginArray {
		return nil, &store.FieldError{Field: "rules", Reason: "must be a JSON list, which begins with [ and ends with ]"}
	}
	in, err := decode[editInput](a.schemas, []byte(`{"rules":`+text+`}`))
	if err != nil {
		return nil, err
	}
	return &in.Rules.value, nil
}

// jsonProblem says why a text is no JSON value.
func jsonProblem(text string) string {
	var parsed any
	if err := readJSON([]byte(text), &parsed); err != nil {
		return err.Error()
	}
	return "it has more than one value"
}

// sentForm returns a form as the visitor has sent it, without the password.
func sentForm(f url.Values) web.LinkForm {
	return web.LinkForm{
		URL: f.Get("url"), Domain: f.Get("domain"), Alias: f.Get("alias"), Title: f.Get("title"), Tags: f.Get("tags"), StartsAt: f.Get("starts_at"),
		ExpiresAt: f.Get("expires_at"), MaxClicks: f.Get("max_clicks"), Status: f.Get("status"), ForwardQuery: f.Get("forward_query"),
		Rules: f.Get("rules"), OldAlias: f.Get("old_alias"),
		Confirm: f.Get("confirm") == "true", ForwardPath: f.Get("forward_path") == "append", NoVisitors: f.Get("no_visitors") == "true", RemovePassword: f.Get("remove_password") == "true", Version: f.Get("version"), Nonce: f.Get("nonce"),
	}
}

// sentSettings returns the target and the settings of a form. The error names every unreadable field.
// The settings have all fields, except for a password that the form does not change.
func (a *API) sentSettings(f url.Values) (target string, set links.Settings, err error) {
	v := sentForm(f)
	starts, wrongStart := formMoment(f, "starts_at")
	ends, wrongEnd := formMoment(f, "expires_at")
	most, wrongMost := formNumber(f, "max_clicks")
	status, wrongStatus := formNumber(f, "status")
	ruled, wrongRules := a.sentRules(v.Rules)
	var wrongForward, wrongPassword error
	if !slices.Contains(forwardNames[:], v.ForwardQuery) {
		wrongForward = &store.FieldError{Field: "forward_query", Reason: "must be off, append or override"}
	}
	password := f.Get("password")
	if password != "" && v.RemovePassword {
		wrongPassword = &store.FieldError{Field: "password", Reason: "must be empty when the password is removed"}
	}
	tags := lines(v.Tags)
	set = links.Settings{
		Title: &v.Title, Tags: &tags, StartsAt: &starts, ExpiresAt: &ends, MaxClicks: &most, Confirm: &v.Confirm, ForwardPath: &v.ForwardPath, NoVisitors: &v.NoVisitors, Rules: ruled,
		Status: new(int(status)), ForwardQuery: new(parseForward(v.ForwardQuery)),
	}
	if password != "" || v.RemovePassword {
		set.Password = &password
	}
	return v.URL, set, store.JoinFound(wrongRules, wrongStart, wrongEnd, wrongMost, wrongStatus, wrongForward, wrongPassword)
}

// sharedAddress is an address in a text that another app shares.
var sharedAddress = regexp.MustCompile(`https?://\S+`)

// newScreen shows the form for a new link. The parameters url, title, domain and tags fill it in. Some apps share an address
// in the parameter text.
func (a *API) newScreen(c echo.Context, s *session) error {
	if err := a.opts.Links.May(&s.Caller, links.Creating); err != nil {
		return err
	}
	p := c.QueryParams()
	a.pages.NewLink(c.Response(), http.StatusOK, s.viewer(), web.LinkForm{
		URL: cmp.Or(p.Get("url"), sharedAddress.FindString(p.Get("text"))), Title: p.Get("title"), Tags: p.Get("tags"), Domain: p.Get("domain"), Nonce: rand.Text(),
		Status: strconv.Itoa(store.DefaultStatus), ForwardQuery: forwardNames[store.ForwardOff],
	})
	return nil
}

// createByForm creates a link. The same form sent twice makes one link.
func (a *API) createByForm(c echo.Context, s *session) error {
	ctx, f := c.Request().Context(), s.form
	if err := a.opts.Links.May(&s.Caller, links.Creating); err != nil {
		return err
	}
	if err := a.chargeForm(c, s); err != nil {
		return a.showFormError(c, s, a.pages.NewLink, sentForm(f), err)
	}
	target, set, wrong := a.sentSettings(f)
	d := links.Draft{URL: target, Settings: set, Err: wrong}
	if alias := f.Get("alias"); alias != "" {
		d.Alias = &alias
	}
	if host := f.Get("domain"); host != "" {
		d.Domain = &host
	}
	if f.Get("nonce") != "" {
		text := f.Encode()
		sum := sha256.Sum256([]byte(text))
		d.Key, d.Request = "form "+hex.EncodeToString(sum[:]), []byte(text)
	}
	created := a.create(ctx, s.caller, d)
	if created.Err != nil {
		return a.showFormError(c, s, a.pages.NewLink, sentForm(f), created.Err)
	}
	if s.Require(store.ScopeLinksRead) != nil { // the page of the link would be refused
		return c.Redirect(http.StatusSeeOther, "/?"+url.Values{createdParam: {created.Link.Code}}.Encode())
	}
	return finish(c, a.linkScreenPath(created.Link.Code), "created")
}

// chargeForm counts a create or an edit. It returns a 429 if the limit is reached.
func (a *API) chargeForm(c echo.Context, s *session) error {
	taken, headers := a.takeCreates(c.Request().Context(), s.caller, 1)
	headers.set(c.Response().Header())
	if taken.Allowed == 0 {
		return tooMany(createsUsedUp, taken, headers)
	}
	return nil
}

// showFormError shows a form again, with its errors. It returns errors that are not about the form.
func (a *API) showFormError(c echo.Context, s *session, show func(http.ResponseWriter, int, web.Viewer, web.LinkForm), v web.LinkForm, err error) error {
	p := a.problem(a.identified(c), err)
	switch {
	case store.IsInvalid(err):
		v.Errors, v.RuleErrors = fieldErrors(err), ruleErrors(err)
	case errors.Is(err, store.ErrExists):
		v.Errors = map[string]string{"alias": "is taken"}
	case p.Status == http.StatusTooManyRequests, p.Status == http.StatusServiceUnavailable:
		v.General = p.Detail
	default:
		return err
	}
	p.setHeaders(c.Response().Header())
	show(c.Response(), p.Status, s.viewer(), v)
	return nil
}

// ruleErrors returns a message for each problem in rules, such as "rules[0].to is required".
func ruleErrors(err error) (messages []string) {
	all, _ := errors.AsType[store.InvalidError](store.JoinInvalid(err))
	for _, e := range all {
		if e.Member() == "rules" {
			messages = append(messages, e.Field+" "+e.Reason)
		}
	}
	return messages
}

// editScreen shows the form for an existing link.
func (a *API) editScreen(c echo.Context, s *session) error {
	if err := a.opts.Links.May(&s.Caller, links.Editing); err != nil {
		return err
	}
	l, err := a.linkOfPath(c, s)
	if err != nil {
		return err
	}
	a.pages.EditLink(c.Response(), http.StatusOK, s.viewer(), a.formOf(&l))
	return nil
}

// editByForm changes the fields of a link that differ from what the form has shown.
func (a *API) editByForm(c echo.Context, s *session) error {
	ctx, f := c.Request().Context(), s.form
	if err := a.opts.Links.May(&s.Caller, links.Editing); err != nil {
		return err
	}
	l, err := a.linkOfPath(c, s)
	if err != nil {
		return err
	}
	v := a.sentEdit(f, &l)
	if err := a.chargeForm(c, s); err != nil {
		return a.showFormError(c, s, a.pages.EditLink, v, err)
	}
	target, set, wrong := a.sentSettings(f)
	if v.Version != strconv.FormatInt(l.Version, 10) {
		return a.showConflict(c, s, v, &l)
	}
	keep(&set, &l)
	rename, badRename := sentRename(f, &l)
	edited, err := a.opts.Links.Edit(ctx, &s.Caller, l.Code, links.Edit{
		Versions: links.Versions{l.Version}, URL: &target, Settings: set, Rename: rename, Err: store.JoinFound(wrong, badRename),
	})
	if errors.Is(err, store.ErrVersion) {
		if l, err = a.linkOfPath(c, s); err != nil {
			return err
		}
		return a.showConflict(c, s, v, &l)
	}
	if err != nil {
		return a.showFormError(c, s, a.pages.EditLink, v, err)
	}
	if rename != nil {
		return finish(c, a.linkScreenPath(edited.Code), "renamed")
	}
	if edited.Version == l.Version {
		return finish(c, v.Path, "unchanged")
	}
	return finish(c, v.Path, "saved")
}

// sentRename returns the rename that a form of l asks for; nil if the alias is not in the form or is the
// code of the link.
func sentRename(f url.Values, l *store.Link) (*links.Rename, error) {
	alias, old := f.Get("alias"), f.Get("old_alias")
	if !f.Has("alias") || alias == l.BareCode() {
		return nil, nil
	}
	r := &links.Rename{Alias: alias}
	switch old {
	case "", oldRedirects:
	case oldGone:
		r.Old = links.OldGone
	default:
		return r, &store.FieldError{Field: "old_alias", Reason: "must be redirect or gone"}
	}
	return r, nil
}

// sentEdit returns the form of an edit of l as the visitor has sent it.
func (a *API) sentEdit(f url.Values, l *store.Link) web.LinkForm {
	v, stored := sentForm(f), a.formOf(l)
	v.Path, v.ShortURL, v.Protected, v.Renames = stored.Path, stored.ShortURL, stored.Protected, stored.Renames
	return v
}

// keep leaves the times of a link as they are when the form shows the same second. A link may have
// times with fractions of a second, which the form cannot show.
func keep(set *links.Settings, l *store.Link) {
	for _, t := range []struct {
		sent   **time.Time
		stored time.Time
	}{{&set.StartsAt, l.StartsAt}, {&set.ExpiresAt, l.ExpiresAt}} {
		if (*t.sent).Equal(t.stored.Truncate(time.Second)) {
			*t.sent = nil
		}
	}
}

// compactRules returns rules without white space, as they are stored. A text that is no JSON is returned
// unchanged.
func compactRules(text string) string {
	var b bytes.Buffer
	switch {
	case json.Compact(&b, []byte(text)) != nil:
		return text
	case b.String() == "[]":
		return ""
	}
	return b.String()
}

// yesNo returns a switch as text.
func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// showConflict shows the form of an edit again after another edit of the link, with the differences.
// The form then replaces the version that it shows.
func (a *API) showConflict(c echo.Context, s *session, v web.LinkForm, l *store.Link) error {
	stored := a.formOf(l)
	v.Version = stored.Version
	second := func(text string) string { return strings.TrimSuffix(text, ":00") } // browsers leave out seconds of 0
	for _, d := range []web.Difference{
		{Field: "Target", Yours: v.URL, Theirs: stored.URL},
		{Field: "Title", Yours: v.Title, Theirs: stored.Title},
		{Field: "Tags", Yours: strings.Join(lines(v.Tags), ", "), Theirs: strings.Join(l.Tags, ", ")},
		{Field: "Starts", Yours: second(v.StartsAt), Theirs: second(stored.StartsAt)},
		{Field: "Expires", Yours: second(v.ExpiresAt), Theirs: second(stored.ExpiresAt)},
		{Field: "Click limit", Yours: v.MaxClicks, Theirs: stored.MaxClicks},
		{Field: "Status", Yours: v.Status, Theirs: stored.Status},
		{Field: "Query of a visit", Yours: v.ForwardQuery, Theirs: stored.ForwardQuery},
		{Field: "Rules", Yours: compactRules(v.Rules), Theirs: l.Rules},
		{Field: "The path of a visit is added", Yours: yesNo(v.ForwardPath), Theirs: yesNo(stored.ForwardPath)},
		{Field: "Visitors are not counted", Yours: yesNo(v.NoVisitors), Theirs: yesNo(stored.NoVisitors)},
		{Field: "Visitors press Continue first", Yours: yesNo(v.Confirm), Theirs: yesNo(stored.Confirm)},
	} {
		if d.Yours != d.Theirs {
			v.Conflict = append(v.Conflict, d)
		}
	}
	if len(v.Conflict) == 0 {
		v.Conflict = []web.Difference{{Field: "Version", Yours: s.form.Get("version"), Theirs: stored.Version}}
	}
	a.pages.EditLink(c.Response(), http.StatusPreconditionFailed, s.viewer(), v)
	return nil
}

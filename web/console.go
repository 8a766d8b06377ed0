package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ConsolePath begins the paths of the console: the pages for people who manage links.
// Every form posts to a path below it, so that the caller can check it by the session.
const ConsolePath = "/~/"

// Viewer is the person who sees a page of the console. A page has no button for an action that the
// viewer may not do; the caller checks each action again.
type Viewer struct {
	Name      string // of the API key, the member or the one-time link that signed in
	Workspace string // whose links the viewer sees
	Writes    bool   // may create, edit and delete links
	Counts    bool   // may read statistics
	Domains   bool   // may see domains
	Hosts     bool   // may add and change domains
	Manages   bool   // may manage members and API keys of the workspace
	Admin     bool   // may disable links, and manages and sees all workspaces
}

// SignIn is the view model of the page to sign in. Its form posts key and return_to.
type SignIn struct {
	Providers  []Provider    // where the person can sign in instead
	Passkeys   bool          // whether browsers may have passkeys here
	Person     string        // whom the proxy in front of this server names; may be empty
	PersonPath string        // signs that person in
	ReturnTo   string        // path to open afterwards; empty for the list of links
	Error      string        // message about the last attempt
	RetryAfter time.Duration // when the next attempt is allowed; 0 means now
}

// Provider is an identity provider.
type Provider struct {
	Name string
	Path string // leads to the provider
}

// SignIn writes the page to sign in.
func (p *Pages) SignIn(w http.ResponseWriter, status int, v SignIn) {
	p.console.signIn.write(w, status, view{Site: p.opts, Name: "Sign in", Page: v})
}

// Invitation is the view model of the page of an invitation. Its form posts nothing to the page's own address.
type Invitation struct {
	Name      string // of the person who is invited
	Workspace string
	Role      string // as in the API

	Passkeys    bool   // whether the person may have a passkey
	PasskeyPath string // to which the form with a new passkey posts
}

// Invitation writes the page of an invitation.
func (p *Pages) Invitation(w http.ResponseWriter, status int, v Invitation) {
	p.console.invitation.write(w, status, view{Site: p.opts, Name: "Join " + v.Workspace, Page: v})
}

// Welcome is the view model of the page for a person who has accepted an invitation.
type Welcome struct {
	Name      string // of the person
	Workspace string
	Key       string // the sign-in key, shown once
}

// Welcome writes the page for a person who has accepted an invitation.
func (p *Pages) Welcome(w http.ResponseWriter, status int, v Welcome) {
	p.console.welcome.write(w, status, view{Site: p.opts, Name: "Welcome", Page: v})
}

// OneTimeLink writes the page of a one-time link. Its form posts nothing to the page's own address:
// programs that only read a link do not use it.
func (p *Pages) OneTimeLink(w http.ResponseWriter, status int) {
	p.console.oneTime.write(w, status, view{Site: p.opts, Name: "Sign in"})
}

// LinkRow is one link in a list.
type LinkRow struct {
	Path      string // of the link's page
	ShortURL  string
	URL       string // target
	Title     string
	Tags      []string
	State     string // as in the API: live, disabled, expired, used_up or not_started
	Owner     string // shown to administrators
	Clicks    int64
	Robots    int64
	CreatedAt time.Time
	Protected bool // whether visitors enter a password
}

// Name returns the short URL without its scheme.
func (r LinkRow) Name() string { return withoutScheme(r.ShortURL) }

func withoutScheme(address string) string {
	_, rest, found := strings.Cut(address, "://")
	if !found {
		return address
	}
	return rest
}

// Ref names the link in the form for several links.
func (r LinkRow) Ref() string { return strings.TrimPrefix(r.Path, ConsolePath+"links/") }

// StateText returns the state for people; empty for a live link.
func (r LinkRow) StateText() string {
	return map[string]string{"disabled": "Disabled", "expired": "Expired", "used_up": "Used up", "not_started": "Not started"}[r.State]
}

// LinkList is the view model of the list of links. Its form sends q, tag, domain, state, created_from,
// created_until and owner by GET. A second form posts action, tag and link, see Bulk.
type LinkList struct {
	Search, Tag, Domain, Owner       string // the visitor's input
	State, CreatedFrom, CreatedUntil string // the visitor's input
	Rows                             []LinkRow
	Export                           string            // address of all links that match, as a file
	Next                             string            // address of the next page; empty on the last one
	Continued                        bool              // whether this is not the first page
	Unavailable                      bool              // whether links are missing because a shard does not answer
	Errors                           map[string]string // one message for each invalid field
	Done                             string            // what the last action has done
}

// Filtered reports whether the list is a part of all links.
func (v LinkList) Filtered() bool {
	return v.Search+v.Tag+v.Domain+v.Owner+v.State+v.CreatedFrom+v.CreatedUntil != ""
}

// States returns the choices of the state.
func (LinkList) States() []choice {
	return []choice{{"", "All"}, {"live", "Live"}, {"not_started", "Not started"}, {"expired", "Expired"}, {"used_up", "Used up"}, {"disabled", "Disabled"}}
}

// TagPath returns the address of the list of the links with a tag.
func (LinkList) TagPath(tag string) string {
	return ConsolePath + "links?" + url.Values{"tag": {tag}}.Encode()
}

// LinkList writes the list of links.
func (p *Pages) LinkList(w http.ResponseWriter, status int, who Viewer, v LinkList) {
	p.console.list.write(w, status, p.screen(who, "Links", "links", v))
}

// LinkForm is the view model of the form for a new link or for an existing one. It posts the fields of
// the API, version and remove_password.
type LinkForm struct {
	Path     string // the form posts to it; empty: a new link
	ShortURL string // of an existing link

	// The visitor's input.
	URL, Domain, Alias, Title, Tags, StartsAt, ExpiresAt, MaxClicks, Status, ForwardQuery string // tags: one on each line
	Rules, OldAlias                                                                       string // rules: JSON
	Confirm, ForwardPath, NoVisitors, RemovePassword                                      bool

	Protected bool   // whether the link has a password
	Renames   bool   // whether the link can get another code
	Version   string // the version that the form shows

	Nonce    string            // of a new link: a form that is sent twice makes one link
	Errors   map[string]string // one message for each invalid field
	General  string            // message about the whole form
	Conflict []Difference      // changes of another editor in the meantime

	RuleErrors []string // one message for each problem in the rules
}

// Difference is a field with two values.
type Difference struct{ Field, Yours, Theirs string }

// Others returns messages about fields that are not in the form.
func (v LinkForm) Others() (messages []string) {
	shown := []string{"url", "domain", "alias", "title", "tags", "starts_at", "expires_at", "max_clicks", "status", "forward_query", "password", "rules", "old_alias"}
	return otherMessages(v.Errors, shown)
}

// Statuses returns the choices of the status.
func (LinkForm) Statuses() []choice {
	return []choice{{"302", "302: may change"}, {"301", "301: permanent"}, {"307", "307: as 302, keeps the method"}, {"308", "308: as 301, keeps the method"}}
}

// OldAliases returns the choices of old_alias.
func (LinkForm) OldAliases() []choice {
	return []choice{{"redirect", "Redirect to the new code"}, {"gone", "Delete it"}}
}

// Forwards returns the choices of forward_query.
func (LinkForm) Forwards() []choice {
	return []choice{{"off", "Drop it"}, {"append", "Add it to the target"}, {"override", "Add it, and replace equal names"}}
}

// NewLink writes the form for a new link.
func (p *Pages) NewLink(w http.ResponseWriter, status int, who Viewer, v LinkForm) {
	p.console.form.write(w, status, p.screen(who, "New link", "new", v))
}

// EditLink writes the form for an existing link.
func (p *Pages) EditLink(w http.ResponseWriter, status int, who Viewer, v LinkForm) {
	p.console.form.write(w, status, p.screen(who, "Edit "+withoutScheme(v.ShortURL), "", v))
}

// LinkPage is the view model of the page of one link. For administrators it has a form that posts version
// and reason to disable or enable.
type LinkPage struct {
	LinkRow
	QRPath         string // address of the QR code, with a query
	Status         int
	ForwardQuery   string
	StartsAt       time.Time
	ExpiresAt      time.Time
	MaxClicks      int64
	UsedClicks     int64
	Confirm        bool
	ForwardPath    bool          // whether the path of a visit is added to the target
	NoVisitors     bool          // whether statistics leave out visitors
	Rules          []PreviewRule // other targets for some visits, in order
	DisabledReason string
	UpdatedAt      time.Time
	LastClickAt    time.Time
	Version        int64
	Done           string // what the last action has done

	Reason string            // the visitor's input in the form to disable the link or to enable it
	Errors map[string]string // one message for each invalid field of this form
}

// Disabled reports whether the link is disabled.
func (v LinkPage) Disabled() bool { return v.State == "disabled" }

// Forward returns the choice of forward_query for people.
func (v LinkPage) Forward() string {
	for _, c := range (LinkForm{}).Forwards() {
		if c.Value == v.ForwardQuery {
			return c.Text
		}
	}
	return v.ForwardQuery
}

// LinkPage writes the page of a link.
func (p *Pages) LinkPage(w http.ResponseWriter, status int, who Viewer, v LinkPage) {
	p.console.link.write(w, status, p.screen(who, v.Name(), "", v))
}

// DeleteLink writes the page that asks before a link is deleted. Its form posts version.
func (p *Pages) DeleteLink(w http.ResponseWriter, status int, who Viewer, v LinkPage) {
	p.console.remove.write(w, status, p.screen(who, "Delete "+v.Name(), "", v))
}

// History is the view model of the changes of a link. Its forms post version, the version with the
// target, and current, the version that the link must have.
type History struct {
	LinkRow
	Version int64 // of the link now
	Entries []Revision
	Older   string // address of older changes; empty on the last page
}

// Revision is one change of a link.
type Revision struct {
	Version int64
	At      time.Time
	Action  string
	Actor   string
	Note    string
	Changes []Change
	Back    bool // whether the link can go back to the target of this version
}

// Change is one changed field. A value is empty if the field was not set.
type Change struct{ Field, Before, After string }

// History writes the changes of a link.
func (p *Pages) History(w http.ResponseWriter, status int, who Viewer, v History) {
	p.console.history.write(w, status, p.screen(who, "History of "+v.Name(), "", v))
}

// LinkStats is the view model of the statistics of a link in the console.
type LinkStats struct {
	LinkRow
	Stats Stats
}

// LinkStats writes the statistics of a link.
func (p *Pages) LinkStats(w http.ResponseWriter, status int, who Viewer, v LinkStats) {
	p.console.stats.write(w, status, p.screen(who, "Clicks: "+v.Stats.Subject.Heading(), "", linkStats{v.LinkRow, statsView{v.Stats}}))
}

type linkStats struct {
	LinkRow
	Stats statsView
}

// KeyList is the view model of the API keys and of the form for a new one, which posts name,
// workspace, scopes and expires_at. Each key has a form that posts to revoke/ID.
type KeyList struct {
	Keys                       []KeyRow
	Name, Workspace, ExpiresAt string // the visitor's input
	Chosen                     []string
	AllScopes                  []string
	Errors                     map[string]string
	Token                      string // of the new key, shown once
	Done                       string // what the last action has done
}

// KeyRow is one API key.
type KeyRow struct {
	ID, Name, Workspace, Prefix      string
	Scopes                           []string
	CreatedAt, ExpiresAt, LastUsedAt time.Time
	Ended                            string // revoked or expired; empty for a usable key
}

// Has reports whether the form has a scope.
func (v KeyList) Has(scope string) bool { return slices.Contains(v.Chosen, scope) }

// KeyList writes the API keys.
func (p *Pages) KeyList(w http.ResponseWriter, status int, who Viewer, v KeyList) {
	p.console.keys.write(w, status, p.screen(who, "API keys", "keys", v))
}

// SessionRow is one session of the viewer. Its form posts to end/ID.
type SessionRow struct {
	ID                               string
	CreatedAt, LastUsedAt, ExpiresAt time.Time
	Current                          bool // whether it is the session of this request
}

// SessionList is the view model of the sessions and the passkeys of the viewer. A form posts a new passkey to passkeys.
type SessionList struct {
	Sessions        []SessionRow
	MayHavePasskeys bool
	Passkeys        []PasskeyRow
}

// PasskeyRow is a passkey of the viewer. Its form posts to passkeys/remove/ID.
type PasskeyRow struct {
	ID, Name              string
	CreatedAt, LastUsedAt time.Time
}

// SessionList writes the sessions and the passkeys of the viewer.
func (p *Pages) SessionList(w http.ResponseWriter, status int, who Viewer, v SessionList) {
	p.console.sessions.write(w, status, p.screen(who, "Sessions", "sessions", v))
}

// ConsoleError writes an error page of the console.
func (p *Pages) ConsoleError(w http.ResponseWriter, status int, who Viewer, v Problem) {
	words := wordsFor(status)
	v.Status, v.Title = status, words.title
	p.console.problem.write(w, status, p.screen(who, v.Title, "", v))
}

// screen returns the data of a page of the console.
func (p *Pages) screen(who Viewer, name, section string, page any) view {
	return view{Site: p.opts, Name: name, Page: page, Viewer: &who, Section: section}
}

// console are the pages of the console.
type console struct {
	signIn, oneTime, invitation, welcome, list, tags, groupStats, domains, domain, editDomain, removeDomain, reports, blocklist, upload, columns, imported, bulk, form, link, qr, explain, remove, history, stats, keys, members, sessions, problem page
}

func newConsole() console {
	screen := func(name string) page {
		return page{file: "console/" + name + ".html", forms: formsToSelf, referrer: "same-origin", console: true}
	}
	return console{
		signIn: screen("signin"), oneTime: screen("onetime"), invitation: screen("invitation"), welcome: screen("welcome"), list: screen("links"), tags: screen("tags"), groupStats: screen("groupstats"), domains: screen("domains"), domain: screen("domain"), editDomain: screen("editdomain"), removeDomain: screen("removedomain"), reports: screen("reports"), blocklist: screen("blocklist"), upload: screen("import"), columns: screen("importcolumns"), imported: screen("importreport"), bulk: screen("bulk"), form: screen("form"), link: screen("link"),
		qr: screen("qr"), explain: screen("explain"), remove: screen("delete"), history: screen("history"), stats: screen("stats"), keys: screen("keys"), members: screen("members"), sessions: screen("sessions"), problem: screen("problem"),
	}
}

// all returns every page.
func (c *console) all() []*page {
	return []*page{&c.signIn, &c.oneTime, &c.invitation, &c.welcome, &c.list, &c.tags, &c.groupStats, &c.domains, &c.domain, &c.editDomain, &c.removeDomain, &c.reports, &c.blocklist, &c.upload, &c.columns, &c.imported, &c.bulk, &c.form, &c.link, &c.qr, &c.explain, &c.remove, &c.history, &c.stats, &c.keys, &c.members, &c.sessions, &c.problem}
}

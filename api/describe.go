package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// intro is the beginning of the document's description, in Markdown.
const intro = `Create and manage short links.

## Keys

Most calls need an API key in the header ` + "`Authorization: Bearer tk_…`" + `. An administrator creates keys with
` + "`terse key create`" + `. A key has scopes:

| scope | allows |
|---|---|
| ` + "`links:read`" + ` | read and list the links of the key, and their history |
| ` + "`links:write`" + ` | create, edit, delete and roll back the links of the key |
| ` + "`stats:read`" + ` | read the statistics of the links of the key |
| ` + "`domains:read`" + ` | read and list the domains of the key, and shared ones |
| ` + "`domains:write`" + ` | add, change, verify and remove the domains of the key |
| ` + "`workspace:write`" + ` | manage the members, the invitations and the API keys of the workspace |
| ` + "`admin`" + ` | everything, on the links, domains and workspaces of all owners |

Without a key, you can draw QR codes, and create links unless this server turned that off.

## Errors

An error is ` + "`application/problem+json`" + ` (RFC 9457). ` + "`type`" + ` never changes for a kind of error, so programs can compare it.
` + "`detail`" + ` explains the error. ` + "`errors`" + ` names all wrong fields, at most 20: ` + "`location`" + ` is the field, such as
` + "`body.url`" + `, and ` + "`message`" + ` is the reason. ` + "`instance`" + ` is the request's id in the server's log.

| type | status | meaning |
|---|---|---|
`

// limitsText is the end of the document's description.
const limitsText = `
## Limits

` + "`RateLimit`" + ` and ` + "`RateLimit-Policy`" + ` describe the limit of a call. After 429 and 503, wait for the seconds in ` + "`Retry-After`" + `.
Send an ` + "`Idempotency-Key`" + ` with a create. Then you can repeat the create after a timeout or an error, and it makes no second link.
`

// infoText returns the description of the document, with every type of problem.
func infoText() string {
	var b strings.Builder
	b.WriteString(intro)
	for _, k := range kinds {
		if k.status != statusClientLeft { // a client that disconnected reads no answer
			fmt.Fprintf(&b, "| `%s` | %d | %s |\n", k.uri(), k.status, k.means)
		}
	}
	b.WriteString(limitsText)
	return b.String()
}

// tags are the groups of operations, in the order of the documentation page.
func tags() []*huma.Tag {
	return []*huma.Tag{
		{Name: "Links", Description: "Create, read, edit and delete links."},
		{Name: "Statistics", Description: "Clicks by time, country, referrer and more."},
		{Name: "Domains", Description: "Domains of short links besides the default one."},
		{Name: "Workspaces", Description: "Members of workspaces, their roles, and invitations. Needs the scope workspace:write."},
		{Name: "Abuse", Description: "Blocked hosts and the reports of visitors. Needs an admin key."},
		{Name: "Archive", Description: "Export and import links with every field. Needs an admin key."},
	}
}

// operationTexts are the descriptions of the operations, by their ids.
var operationTexts = map[string]string{
	"createLink":       "Creates one link. Without an alias it gets a random code that no other link has. A key is optional, unless this server requires one.",
	"createLinks":      "Creates up to 1000 links and returns one result for each, in the same order. An invalid link does not affect the others.",
	"listLinks":        "Lists your links, newest first, one page at a time. With an admin key, the parameter owner lists the links of others.",
	"getLink":          "Returns a link of yours. With an admin key, a link of any owner.",
	"editLink":         "Changes the members that you send. null restores the default. Send the link's ETag as If-Match to change only the version that you know. alias renames the link; old_alias says whether its old code redirects to the new one or is deleted.",
	"deleteLink":       "Deletes a link. Visitors get 410 from then on. Only its owner can create its code again, as an alias; the history continues.",
	"drawLink":         "Draws the short URL as an SVG or PNG picture. Needs no key.",
	"disableLink":      "Disables a link because of abuse. Visitors get 451 from then on. Needs an admin key.",
	"enableLink":       "Ends a takedown. The link must pass the current rules for targets. Needs an admin key.",
	"readHistory":      "Lists the changes of a link and their authors, newest first, one page at a time. A deleted link has a history too.",
	"explainLink":      "Describes a visit and returns its target, the rule that applies, and for each other rule the first condition that does not hold. It counts no click and uses none.",
	"rollBackLink":     "Restores the target and the rules of an earlier version. This is an edit, so the version increases by one.",
	"readLinkStats":    "Counts the clicks of one of your links in a range of time: in total, by intervals, and by the values of breakdowns. The points of the series add up to the total, and so do the values of each breakdown. An admin key may read the statistics of every link. Clicks of the last seconds may be missing.",
	"resetStats":       "Sets the totals of one of your links to zero and deletes its statistics, for example after a test. The statistics of your links together, of tags and of domains keep the clicks. A click of the last second may be counted afterwards. An admin key may reset every link.",
	"readStats":        "Counts the clicks of all your links together, or of your links with a tag or on a domain. With an admin key, the parameter owner selects the links of another owner, or all links.",
	"listStats":        "Counts the clicks of each of up to 100 links. The result of a link that you cannot read is an error; the other results are not affected.",
	"shareLinkStats":   "Makes a page with the statistics of one of your links. Everybody with its address can open the page until it expires, or until an administrator revokes its key with terse key revoke. Counts as a create against the limit of the key.",
	"shareStats":       "Makes a page with the statistics of all your links together, or of your links with a tag or on a domain. With an admin key, also of the links of another owner, or of all links. Everybody with its address can open the page.",
	"exportLinks":      "Returns the links of all owners with every field, one page at a time.",
	"importLinks":      "Imports up to 1000 links with every field and returns one result for each, in the same order. Importing the same links again changes nothing.",
	"addDomain":        "Adds a domain. It is pending until its primary host is verified: set the DNS records of the answer, and the domain becomes active by itself. A domain that you removed comes back with its links. A host of another owner is refused, unless the TXT record proves that it is yours.",
	"listDomains":      "Lists your domains and the shared ones, one page at a time. An admin key lists all domains. A change that another node made may be missing for two seconds.",
	"getDomain":        "Returns a domain by any of its hosts.",
	"editDomain":       "Changes the members that you send. null restores the default. Send the domain's ETag as If-Match to change only the version that you know. No link changes.",
	"removeDomain":     "Removes a domain by its primary host. Its hosts answer 421 from then on. The domain keeps its links and its hosts: only its owner can add it again. A domain that was never verified and has no links keeps nothing.",
	"verifyDomain":     "Checks the DNS records and the answers of the hosts that are not verified yet, and returns the expected and the found values. The server repeats the checks by itself.",
	"listWorkspaces":   "Lists the workspaces that you manage. With an admin key, all workspaces. A workspace begins with its first API key, member or invitation.",
	"listMembers":      "Lists the members of a workspace and its open invitations.",
	"inviteMember":     "Invites a person to a workspace. Send the address of the answer to the person: it works once. Counts as a create against the limit of the key.",
	"editMember":       "Gives a member another role, which ends the member's sessions. The answer has the new id of the member. The last manager of a workspace keeps the role, unless an admin key changes it. Counts as a create against the limit of the key.",
	"removeMember":     "Removes a member, which ends the member's sessions and the invitations that the member sent; or withdraws an invitation. API keys of the workspace stay. Only an admin key may remove the last manager of a workspace.",
	"blockHost":        "Adds a host to the blocklist of the database. Links must not point to a blocked host.",
	"listBlockedHosts": "Lists the blocklist of the database, sorted by host, one page at a time.",
	"unblockHost":      "Removes a host from the blocklist of the database.",
	"listReports":      "Lists the reports of visitors, newest first, one page at a time.",
	"resolveReport":    "Closes a report. The link does not change.",
}

// schemaTexts are the descriptions of the schemas, by their names.
var schemaTexts = map[string]string{
	"ArchivedLink":             "A link with every field, as exports and imports use it. An export has every member. In an import only code and url are required.",
	"ClickNumbers":             "A number of clicks.",
	"LinkStatsResult":          "The result of one link of a list: its statistics, or an error.",
	"StatsBefore":              "The range of the same length before, if compare is true.",
	"StatsBody":                "The statistics of a link, or of several links together.",
	"StatsBreakdown":           "The clicks by the values of a breakdown. other has the clicks of all other values, and unknown the clicks without a value. For referrer, unknown has visits that do not come from a page, or whose browser does not send the page.",
	"StatsDay":                 "The visitors of a day.",
	"StatsListBody":            "The statistics of each of several links.",
	"StatsPoint":               "The clicks of one interval.",
	"StatsTotal":               "The clicks and the visitors of a range.",
	"StatsValue":               "The clicks of one value.",
	"BatchLink":                "A link to create in a batch.",
	"BatchResult":              "The result of one link of a list: a link, or an error.",
	"AddDomainInput":           "A domain to add. Only host is required.",
	"HostCertificate":          "The certificate of a host. Absent if this server does not serve HTTPS itself, for a host with *, and for a shared domain of another owner.",
	"EditMemberInputBody":      "The new role.",
	"InviteInputBody":          "A person to invite. Only name and role are required.",
	"InvitationBody":           "An invitation and its address.",
	"ListMembersOutputBody":    "The members of a workspace.",
	"ListWorkspacesOutputBody": "The workspaces that the caller manages.",
	"MemberBody":               "A member of a workspace, or an invitation to it. Every member is always present.",
	"WorkspaceBody":            "A workspace.",
	"BlockInputBody":           "A host to block.",
	"BlockedBody":              "A blocked host.",
	"BlocklistOutputBody":      "A page of blocked hosts.",
	"CreateBatchInputBody":     "The links to create.",
	"CreateBatchOutputBody":    "The results of a batch.",
	"CreateInput":              "A link to create. Only url is required.",
	"DisableInputBody":         "Why the link is disabled.",
	"DnsRecord":                "A DNS record to set.",
	"DomainBody":               "A domain. Every member is always present.",
	"DomainCheck":              "The result of one check of a host.",
	"DomainHost":               "A host of a domain.",
	"EditDomainInput":          "The members to change. An absent member stays unchanged.",
	"EditInput":                "The members to change. An absent member stays unchanged; null restores the default.",
	"EnableInputBody":          "Why the link is enabled.",
	"ErrorDetail":              "One wrong field or parameter.",
	"ErrorModel":               "An error (RFC 9457).",
	"ExportOutputBody":         "A page of links with every field.",
	"HistoryEntry":             "One version of a link and its differences from the version before.",
	"HistoryField":             "A changed member of a link.",
	"HistoryOutputBody":        "A page of the history of a link.",
	"ImportInputBody":          "The links to import.",
	"ImportOutputBody":         "The results of an import.",
	"LinkBody":                 "A link. Every member is always present.",
	"ListDomainsOutputBody":    "A page of domains.",
	"ListOutputBody":           "A page of links.",
	"ListReportsOutputBody":    "A page of reports.",
	"ReportBody":               "A report of a visitor.",
	"ResolveReportInputBody":   "How the report was resolved.",
	"ExplainBody":              "The target of a visit and the reasons. Every member is always present.",
	"ExplainInputBody":         "A visit. A fact that is absent is unknown.",
	"ExplainRule":              "What a rule said to a visit.",
	"Condition":                "The conditions of a rule. All members must hold. not holds if its members together do not hold.",
	"Members":                  "Conditions. All members must hold.",
	"Rule":                     "A rule: its conditions, and either to or split. Only the last rule may be without if: it applies to all visits.",
	"Variant":                  "A target of a split.",
	"RollbackInputBody":        "The version to restore.",
	"ShareBody":                "A shared page of statistics.",
	"ShareLinkInputBody":       "The end and the password of the page. All members are optional.",
	"ShareStatsInputBody":      "Selects the links of the page, and sets its end and password. All members are optional.",
	"VerifyDomainOutputBody":   "The domain after the checks, and the results of the checks.",
}

// explain adds descriptions to the document, and an example to every error answer.
func explain(document *huma.OpenAPI) {
	document.Tags = tags()
	for name, schema := range document.Components.Schemas.Map() {
		schema.Description = schemaTexts[name]
		if name == "ErrorModel" {
			invalid := kindOf(http.StatusUnprocessableEntity)
			schema.Examples = []any{invalid.example()}
			schema.Properties["type"].Description = "The kind of error. See the list of types."
			schema.Properties["type"].Examples, schema.Properties["type"].Default = []any{invalid.uri()}, nil
			schema.Properties["instance"].Description = "The request's id in the server's log."
			schema.Properties["instance"].Examples = []any{exampleInstance}
		}
	}
	for _, op := range operations(document) {
		op.Description = operationTexts[op.OperationID]
		for status, response := range op.Responses {
			for _, header := range response.Headers {
				if header.Description == "" { // huma describes only the schema of the header
					header.Description = header.Schema.Description
				}
			}
			if status[0] >= '4' {
				explainError(status, response)
			}
		}
	}
}

// explainError describes an error answer by the kind of its problem, with an example.
func explainError(status string, response *huma.Response) {
	number, err := strconv.Atoi(status)
	if err != nil {
		return
	}
	k := kindOf(number)
	response.Description = k.means
	for _, content := range response.Content {
		content.Example = k.example()
	}
}

const exampleInstance = "urn:terse:request:0rj5k2v9q1xw8"

// example returns a problem of the kind.
func (k *kind) example() map[string]any {
	example := map[string]any{"type": k.uri(), "title": k.title, "status": k.status, "detail": k.means, "instance": exampleInstance}
	if k.status == http.StatusUnprocessableEntity {
		example["errors"] = []any{map[string]any{"location": "body.url", "message": "must begin with http:// or https://"}}
	}
	return example
}

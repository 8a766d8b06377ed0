package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/terse/terse/client"
	"github.com/terse/terse/store"
)

// ruleList are rules with every kind of value, as a server returns them.
const ruleList = `[{"if":{"device":["ios"],"query":{"ref":["mail","<ä>"]},"after":"2027-01-01T00:00:00+01:00","not":{"country":["us"]}},"to":"https://target.example/app?a=1&b=2"},` +
	`{"split":[{"to":"https://target.example/a","weight":70},{"to":"https://target.example/b","weight":30}],"sticky":false}]`

// rulesOf returns rules as the client of the API reads them.
func rulesOf(t testing.TB, text string) (list []client.Rule) {
	t.Helper()
	must(t, json.Unmarshal([]byte(text), &list))
	return list
}

// body returns the body of a create with rules.
func body(members string) string { return `{"url":"https://target.example/"` + members + `}` }

func testRules(t *testing.T, newServer opener) {
	s := newServer(t)
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	a := s.send(http.MethodPost, "/api/v1/links", body(`,"alias":"ruled","rules":`+ruleList), owner...)
	if a.status != http.StatusCreated || !contains(a.body, `"rules":`+ruleList) {
		t.Fatalf("create = %d %s, want 201 with the rules as sent", a.status, a.body)
	}
	const path = "/api/v1/links/ruled"
	if got := s.get(path, owner...); string(got.body) != string(a.body) {
		t.Errorf("read = %s, want what create answered: %s", got.body, a.body)
	}
	if got := s.get("/api/v1/links", owner...); !contains(got.body, `"rules":`+ruleList) {
		t.Errorf("list = %s, want the rules", got.body)
	}
	edit := func(body string, want int) linkJSON {
		t.Helper()
		l := s.send(http.MethodPatch, path, body, append(owner, "If-Match", fmt.Sprintf(`"%d"`, want-1))...).link()
		if l.Version != int64(want) {
			t.Fatalf("%s = version %d, want %d", body, l.Version, want)
		}
		return l
	}
	if l := edit(`{"title":"Spring"}`, 2); !reflect.DeepEqual(l.Rules, rulesOf(t, ruleList)) {
		t.Errorf("rules after an edit of the title = %+v", l.Rules)
	}
	if l := edit(`{"rules":[{"to":"https://target.example/ä"}]}`, 3); len(l.Rules) != 1 || l.Rules[0].To != "https://target.example/%C3%A4" {
		t.Errorf("rules after an edit = %+v", l.Rules)
	}
	if l := edit(`{"rules":null}`, 4); len(l.Rules) != 0 {
		t.Errorf("rules after null = %+v", l.Rules)
	}
	if l := s.send(http.MethodPost, path+"/rollback", `{"version":2}`, owner...).link(); !reflect.DeepEqual(l.Rules, rulesOf(t, ruleList)) {
		t.Errorf("rules after a roll-back = %+v", l.Rules)
	}
	changes := s.history("ruled/history", owner...).Entries[0].Changes
	if len(changes) != 1 || changes[0].Field != "rules" || changes[0].Before != nil || len(changes[0].After.([]any)) != 2 {
		t.Errorf("changes of the roll-back = %+v, want two rules", changes)
	}
	if l := edit(`{"rules":[]}`, 6); len(l.Rules) != 0 {
		t.Errorf("rules after an empty list = %+v", l.Rules)
	}
	edit(`{"rules":`+ruleList+`}`, 7)

	// The archive has the rules, and an import of it finds the same link.
	archive := s.get("/api/v1/archive", admin...)
	if !contains(archive.body, `"rules":`+ruleList) {
		t.Errorf("export = %s, want the rules", archive.body)
	}
	var page struct{ Links []json.RawMessage }
	archive.into(&page)
	if got := s.send(http.MethodPost, "/api/v1/archive", map[string]any{"links": page.Links}, admin...); !contains(got.body, `"status":200`) {
		t.Errorf("import of the export = %s, want status 200", got.body)
	}
	if got := s.send(http.MethodPost, "/api/v1/archive", `{"links":[{"code":"other","url":"https://target.example/","rules":[{"to":"https://go.terse.example/x"}]}]}`, admin...); !contains(got.body, `body.rules[0].to`) {
		t.Errorf("import of a rule that leads to this server = %s, want its field", got.body)
	}
	if l := s.send(http.MethodPost, "/api/v1/archive", `{"links":[{"code":"imported","url":"https://target.example/","rules":`+ruleList+`}]}`, admin...); !contains(l.body, `"status":201`) {
		t.Errorf("import = %s, want status 201", l.body)
	}

	// A rename moves the rules.
	l := s.send(http.MethodPatch, path, `{"alias":"renamed"}`, owner...).link()
	if l.Code != "renamed" || !reflect.DeepEqual(l.Rules, rulesOf(t, ruleList)) {
		t.Errorf("renamed link = %+v", l)
	}
	if old := s.get(path, owner...).link(); len(old.Rules) != 0 {
		t.Errorf("rules of the old link of a rename = %+v, want none", old.Rules)
	}
}

func testRulesReused(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := s.owner("owner")
	const one, two = `,"reuse":true,"rules":[{"to":"https://target.example/1"}]`, `,"reuse":true,"rules":[{"to":"https://target.example/2"}]`
	first := s.create(body(one), owner...)
	if again := s.send(http.MethodPost, "/api/v1/links", body(one), owner...); again.status != http.StatusOK || again.link().Code != first.Code {
		t.Errorf("the same rules = %d %s, want the first link", again.status, again.body)
	}
	for _, other := range []string{two, `,"reuse":true`} {
		if l := s.create(body(other), owner...); l.Code == first.Code {
			t.Errorf("a create with %s reused a link with other rules", other)
		}
	}
	batch := s.send(http.MethodPost, "/api/v1/links/batch", `{"links":[`+body(one)+`,`+body(`,"rules":[{"if":{"device":["phone"]},"to":"https://target.example/"}]`)+`,`+body(two)+`]}`, owner...)
	var results struct {
		Results []struct {
			Status int
			Link   *linkJSON
			Error  *problemJSON
		}
	}
	batch.into(&results)
	if len(results.Results) != 3 || results.Results[0].Status != 200 || results.Results[2].Status != 200 ||
		results.Results[1].Status != 422 || results.Results[1].Error.Errors[0].Location != "body.rules[0].if.device[0]" {
		t.Errorf("batch = %s, want two reused links and one problem", batch.body)
	}
}

func TestInvalidRules(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.owner("owner")
	long := strings.Repeat("a", 4000)
	countries := `["` + strings.Repeat(`DE","`, 63) + `DE"]`
	for _, tt := range []struct{ rules, want string }{
		{`{}`, "body.rules"},
		{`"x"`, "body.rules"},
		{`[null]`, "body.rules[0]"},
		{`[{"to":5}]`, "body.rules[0].to"},
		{`[{"to":"https://target.example/","When":1}]`, "body.rules[0].When"},
		{`[{"TO":"https://target.example/"}]`, "body.rules[0].TO"},
		{`[{"if":{"planet":["mars"]},"to":"https://target.example/"}]`, "body.rules[0].if.planet"},
		{`[{"if":{"device":"ios"},"to":"https://target.example/"}]`, "body.rules[0].if.device"},
		{`[{"if":{"not":{"not":{"device":["ios"]}}},"to":"https://target.example/"}]`, "body.rules[0].if.not.not"},
		{`[{"if":{"device":["ios","phone"]},"to":"https://target.example/"},{"split":[{"to":"https://target.example/","weight":1},{"to":"ftp://target.example/","weight":1}]}]`, "body.rules[0].if.device[1] body.rules[1].split[1].to"},
		{`[{"if":{"after":"tomorrow"},"to":"https://target.example/"}]`, "body.rules[0].if.after"},
		{`[{"split":[{"to":"https://target.example/1"},{"to":"https://target.example/2","weight":0}]}]`, "body.rules[0].split[0] body.rules[0].split[1].weight"},
		{`[{"to":"` + baseURL + `/other"}]`, "body.rules[0].to"},
		{`[{"if":{"device":["ios"]},"to":"https://target.example/` + long + `"},{"to":"https://target.example/` + long + long + `"}]`, "body.rules"},
		{`[{"to":"https://target.example/"},{"to":"https://target.example/"}]`, "body.rules[0].if"},
	} {
		for _, call := range []struct{ method, path, members string }{
			{http.MethodPost, "/api/v1/links", `"url":"https://target.example/",`},
			{http.MethodPatch, "/api/v1/links/" + s.create(body(""), owner...).Code, ""},
		} {
			got := s.send(call.method, call.path, `{`+call.members+`"rules":`+tt.rules+`}`, owner...).problem(http.StatusUnprocessableEntity)
			if got != tt.want {
				t.Errorf("%s with %.200s: errors of %s, want %s", call.method, tt.rules, got, tt.want)
			}
		}
	}
	// The longest list of rules is accepted.
	var list []string
	for i := range 16 {
		list = append(list, fmt.Sprintf(`{"if":{"country":%s,"query":{"n":["%d"]}},"to":"https://target.example/%d"}`, countries, i, i))
	}
	if l := s.create(body(`,"rules":[`+strings.Join(list, ",")+`]`), owner...); len(l.Rules) != 16 {
		t.Errorf("16 rules became %d", len(l.Rules))
	}
	list = append(list, list[0])
	if got := s.send(http.MethodPost, "/api/v1/links", body(`,"rules":[`+strings.Join(list, ",")+`]`), owner...).problem(http.StatusUnprocessableEntity); got != "body.rules" {
		t.Errorf("17 rules: errors of %s, want body.rules", got)
	}
}

// TestRulesLeadToNoOwnHost checks that no target of a rule is a host of this server, so that no visit is redirected
// in a circle.
func TestRulesLeadToNoOwnHost(t *testing.T) {
	t.Parallel()
	s := newBaseServer(t, withDomains(t, openDomains()...))
	owner := s.owner("owner")
	code := s.create(body(""), owner...).Code
	for _, host := range []string{"go.terse.example", "GO.terse.example.:8443", goDomain.Host, "www." + goDomain.Host, "GO.Example.com.:8080", ioDomain.Host} {
		for to, want := range map[string]string{
			`"to":"https://` + host + `/next"`: "body.rules[0].to",
			`"split":[{"to":"https://target.example/","weight":1},{"to":"http://` + host + `","weight":1}]`: "body.rules[0].split[1].to",
		} {
			list := `"rules":[{"if":{"device":["ios"]},` + to + `}]`
			for _, call := range []struct{ method, path, body string }{
				{http.MethodPost, "/api/v1/links", body("," + list)},
				{http.MethodPatch, "/api/v1/links/" + code, "{" + list + "}"},
			} {
				if got := s.send(call.method, call.path, call.body, owner...).problem(http.StatusUnprocessableEntity); got != want {
					t.Errorf("%s with %s: errors of %s, want %s", call.method, list, got, want)
				}
			}
		}
	}
}

package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/terse/terse/store"
)

// described is the OpenAPI document. It validates answers against the document.
type described struct {
	t       testing.TB
	schemas *jsonschema.Compiler
	Paths   map[string]map[string]describedOperation `json:"paths"`

	Components struct {
		Schemas map[string]struct {
			Examples []json.RawMessage `json:"examples"`
		} `json:"schemas"`
	} `json:"components"`
}

type describedOperation struct {
	ID         string `json:"operationId"`
	Summary    string `json:"summary"`
	Parameters []struct {
		Name     string          `json:"name"`
		In       string          `json:"in"`
		Required bool            `json:"required"`
		Example  json.RawMessage `json:"example"`
		Schema   struct {
			Type     any               `json:"type"`
			Examples []json.RawMessage `json:"examples"`
			Default  json.RawMessage   `json:"default"`
		} `json:"schema"`
	} `json:"parameters"`
	RequestBody *struct {
		Content map[string]describedContent `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]describedContent `json:"content"`
		Headers map[string]any              `json:"headers"`
	} `json:"responses"`
	Security []map[string][]string `json:"security"`
}

type describedContent struct {
	Example json.RawMessage `json:"example"`
}

// readDocument parses the document and its schemas.
func readDocument(t testing.TB, text []byte) *described {
	t.Helper()
	d := &described{t: t, schemas: jsonschema.NewCompiler()}
	must(t, json.Unmarshal(text, d))
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	must(t, err)
	d.schemas.DefaultDraft(jsonschema.Draft2020)
	d.schemas.AssertFormat()
	must(t, d.schemas.AddResource("openapi.json", document))
	return d
}

// valid validates a JSON text against the schema at a path in the document.
func (d *described) valid(what string, text []byte, place ...string) {
	d.t.Helper()
	for i, step := range place {
		place[i] = url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(step))
	}
	schema, err := d.schemas.Compile("openapi.json#/" + strings.Join(place, "/"))
	if err != nil {
		d.t.Fatalf("%s: %v", what, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		d.t.Errorf("%s is not JSON: %v: %.200s", what, err, text)
		return
	}
	if err := schema.Validate(value); err != nil {
		d.t.Errorf("%s does not match its schema: %v: %.500s", what, err, text)
	}
}

// answered checks the status, the headers and the body of an answer against the document.
func (d *described) answered(path, method string, op *describedOperation, a answer) {
	d.t.Helper()
	status := fmt.Sprint(a.status)
	what := fmt.Sprintf("answer %s of %s", status, op.ID)
	response, ok := op.Responses[status]
	if !ok {
		d.t.Errorf("%s is not in the document, which has %v: %.300s", what, slices.Sorted(maps.Keys(op.Responses)), a.body)
		return
	}
	at := []string{"paths", path, method, "responses", status}
	for name := range response.Headers {
		value := a.header.Get(name)
		if value == "" {
			if !strings.HasPrefix(name, "RateLimit") { // only counted requests have it
				d.t.Errorf("%s lacks the header %s", what, name)
			}
			continue
		}
		text, err := json.Marshal(value)
		must(d.t, err)
		d.valid(what+"'s header "+name, text, append(slices.Clone(at), "headers", name, "schema")...)
	}
	kind := a.header.Get("Content-Type")
	if len(response.Content) == 0 {
		if len(a.body) > 0 {
			d.t.Errorf("%s has a body that is not in the document: %.100s", what, a.body)
		}
		return
	}
	if _, ok := response.Content[kind]; !ok {
		d.t.Errorf("%s is %q, the document has %v", what, kind, slices.Sorted(maps.Keys(response.Content)))
		return
	}
	if strings.HasSuffix(kind, "json") {
		d.valid(what, a.body, append(slices.Clone(at), "content", kind, "schema")...)
	}
}

// request returns a request with the examples of the document. If all is set, it includes
// optional parameters.
func (op *describedOperation) request(t testing.TB, path string, all bool) (target string, headers []string, body []byte) {
	t.Helper()
	query := url.Values{}
	for _, p := range op.Parameters {
		text := p.Example
		for _, next := range append(slices.Clone(p.Schema.Examples), p.Schema.Default) {
			if text == nil {
				text = next
			}
		}
		if text == nil {
			if p.Required {
				t.Errorf("%s: the parameter %s has no example", op.ID, p.Name)
			}
			continue
		}
		var value any
		must(t, json.Unmarshal(text, &value))
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(fmt.Sprint(value)))
		case !all && !p.Required:
		case p.In == "query":
			query.Set(p.Name, fmt.Sprint(value))
		case p.In == "header":
			headers = append(headers, p.Name, fmt.Sprint(value))
		}
	}
	if op.RequestBody != nil {
		body = op.RequestBody.Content["application/json"].Example
		headers = append(headers, "Content-Type", "application/json")
		if body == nil {
			t.Errorf("%s: its body has no example", op.ID)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path, headers, body
}

// before creates the objects that the examples of an operation need. Operations without an
// entry need the link spring in version 2.
var before = map[string]func(s *server){
	"createLink":    func(*server) {},
	"createLinks":   func(*server) {},
	"importLinks":   func(*server) {},
	"blockHost":     func(*server) {},
	"listReports":   reported,
	"resolveReport": reported,
	"editMember":    joined, "removeMember": joined,
	"addDomain":    func(*server) {},
	"listDomains":  added,
	"getDomain":    added,
	"editDomain":   added,
	"removeDomain": added,
	"verifyDomain": added,
	"unblockHost": func(s *server) {
		if a := s.send(http.MethodPost, "/api/v1/blocklist", `{"host":"evil.example","reason":"phishing"}`, s.key("admin", store.ScopeAdmin)...); a.status != http.StatusCreated {
			s.t.Fatalf("block = %d %s", a.status, a.body)
		}
	},
}

// reported creates the report of the document's example.
func reported(s *server) {
	s.create(`{"url":"https://example.com","alias":"spring"}`)
	must(s.t, s.store.AddReport(s.t.Context(), store.Report{ID: "rep_5d2q7x3m9k4w2pz", Code: "spring", Reason: "spam", At: s.clock.Now()}))
}

// joined adds the member of the document's example.
func joined(s *server) {
	k := store.Key{ID: "key_7k3x0q9p2m4a", Name: "Ann", Workspace: "marketing", CreatedAt: s.clock.Now()}
	_, k.Hash = store.NewToken()
	k.Member = &store.Member{Role: store.RoleEditor, Subject: k.ID}
	must(s.t, s.store.CreateKey(s.t.Context(), k))
}

// added adds the domain of the document's example.
func added(s *server) {
	s.send(http.MethodPost, "/api/v1/domains", `{"host":"go.example.com"}`, s.key("admin", store.ScopeAdmin)...).domain(http.StatusCreated)
}

func (s *server) prepare(op *describedOperation) {
	s.t.Helper()
	if make, ok := before[op.ID]; ok {
		make(s)
		return
	}
	admin := s.key("admin", store.ScopeAdmin)
	s.create(`{"url":"https://example.com/first","alias":"spring"}`, admin...)
	if a := s.send(http.MethodPatch, "/api/v1/links/spring", `{"url":"https://example.com/second"}`, admin...); a.status != http.StatusOK {
		s.t.Fatalf("edit = %d %s", a.status, a.body)
	}
}

// TestEveryOperationIsAsDescribed calls every operation of the document: with the examples
// of the document, and with common mistakes. Every answer must match the document. New
// operations are included automatically.
func TestEveryOperationIsAsDescribed(t *testing.T) {
	t.Parallel()
	text := newServer(t).get("/api/openapi.json").body
	for path, methods := range readDocument(t, text).Paths {
		for method, op := range methods {
			t.Run(op.ID, func(t *testing.T) {
				t.Parallel()
				d := readDocument(t, text)
				if op.Summary == "" || op.ID == "" {
					t.Errorf("%s %s has no name or no summary", method, path)
				}
				verb := strings.ToUpper(method)
				for _, all := range []bool{false, true} {
					s := newServer(t, func(o *options) {
						o.Limits.CreateAnonymous = limit(t, "100/1m")
						o.Limits.CreateKey = limit(t, "100/1m")
					})
					s.prepare(&op)
					target, headers, body := op.request(t, path, all)
					admin := s.key("admin", store.ScopeAdmin)
					a := s.do(verb, target, body, append(append(headers, admin...), "Host", strings.TrimPrefix(baseURL, "https://"))...)
					if a.status < 200 || a.status > 299 {
						t.Errorf("%s %s with the document's example = %d %s, want 2xx", verb, target, a.status, a.body)
					}
					d.answered(path, method, &op, a)
				}
				d.failures(path, method, op)
			})
		}
	}
}

// failures calls an operation with mistakes that are possible for every operation.
func (d *described) failures(path, method string, op describedOperation) {
	d.t.Helper()
	s := newServer(d.t)
	s.prepare(&op)
	admin, verb := s.key("admin", store.ScopeAdmin), strings.ToUpper(method)
	target, headers, body := op.request(d.t, path, false)
	call := func(want int, target string, body []byte, headers ...string) {
		d.t.Helper()
		a := s.do(verb, target, body, append(headers, "Host", strings.TrimPrefix(baseURL, "https://"))...)
		if want != 0 && a.status != want {
			d.t.Errorf("%s %s = %d %s, want %d", verb, target, a.status, a.body, want)
		}
		d.answered(path, method, &op, a)
	}
	call(http.StatusUnauthorized, target, body, append(headers, "Authorization", "Bearer tk_wrong")...)
	if !slices.ContainsFunc(op.Security, func(one map[string][]string) bool { return len(one) == 0 }) {
		call(http.StatusUnauthorized, target, body, headers...)
		without := store.ScopeStatsRead
		if strings.Contains(path, "/stats") || strings.HasSuffix(path, "/share") {
			without = store.ScopeDomainsRead
		}
		call(http.StatusForbidden, target, body, append(headers, s.key("nothing", without)...)...)
	}
	if strings.Contains(path, "{code}") {
		call(http.StatusNotFound, strings.Replace(target, "spring", "nothing", 1), body, append(headers, admin...)...)
		call(http.StatusNotFound, strings.Replace(target, "spring", "a%00b", 1), body, append(headers, admin...)...)
	}
	if body != nil {
		call(http.StatusUnsupportedMediaType, target, body, append([]string{"Content-Type", "text/plain"}, admin...)...)
		call(http.StatusRequestEntityTooLarge, target, bytes.Repeat([]byte(" "), 1<<20+1), append(headers, admin...)...)
		for _, strange := range []string{``, `{`, `[]`, `null`, `{"nonsense":1}`, "{\"a\":\"\xff\"}", `{"url":1,"reason":1,"host":1,"version":"x","links":1}`} {
			call(0, target, []byte(strange), append(headers, admin...)...)
		}
	}
	for _, p := range op.Parameters {
		if p.In == "query" {
			separator := "?"
			if strings.Contains(target, "?") {
				separator = "&"
			}
			call(0, target+separator+p.Name+"=%00", body, append(headers, admin...)...)
		}
	}
	call(0, target+"?nonsense=1", body, append(headers, admin...)...)
}

// TestEveryExampleIsAsDescribed checks that each schema, body and 2xx answer has an example
// that matches its schema.
func TestEveryExampleIsAsDescribed(t *testing.T) {
	t.Parallel()
	d := readDocument(t, newServer(t).get("/api/openapi.json").body)
	for name, schema := range d.Components.Schemas {
		if len(schema.Examples) == 0 {
			t.Errorf("the schema %s has no example", name)
		}
		for _, example := range schema.Examples {
			d.valid("the example of "+name, example, "components", "schemas", name)
		}
	}
	for path, methods := range d.Paths {
		for method, op := range methods {
			if op.RequestBody != nil {
				for kind, content := range op.RequestBody.Content {
					d.valid("the example of the body of "+op.ID, content.Example, "paths", path, method, "requestBody", "content", kind, "schema")
				}
			}
			for status, response := range op.Responses {
				for kind, content := range response.Content {
					if strings.HasPrefix(status, "2") && kind == "application/json" {
						d.valid(fmt.Sprintf("the example of the answer %s of %s", status, op.ID), content.Example,
							"paths", path, method, "responses", status, "content", kind, "schema")
					}
				}
			}
		}
	}
}

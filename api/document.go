package api

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// complete adds the parts that huma does not generate: null as a value of enumerations,
// the answer 200 of a create, the answer 204 of a change, the headers of errors, examples, and
// descriptions.
func complete(document *huma.OpenAPI) {
	create := document.Paths[linksPath].Post
	found := *create.Responses["201"]
	found.Description = "An existing link that was reused"
	create.Responses["200"] = &found
	for _, change := range []*huma.Operation{document.Paths[linkPath].Patch, document.Paths[linkPath+"/rollback"].Post} {
		change.Responses["204"] = &huma.Response{
			Description: "The change was made. The API key lacks the scope links:read",
			Headers:     change.Responses["200"].Headers,
		}
	}
	for _, schema := range document.Components.Schemas.Map() {
		for _, property := range schema.Properties {
			if property.Nullable && property.Enum != nil {
				property.Enum = append(property.Enum, nil)
			}
		}
	}
	examples := examples{document.Components.Schemas}
	for _, schema := range document.Components.Schemas.Map() {
		if schema.Examples == nil {
			schema.Examples = []any{examples.of(schema)}
		}
	}
	for _, op := range operations(document) {
		completeErrors(op)
		examples.complete(op)
	}
	explain(document)
}

// operations returns the operations of the document, in no order.
func operations(document *huma.OpenAPI) (all []*huma.Operation) {
	for _, path := range document.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Put, path.Post, path.Patch, path.Delete} {
			if op != nil {
				all = append(all, op)
			}
		}
	}
	return all
}

// completeErrors adds the headers of error answers to an operation.
func completeErrors(op *huma.Operation) {
	text := func(description string) *huma.Param {
		return &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	for _, status := range []string{"429", "503"} {
		if r := op.Responses[status]; r != nil {
			r.Headers = map[string]*huma.Param{"Retry-After": text("Seconds to wait before the next attempt.")}
		}
	}
	if r := op.Responses["429"]; r != nil {
		r.Headers["RateLimit"] = text("The rest of the limit: r is the remaining requests, t is the seconds until the full limit is available again.")
		r.Headers["RateLimit-Policy"] = text("The limit: q is the number of requests, w is the window in seconds.")
	}
	if r := op.Responses["401"]; r != nil {
		r.Headers = map[string]*huma.Param{"WWW-Authenticate": text("The authentication scheme: Bearer.")}
	}
}

// examples generates examples of schemas from the examples of their properties.
type examples struct{ schemas huma.Registry }

// complete adds examples of the body and of the 2xx answers to an operation.
func (e examples) complete(op *huma.Operation) {
	if op.RequestBody != nil {
		for _, content := range op.RequestBody.Content {
			content.Example = e.of(content.Schema)
		}
	}
	for status, response := range op.Responses {
		for kind, content := range response.Content {
			if strings.HasPrefix(status, "2") && kind == "application/json" {
				content.Example = e.of(content.Schema)
			}
		}
	}
}

// of returns the schema's own example, or generates a small one. A generated object has the
// required properties and those with an example.
func (e examples) of(s *huma.Schema) any {
	if s.Ref != "" {
		s = e.schemas.SchemaFromRef(s.Ref)
	}
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(s.OneOf) > 0:
		return e.of(s.OneOf[0])
	case s.Nullable && s.Type != huma.TypeArray:
		return nil
	}
	switch s.Type {
	case huma.TypeObject:
		object := map[string]any{}
		for name, property := range s.Properties {
			if slices.Contains(s.Required, name) || len(property.Examples) > 0 {
				object[name] = e.of(property)
			}
		}
		return object
	case huma.TypeArray:
		return []any{e.of(s.Items)}
	case huma.TypeString:
		return exampleTexts[s.Format]
	case huma.TypeInteger, huma.TypeNumber:
		return 1
	case huma.TypeBoolean:
		return false
	}
	return nil
}

// exampleTexts are examples of strings, by format.
var exampleTexts = map[string]string{
	"date-time": "2026-06-01T12:00:00Z",
	"uri":       "https://example.com/",
	"":          "",
}

// write returns the document as JSON. An enumeration with null becomes anyOf the
// enumeration and null, because code generators reject null as a value.
func write(document *huma.OpenAPI) ([]byte, error) {
	text, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	return withoutNull(text, func(schema map[string]any) {
		values := map[string]any{"enum": schema["enum"]}
		for _, name := range []string{"type", "format"} {
			if value, ok := schema[name]; ok {
				values[name] = value
			}
			delete(schema, name)
		}
		if types, ok := values["type"].([]any); ok {
			values["type"] = types[0] // huma puts "null" last
		}
		delete(schema, "enum")
		schema["anyOf"] = []any{values, map[string]any{"type": "null"}}
	})
}

// downgrade returns the document as OpenAPI 3.0, for tools without support for 3.1. In 3.0
// the keyword nullable allows null, and format alone describes binary data.
func downgrade(document *huma.OpenAPI) ([]byte, error) {
	text, err := document.Downgrade()
	if err != nil {
		return nil, err
	}
	text, err = withoutNull(text, func(map[string]any) {})
	if err != nil {
		return nil, err
	}
	return rewrite(text, func(part map[string]any) { delete(part, "contentMediaType") })
}

// withoutNull removes null from all enumerations, and calls say for each schema that
// contained it.
func withoutNull(document []byte, say func(schema map[string]any)) ([]byte, error) {
	return rewrite(document, func(part map[string]any) {
		if values, ok := part["enum"].([]any); ok && slices.Contains(values, nil) {
			part["enum"] = slices.DeleteFunc(values, func(v any) bool { return v == nil })
			say(part)
		}
	})
}

// rewrite calls change for every object of the document, the inner ones first.
func rewrite(document []byte, change func(part map[string]any)) ([]byte, error) {
	var parsed any
	if err := json.Unmarshal(document, &parsed); err != nil {
		return nil, err
	}
	var walk func(part any)
	walk = func(part any) {
		switch part := part.(type) {
		case map[string]any:
			for _, inner := range part {
				walk(inner)
			}
			change(part)
		case []any:
			for _, inner := range part {
				walk(inner)
			}
		}
	}
	walk(parsed)
	return json.Marshal(parsed)
}

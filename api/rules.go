package api

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/terse/terse/links/rules"
)

// storedRules are the rules of a link in their stored form, which is JSON.
type storedRules string

// append appends the rules as a JSON list.
func (s storedRules) append(to []byte) []byte {
	if s == "" {
		return append(to, "[]"...)
	}
	return append(to, s...)
}

// MarshalJSON returns a JSON list.
func (s storedRules) MarshalJSON() ([]byte, error) { return s.append(nil), nil }

// Schema describes a list of rules.
func (s storedRules) Schema(r huma.Registry) *huma.Schema {
	list := *huma.SchemaFromType(r, reflect.TypeFor[[]rules.Rule]())
	list.Nullable = false
	return &list
}

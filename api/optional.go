package api

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	jsonv2 "github.com/go-json-experiment/json"
)

// optional is a JSON member that may be absent or null. In a create both mean the default.
// In an edit an absent member changes nothing, and null restores the default.
type optional[T any] struct {
	value T    // the zero value for null
	set   bool // the member was present
	null  bool // the member was null
}

// some returns an optional with the value v.
func some[T any](v T) optional[T] { return optional[T]{value: v, set: true} }

// given reports whether the member was present and not null.
func (o optional[T]) given() bool { return o.set && !o.null }

// pointer returns the value if the member was present, else nil. Null is the zero value.
func (o *optional[T]) pointer() *T {
	if !o.set {
		return nil
	}
	return &o.value
}

// UnmarshalJSON reads a value or null.
func (o *optional[T]) UnmarshalJSON(b []byte) error {
	o.set, o.null = true, string(b) == "null"
	return jsonv2.Unmarshal(b, &o.value, jsonv2.RejectUnknownMembers(true))
}

// MarshalJSON writes the value. The zero optional becomes null.
func (o optional[T]) MarshalJSON() ([]byte, error) {
	if !o.set {
		return []byte("null"), nil
	}
	return json.Marshal(o.value)
}

// Schema describes the value as nullable.
func (o optional[T]) Schema(r huma.Registry) *huma.Schema {
	s := *huma.SchemaFromType(r, reflect.TypeFor[T]())
	s.Nullable = true
	return &s
}

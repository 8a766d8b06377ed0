package api

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// optional is a JSON member that may be absent or null. In a create both mean
// the default; in an edit an absent member is left alone and null restores the
// default.
type optional[T any] struct {
	value T    // the zero value for null
	set   bool // whether the member was there
	null  bool // whether it was null
}

// some returns an optional that holds v.
func some[T any](v T) optional[T] { return optional[T]{value: v, set: true} }

// given reports whether there is a value, and not null.
func (o optional[T]) given() bool { return o.set && !o.null }

// into stores the value at dst when the member was there.
func (o optional[T]) into(dst *T) {
	if o.set {
		*dst = o.value
	}
}

// UnmarshalJSON reads a value or null.
func (o *optional[T]) UnmarshalJSON(b []byte) error {
	o.set, o.null = true, string(b) == "null"
	return json.Unmarshal(b, &o.value)
}

// MarshalJSON writes the value; the zero optional is null.
func (o optional[T]) MarshalJSON() ([]byte, error) {
	if !o.set {
		return []byte("null"), nil
	}
	return json.Marshal(o.value)
}

// Schema describes the value, and null.
func (o optional[T]) Schema(r huma.Registry) *huma.Schema {
	s := *huma.SchemaFromType(r, reflect.TypeFor[T]())
	s.Nullable = true
	return &s
}

package api

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/terse/terse/store"
)

type bodyKey struct{}

// bodyOf returns the body that takeBody read. It is valid until the request ends.
func bodyOf(ctx context.Context) []byte {
	body, _ := ctx.Value(bodyKey{}).([]byte)
	return body
}

// withBody describes the body of op as a T. The handler decodes it by decode.
func withBody[T any](schemas huma.Registry, op huma.Operation) huma.Operation {
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: schemas.Schema(reflect.TypeFor[T](), true, "")},
	}}
	op.SkipValidateBody = true // decode validates it
	return op
}

// withOptionalBody is withBody for a body that may be absent.
func withOptionalBody[T any](schemas huma.Registry, op huma.Operation) huma.Operation {
	op = withBody[T](schemas, op)
	op.RequestBody.Required = false
	return op
}

// decode reads a JSON object as a T. If members are wrong, it returns a store.InvalidError with
// all of them, and the T of the other members, so that the caller can check those too. Any other
// error is a problem.
func decode[T any](schemas huma.Registry, raw []byte) (in T, err error) {
	var parsed any
	if len(raw) == 0 {
		return in, newProblem(http.StatusBadRequest, "The request has no body.")
	}
	if err := readJSON(raw, &parsed); err != nil {
		return in, newProblem(http.StatusBadRequest, err.Error())
	}
	object, ok := parsed.(map[string]any)
	if !ok {
		return in, noObject[T]()
	}
	wrong := wrongMembers(schemas, schemas.Schema(reflect.TypeFor[T](), true, ""), object)
	if len(wrong) > 0 {
		if raw, err = without(raw, wrong); err != nil {
			return in, err
		}
	}
	if err := readJSON(raw, &in); err != nil {
		field, ok := errors.AsType[*store.FieldError](err)
		if !ok {
			return in, newProblem(http.StatusBadRequest, err.Error())
		}
		wrong = append(wrong, field)
	}
	if len(wrong) > 0 {
		return in, wrong
	}
	return in, nil
}

// decodeChecked decodes the body of a request, and checks the values of the members that are not
// wrong already. The error names every wrong member.
func decodeChecked[T any](ctx context.Context, schemas huma.Registry, check func(in *T) error) (in T, err error) {
	in, wrong := decode[T](schemas, bodyOf(ctx))
	if wrong != nil && !store.IsInvalid(wrong) {
		return in, wrong
	}
	return in, store.JoinFound(wrong, check(&in))
}

// decodeOptional is decodeChecked for a body that may be absent.
func decodeOptional[T any](ctx context.Context, schemas huma.Registry, check func(in *T) error) (in T, err error) {
	if len(bodyOf(ctx)) == 0 {
		return in, nil
	}
	return decodeChecked(ctx, schemas, check)
}

// noObject returns the problem of a body that is not an object, and so no T.
func noObject[T any]() *problem {
	p := newProblem(http.StatusUnprocessableEntity, "Some fields are invalid. See errors.")
	p.Errors = []*huma.ErrorDetail{{Location: "body", Message: notObject(reflect.TypeFor[T]())}}
	return p
}

// decodeList reads the items of a body T, an object with the list of items as its member links.
// It does not decode the items, so that an invalid item does not affect the others. Its error
// names every wrong member.
func decodeList[T any](raw []byte) (items []jsontext.Value, err error) {
	var object map[string]jsontext.Value
	if len(raw) == 0 {
		return nil, newProblem(http.StatusBadRequest, "The request has no body.")
	}
	if jsontext.Value(raw).Kind() != jsontext.KindBeginObject {
		var parsed any
		if err := readJSON(raw, &parsed); err != nil {
			return nil, newProblem(http.StatusBadRequest, err.Error())
		}
		return nil, noObject[T]()
	}
	if err := readJSON(raw, &object); err != nil {
		return nil, newProblem(http.StatusBadRequest, err.Error())
	}
	var wrong store.InvalidError
	list, ok := object["links"]
	switch {
	case !ok:
		wrong = append(wrong, &store.FieldError{Field: "links", Reason: "is required"})
	case list.Kind() != jsontext.KindBeginArray:
		wrong = append(wrong, &store.FieldError{Field: "links", Reason: "must be a list"})
	default:
		if err := readJSON(list, &items); err != nil {
			return nil, err
		}
		if len(items) == 0 || len(items) > maxBatch {
			wrong = append(wrong, badLength())
		}
	}
	delete(object, "links")
	for _, name := range slices.Sorted(maps.Keys(object)) {
		wrong = append(wrong, &store.FieldError{Field: name, Reason: "unknown field"})
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return items, nil
}

// notObject says that a body must be an object, and which members a T requires.
func notObject(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return "must be an object"
	}
	for field := range t.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" && !strings.Contains(options, "omit") {
			return "must be an object with the member " + name
		}
	}
	return "must be an object"
}

// wrongMembers returns the members of an object that do not match the schema, sorted by name.
// Absent members are not among them.
func wrongMembers(schemas huma.Registry, s *huma.Schema, object map[string]any) (wrong store.InvalidError) {
	var found huma.ValidateResult
	huma.Validate(schemas, s, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, object, &found)
	for _, err := range found.Errors {
		if detail, ok := errors.AsType[*huma.ErrorDetail](err); ok && detail.Location != "" {
			wrong = append(wrong, &store.FieldError{Field: detail.Location, Reason: detail.Message})
		}
	}
	for _, name := range schemas.SchemaFromRef(s.Ref).Required {
		if _, ok := object[name]; !ok {
			wrong = append(wrong, &store.FieldError{Field: name, Reason: "is required"})
		}
	}
	slices.SortStableFunc(wrong, func(a, b *store.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return wrong
}

// without returns an object without its wrong members.
func without(object []byte, wrong store.InvalidError) ([]byte, error) {
	var members map[string]jsontext.Value
	if err := readJSON(object, &members); err != nil {
		return nil, newProblem(http.StatusBadRequest, err.Error())
	}
	maps.DeleteFunc(members, func(name string, _ jsontext.Value) bool {
		return slices.ContainsFunc(wrong, func(f *store.FieldError) bool { return f.Member() == name })
	})
	return json.Marshal(members)
}

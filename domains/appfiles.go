package domains

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/terse/terse/store"
)

// appleServices are the members of apple-app-site-association, see
// https://developer.apple.com/documentation/bundleresources/applinks.
var appleServices = []string{"applinks", "webcredentials", "appclips", "activitycontinuation"}

// checkAppleAssociation returns a *store.FieldError unless text can be the file
// apple-app-site-association. It does not check the names of apps. An empty text is no file.
func checkAppleAssociation(text string) error {
	const field = "apple_app_site_association"
	if text == "" {
		return nil
	}
	var file map[string]json.RawMessage
	if err := readFile(field, text, "an object", &file); err != nil {
		return err
	}
	found := false
	for name, service := range file {
		if !slices.Contains(appleServices, name) {
			continue
		}
		found = true
		if !strings.HasPrefix(string(service), "{") {
			return &store.FieldError{Field: field, Reason: name + " must be an object"}
		}
	}
	if !found {
		return &store.FieldError{Field: field, Reason: "must have one of the members " + strings.Join(appleServices, ", ")}
	}
	return nil
}

// checkAssetLinks returns a *store.FieldError unless text can be the file assetlinks.json: a list of
// statements, see https://developers.google.com/digital-asset-links/v1/statements. An empty text is no
// file.
func checkAssetLinks(text string) error {
	const field = "assetlinks"
	if text == "" {
		return nil
	}
	var file []struct {
		Relation []string
		Target   struct{ Namespace string }
		Include  string
	}
	if err := readFile(field, text, "a list of statements with relation and target", &file); err != nil {
		return err
	}
	for i, statement := range file {
		if statement.Include == "" && (len(statement.Relation) == 0 || statement.Target.Namespace == "") {
			return &store.FieldError{Field: field, Reason: fmt.Sprintf("the statement [%d] must have relation, and target with namespace", i)}
		}
	}
	return nil
}

// readFile reads a file of JSON into to. form is the expected form of the file.
func readFile(field, text, form string, to any) error {
	if len(text) > store.MaxDomainFileLen {
		return &store.FieldError{Field: field, Reason: fmt.Sprintf("must be at most %d bytes long", store.MaxDomainFileLen)}
	}
	if !utf8.ValidString(text) {
		return &store.FieldError{Field: field, Reason: "must be valid UTF-8"}
	}
	err := json.Unmarshal([]byte(text), to)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return &store.FieldError{Field: field, Reason: fmt.Sprintf("must be JSON. Byte %d is wrong: %v", syntax.Offset, syntax)}
	}
	if err != nil || strings.TrimSpace(text) == "null" {
		return &store.FieldError{Field: field, Reason: "must be " + form}
	}
	return nil
}

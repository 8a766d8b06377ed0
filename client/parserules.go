package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ParseRules reads rules from a JSON list in the form of the API, such as the rules of an export. It drops
// nothing: the error is a *Problem with each rule that has an unknown member, a null, or a value of the wrong
// type. The server checks the rest.
func ParseRules(text []byte) ([]Rule, error) {
	p := &Problem{Title: "Some fields are invalid", Status: http.StatusUnprocessableEntity}
	var values []jsontext.Value
	if err := json.Unmarshal(text, &values); err != nil || values == nil {
		p.add("rules", notRules(text, err))
		return nil, p
	}
	rules := make([]Rule, len(values))
	for i, value := range values {
		place, reason := parseRule(value, &rules[i])
		if reason != "" {
			p.add(fmt.Sprintf("rules[%d]%s", i, place), reason)
		}
	}
	if len(p.Errors) > 0 {
		return nil, p
	}
	return rules, nil
}

func (p *Problem) add(field, reason string) {
	p.Errors = append(p.Errors, Fault{Location: "body." + field, Message: reason})
}

// notRules says why a text is no list.
func notRules(text []byte, err error) string {
	const list = "must be a JSON list of rules"
	wrong, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case ok && errors.Is(err, io.ErrUnexpectedEOF):
		return list + ", and ends too early"
	case ok:
		line := 1 + bytes.Count(text[:min(int(wrong.ByteOffset), len(text))], []byte("\n"))
		return fmt.Sprintf("%s. Line %d is wrong: %v", list, line, wrong.Err)
	}
	return list
}

// parseRule reads one rule. place is where the first problem is, and reason is empty without a problem.
func parseRule(value jsontext.Value, to *Rule) (place, reason string) {
	dec := jsontext.NewDecoder(bytes.NewReader(value))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			break // the end, or a problem that Unmarshal reports too
		}
		if token.Kind() == 'n' {
			return placeOf(dec.StackPointer()), "must not be null"
		}
	}
	err := json.Unmarshal(value, to, json.RejectUnknownMembers(true))
	wrong, ok := errors.AsType[*json.SemanticError](err)
	switch {
	case err == nil:
		return "", ""
	case !ok:
		return "", "must be JSON: " + strings.TrimPrefix(err.Error(), "jsontext: ")
	case errors.Is(err, json.ErrUnknownName):
		return placeOf(wrong.JSONPointer), "is unknown"
	case wrong.GoType == reflect.TypeFor[time.Time]():
		return placeOf(wrong.JSONPointer), "must be a time such as 2027-01-31T12:00:00Z"
	}
	return placeOf(wrong.JSONPointer), "has the wrong type"
}

// placeOf returns a pointer such as /if/device/0 as .if.device[0].
func placeOf(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		if token != "" && strings.Trim(token, "0123456789") == "" {
			fmt.Fprintf(&b, "[%s]", token)
			continue
		}
		b.WriteString("." + token)
	}
	return b.String()
}

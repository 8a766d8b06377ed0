package client_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/terse/terse/client"
)

func TestParseRules(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`[]`,
		`[{"if":{"device":["ios"],"query":{"ref":[]},"after":"2027-01-01T00:00:00Z","not":{"country":["DE"]}},"to":"https://example.com/"}]`,
		`[{"if":{"device":[],"query":{}},"split":[],"sticky":false}]`, // the server refuses it
	} {
		rules, err := client.ParseRules([]byte(" " + text + "\n"))
		if err != nil {
			t.Errorf("ParseRules(%s) = %v, want nil", text, err)
			continue
		}
		if got, err := json.Marshal(rules); err != nil || string(got) != text {
			t.Errorf("ParseRules(%s) is %s, %v, want the same rules", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                      "rules: must be a JSON list of rules, and ends too early",
		"null":                  "rules: must be a JSON list of rules",
		"{}":                    "rules: must be a JSON list of rules",
		"[] []":                 "rules: must be a JSON list of rules. Line 1 is wrong: ",
		"[\n\n{\"to\": x}]":     "rules: must be a JSON list of rules. Line 3 is wrong: ",
		"[\n{\"to\": \"x\"":     "rules: must be a JSON list of rules, and ends too early",
		`[{"to":"a","to":"b"}]`: "rules: must be a JSON list of rules. Line 1 is wrong: duplicate",
		"[{\"to\":\"\xff\"}]":   "rules: must be a JSON list of rules. Line 1 is wrong: ",
		`[1]`:                   "rules[0]: has the wrong type",
		`[null]`:                "rules[0]: must not be null",
		`[{"IF":{}}]`:           "rules[0].IF: is unknown",
		`[{"if":{"device":"a"}}, {"if":{"devices":["a"]}}, {"if":{"country":null}}, {"split":[{"weight":1.5}]}]`: "rules[0].if.device: has the wrong type; rules[1].if.devices: is unknown; " +
			"rules[2].if.country: must not be null; rules[3].split[0].weight: has the wrong type",
		`[{"if":{"device":["ios",1]}}]`:        "rules[0].if.device[1]: has the wrong type",
		`[{"if":{"after":"2027-01-01"}}]`:      "rules[0].if.after: must be a time such as",
		`[{"if":{"not":{"not":{}}},"to":"x"}]`: "rules[0].if.not.not: is unknown",
	} {
		if rules, err := client.ParseRules([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("ParseRules(%q) = %v, %v, want %q", text, rules, err, want)
		}
	}
}

package transfer_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// rulesOf returns the rules of the only record as JSON, or the problem of its row.
func rulesOf(t *testing.T, source, file string) (rules, problem string) {
	t.Helper()
	records, problems := read(t, source, strings.NewReader(file))
	if len(records)+len(problems) != 1 {
		t.Fatalf("%s has %d records and the problems %q, want one row", file, len(records), problems)
	}
	if len(problems) == 1 {
		return "", problems[0]
	}
	text, err := json.Marshal(records[0].Link.Rules)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), ""
}

func TestRulesOfShlink(t *testing.T) {
	t.Parallel()
	const start = `{"shortCode":"a","longUrl":"https://example.com/",`
	condition := func(text string) string {
		return start + `"hasRedirectRules":true,"redirectRules":[{"longUrl":"https://example.com/b","priority":1,"conditions":[` + text + `]}]}`
	}
	rule := func(members string) string { return `[{"if":{` + members + `},"to":"https://example.com/b"}]` }
	for file, want := range map[string]string{
		start + `"hasRedirectRules":false}`: "null",
		start + `"hasRedirectRules":true,"defaultLongUrl":"https://example.com/","redirectRules":[
			{"longUrl":"https://example.com/2","priority":2,"conditions":[{"type":"language","matchKey":null,"matchValue":"de_CH"}]},
			{"longUrl":"https://example.com/1","priority":1,"conditions":[{"type":"device","matchKey":null,"matchValue":"ios"},{"type":"language","matchKey":null,"matchValue":"fr"}]}]}`: `[{"if":{"device":["ios","ipados"],"language":["fr"]},"to":"https://example.com/1"},` +
			`{"if":{"language":["de-CH"]},"to":"https://example.com/2"}]`,
		condition(`{"type":"device","matchValue":"mobile"}`):                                                                rule(`"device":["android","ios","ipados"]`),
		condition(`{"type":"device","matchValue":"desktop"},{"type":"device","matchValue":"linux"}`):                        rule(`"device":["linux"]`),
		condition(`{"type":"browser","matchValue":"Firefox"}`):                                                              rule(`"browser":["firefox"]`),
		condition(`{"type":"geolocation-country-code","matchValue":"de"}`):                                                  rule(`"country":["DE"]`),
		condition(`{"type":"query-param","matchKey":"ref","matchValue":"mail"}`):                                            rule(`"query":{"ref":["mail"]}`),
		condition(`{"type":"any-value-query-param","matchKey":"ref","matchValue":null}`):                                    rule(`"query":{"ref":[]}`),
		condition(`{"type":"valueless-query-param","matchKey":"ref","matchValue":null}`):                                    rule(`"query":{"ref":[""]}`),
		condition(`{"type":"any-value-query-param","matchKey":"a"},{"type":"query-param","matchKey":"a","matchValue":"1"}`): rule(`"query":{"a":["1"]}`),
		condition(`{"type":"query-param","matchKey":"a","matchValue":"1"},{"type":"any-value-query-param","matchKey":"a"}`): rule(`"query":{"a":["1"]}`),
		condition(`{"type":"ip-address","matchValue":"192.0.2.7"}`):                                                         rule(`"ip":["192.0.2.7/32"]`),
		condition(`{"type":"ip-address","matchValue":"192.0.2.7/24"}`):                                                      rule(`"ip":["192.0.2.0/24"]`),
		condition(`{"type":"ip-address","matchValue":"192.0.*.*"},{"type":"ip-address","matchValue":"192.0.2.*"}`):          rule(`"ip":["192.0.2.0/24"]`),
		condition(`{"type":"after-date","matchValue":"2027-01-01T01:00:00+01:00"},{"type":"before-date","matchValue":"2027-02-01T00:00:00Z"},{"type":"before-date","matchValue":"2027-03-01T00:00:00Z"}`): rule(`"after":"2027-01-01T00:00:00Z","before":"2027-02-01T00:00:00Z"`),
		start + `"deviceLongUrls":{"android":"https://example.com/a","ios":null,"desktop":"https://example.com/d"}}`: `[{"if":{"device":["android"]},"to":"https://example.com/a"},` +
			`{"if":{"device":["windows","macos","linux","chromeos"]},"to":"https://example.com/d"}]`,
	} {
		if got, problem := rulesOf(t, "shlink", file); got != want || problem != "" {
			t.Errorf("rules of %s = %s, %q, want %s", file, got, problem, want)
		}
	}
	const place = "line 1: redirectRules[0].conditions[0]: "
	for file, want := range map[string]string{
		start + `"hasRedirectRules":true}`:                                                                                         "line 1: redirectRules: is missing",
		start + `"hasRedirectRules":true,"redirectRules":[]}`:                                                                      "line 1: redirectRules: is missing",
		start + `"redirectRules":{}}`:                                                                                              "line 1: redirectRules: must be a list",
		start + `"redirectRules":[{"conditions":"x"}]}`:                                                                            "line 1: redirectRules: must be a list",
		start + `"deviceLongUrls":{"ios":1}}`:                                                                                      "line 1: deviceLongUrls.ios: has the wrong type",
		condition(""):                                                                                                              "line 1: redirectRules[0].conditions: must not be empty",
		condition(`{"type":"geolocation-city-name","matchValue":"Rome"}`):                                                          place + `has the type "geolocation-city-name"`,
		condition(`{"type":"age","matchKey":"older","matchValue":"5"}`):                                                            place + `has the type "age"`,
		condition(`{"matchValue":"x"}`):                                                                                            place + `has the type ""`,
		condition(`{"type":"device","matchValue":"fridge"}`):                                                                       place + `has the unknown device "fridge"`,
		condition(`{"type":"ip-address","matchValue":"192.*.2.1"}`):                                                                place + `has "192.*.2.1", which is no network`,
		condition(`{"type":"ip-address","matchValue":"fe80::1%eth0"}`):                                                             place + `has "fe80::1%eth0", which is no network`,
		condition(`{"type":"before-date","matchValue":"03/04/2027"}`):                                                              place + `has "03/04/2027", which is not a clear time`,
		condition(`{"type":"before-date","matchValue":""}`):                                                                        place + `has "", which is not a clear time`,
		condition(`{"type":"language","matchValue":"de"},{"type":"language","matchValue":"fr"}`):                                   "line 1: redirectRules[0].conditions[1]: needs a second language",
		condition(`{"type":"device","matchValue":"ios"},{"type":"device","matchValue":"desktop"}`):                                 "line 1: redirectRules[0].conditions[1]: contradicts",
		condition(`{"type":"ip-address","matchValue":"192.0.2.1"},{"type":"ip-address","matchValue":"192.0.2.2"}`):                 "line 1: redirectRules[0].conditions[1]: contradicts",
		condition(`{"type":"query-param","matchKey":"a","matchValue":"1"},{"type":"query-param","matchKey":"a","matchValue":"2"}`): "line 1: redirectRules[0].conditions[1]: contradicts",
		condition(`{"type":"geolocation-country-code","matchValue":"DE"},{"type":"geolocation-country-code","matchValue":"FR"}`):   "line 1: redirectRules[0].conditions[1]: contradicts",
	} {
		if got, problem := rulesOf(t, "shlink", file); !strings.HasPrefix(problem, want) {
			t.Errorf("rules of %s = %s, %q, want the problem %q", file, got, problem, want)
		}
	}
}

func TestRulesOfDub(t *testing.T) {
	t.Parallel()
	const start = `{"key":"a","url":"https://example.com/",`
	for file, want := range map[string]string{
		start + `"ios":null,"android":"","geo":null,"testVariants":null,"expiredUrl":null}`: "null",
		start + `"geo":{},"testVariants":[]}`:                                               "null",
		start + `"geo":{"US":"https://example.com/en","DE":"https://example.com/de","GB":"https://example.com/en"},"android":"https://example.com/a","ios":"https://example.com/i",
			"testVariants":[{"url":"https://example.com/1","percentage":70},{"url":"https://example.com/2","percentage":30}],"testStartedAt":"2027-01-01T00:00:00.000Z","testCompletedAt":"2027-02-01T00:00:00.000Z",
			"expiresAt":"2028-01-01T00:00:00.000Z","expiredUrl":"https://example.com/over"}`: `[{"if":{"after":"2028-01-01T00:00:00Z"},"to":"https://example.com/over"},` +
			`{"if":{"device":["ios","ipados"]},"to":"https://example.com/i"},{"if":{"device":["android"]},"to":"https://example.com/a"},` +
			`{"if":{"country":["DE"]},"to":"https://example.com/de"},{"if":{"country":["GB","US"]},"to":"https://example.com/en"},` +
			`{"if":{"before":"2027-02-01T00:00:00Z"},"split":[{"to":"https://example.com/1","weight":70},{"to":"https://example.com/2","weight":30}]}]`,
		start + `"testVariants":[{"url":"https://example.com/1","percentage":50},{"url":"https://example.com/2","percentage":50}]}`: "null",
		"Short link,Destination URL,iOS,Geo\nhttps://dub.sh/a,https://example.com/,https://example.com/i,\"{\"\"DE\"\":\"\"https://example.com/de\"\"}\"\n": `[{"if":{"device":["ios","ipados"]},"to":"https://example.com/i"},` +
			`{"if":{"country":["DE"]},"to":"https://example.com/de"}]`,
	} {
		if got, problem := rulesOf(t, "dub", file); got != want || problem != "" {
			t.Errorf("rules of %s = %s, %q, want %s", file, got, problem, want)
		}
	}
	for file, want := range map[string]string{
		start + `"ios":{"url":"https://example.com/"}}`:          "line 1: ios: has the wrong type",
		start + `"geo":["DE"]}`:                                  "line 1: geo: must be an object",
		start + `"geo":{"DE":{}}}`:                               "line 1: geo: must be an object",
		start + `"testVariants":{"url":"https://example.com/"}}`: "line 1: testVariants: must be a list",
		start + `"testVariants":[{"url":"https://example.com/","percentage":33.5}],"testCompletedAt":"2027-02-01T00:00:00Z"}`:     "line 1: testVariants[0].percentage: must be a whole number",
		start + `"testVariants":[{"url":"https://example.com/","percentage":50}],"testCompletedAt":"soon"}`:                       `line 1: testCompletedAt: "soon" is not a clear time`,
		"Short link,Destination URL,Geo\nhttps://dub.sh/a,https://example.com/,\"{\"\"DE\"\":\"\"a\"\",\"\"DE\"\":\"\"b\"\"}\"\n": "line 2: geo: must be an object",
	} {
		if got, problem := rulesOf(t, "dub", file); !strings.HasPrefix(problem, want) {
			t.Errorf("rules of %s = %s, %q, want the problem %q", file, got, problem, want)
		}
	}
}

// TestWarningsOfDub checks that a field without effect in Dub is dropped with a warning, and that a link
// with a target for its end has no end.
func TestWarningsOfDub(t *testing.T) {
	t.Parallel()
	records, problems := read(t, "dub", strings.NewReader(`[
		{"key":"a","url":"https://example.com/","testVariants":[{"url":"https://example.com/1","percentage":100}]},
		{"key":"b","url":"https://example.com/","expiredUrl":"https://example.com/over"},
		{"key":"c","url":"https://example.com/","expiredUrl":"https://example.com/over","expiresAt":"2028-01-01T00:00:00Z"}]`))
	if len(problems) > 0 || len(records) != 3 {
		t.Fatalf("the file has %d records and the problems %q, want 3 records", len(records), problems)
	}
	var fields []string
	for i := range records {
		for _, w := range records[i].Warnings {
			fields = append(fields, records[i].Link.Code+" "+w.Field)
		}
	}
	if want := []string{"a testVariants", "b expired_url"}; !slices.Equal(fields, want) {
		t.Errorf("warnings of %q, want of %q", fields, want)
	}
	if l := &records[2].Link; l.ExpiresAt != nil || len(l.Rules) != 1 {
		t.Errorf("link with a target for its end = %+v, want a rule and no end", l)
	}
}

package rules_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

// parse reads rules as a user sends them.
func parse(t testing.TB, text string) []rules.Rule {
	t.Helper()
	var list []rules.Rule
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("rules %s: %v", text, err)
	}
	return list
}

// options accept http and https targets, and convert them as a server does.
func options(t testing.TB) rules.Options {
	t.Helper()
	r, err := store.NewRules(store.RulesOptions{OwnHosts: []string{"sho.rt"}})
	if err != nil {
		t.Fatal(err)
	}
	return rules.Options{Room: store.MaxURLLen, Countries: true, Target: func(raw string) (string, error) {
		to, err := r.Target(raw)
		if problem, ok := errors.AsType[*store.FieldError](err); ok {
			return "", errors.New(problem.Reason)
		}
		return to, err
	}}
}

// checked returns the stored form of valid rules.
func checked(t testing.TB, text string) string {
	t.Helper()
	list, err := rules.Check(parse(t, text), options(t))
	if err != nil {
		t.Fatalf("Check(%s) = %v", text, err)
	}
	encoded, err := rules.Encode(list)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// compiled returns the compiled form of valid rules.
func compiled(t testing.TB, text string) *rules.Set {
	t.Helper()
	s, err := rules.Parse(checked(t, text))
	if err != nil {
		t.Fatalf("Parse(%s) = %v", text, err)
	}
	return s
}

// all is one rule with every member.
const all = `[{"if":{"device":["ios","mobile"],"browser":["Chrome","samsung internet"],"country":["DE","at"],"continent":["EU"],
	"language":["de","pt-BR"],"query":{"ref":["mail","ad"],"any":[]},"referrer":["example.com","münchen.example"],
	"ip":["192.0.2.0/24","2001:db8::1"],"after":"2027-01-01T00:00:00+01:00","before":"2027-02-01T00:00:00Z",
	"weekday":["mon","Sun"],"hours":["09:00-17:30","22:00-06:00"],"tz":"Europe/Berlin",
	"not":{"device":["bot"],"query":{"x":["1"]}}},
	"split":[{"to":"https://example.com/a?b=<c>&d","weight":70},{"to":"https://example.com/b","weight":30}],"sticky":false},
	{"to":"https://example.com/else"}]`

func TestStoredForm(t *testing.T) {
	t.Parallel()
	text := checked(t, all)
	list, err := rules.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if want := parse(t, all); !reflect.DeepEqual(list[0].If, want[0].If) || len(list) != 2 {
		t.Errorf("Decode(Encode()) = %s, want the conditions of %s", text, all)
	}
	if want := []string{"https://example.com/a?b=%3Cc%3E&d", "https://example.com/b", "https://example.com/else"}; !reflect.DeepEqual(rules.Targets(list), want) {
		t.Errorf("Targets = %q, want %q", rules.Targets(list), want)
	}
	again, err := rules.Encode(list)
	if err != nil || again != text {
		t.Errorf("Encode(Decode(%s)) = %s, %v", text, again, err)
	}
	if text, err := rules.Encode(nil); text != "" || err != nil {
		t.Errorf("Encode(nil) = %q, %v, want an empty text", text, err)
	}
	if list, err := rules.Decode(""); list != nil || err != nil {
		t.Errorf("Decode of an empty text = %v, %v, want no rules", list, err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	many := strings.Repeat(`{"to":"https://example.com/"},`, rules.MaxRules+1)
	for _, text := range []string{
		`{}`, `[`, `[{"to":"https://example.com/"}]x`, `[{"to":"https://example.com/","unknown":1}]`, `[{"if":{"planet":["mars"]},"to":"https://example.com/"}]`,
		`[{"to":"javascript:alert(1)"}]`, `[{"to":"https://example.com/\r\nX: y"}]`, `[{"to":""}]`, `[{"split":[{"to":"/a","weight":1},{"to":"https://example.com/","weight":1}]}]`,
		`[{"if":{"ip":["x"]},"to":"https://example.com/"}]`, `[{"if":{"hours":["09:00-10:00"],"tz":"Mars/Base"},"to":"https://example.com/"}]`,
		`[` + many[:len(many)-1] + `]`,
	} {
		if s, err := rules.Parse(text); err == nil {
			t.Errorf("Parse(%s) = %v, want an error", text, s)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const to = `"to":"https://example.com/"`
	values := func(n int, value string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(value+",", n), ",") + "]"
	}
	variants := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"to":"https://example.com/%d","weight":1}`, i))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	for _, tt := range []struct{ name, rules, field, reason string }{
		{"empty rule", `[{}]`, "rules[0].to", "is required, or split"},
		{"no target", `[{"if":{"device":["ios"]}}]`, "rules[0].to", "is required, or split"},
		{"target and split", `[{` + to + `,"split":` + variants(2) + `}]`, "rules[0].split", "must not be set together with to"},
		{"sticky target", `[{` + to + `,"sticky":true}]`, "rules[0].sticky", "must not be set without split"},
		{"17 rules", "[" + values(17, `{"if":{"device":["ios"]},`+to+`}`)[1:], "rules", "must be at most 16"},
		{"no values", `[{"if":{"device":[]},` + to + `}]`, "rules[0].if.device", "must have 1 to 64 values"},
		{"65 values", `[{"if":{"country":` + values(65, `"DE"`) + `},` + to + `}]`, "rules[0].if.country", "must have 1 to 64 values"},
		{"65 values of parameters", `[{"if":{"query":{"a":` + values(40, `"x"`) + `,"b":` + values(25, `"x"`) + `}},` + to + `}]`, "rules[0].if.query", "must have 1 to 8 names and at most 64 values in all"},
		{"no parameters", `[{"if":{"query":{}},` + to + `}]`, "rules[0].if.query", "must have 1 to 8 names and at most 64 values in all"},
		{"parameter without a name", `[{"if":{"query":{"":["x"]}},` + to + `}]`, "rules[0].if.query", "must have names of 1 to 128 bytes without control characters"},
		{"long parameter", `[{"if":{"query":{"a":["x","` + strings.Repeat("y", 256) + `"]}},` + to + `}]`, "rules[0].if.query.a[1]", "must be at most 255 bytes long without control characters"},
		{"9 variants", `[{"split":` + variants(9) + `}]`, "rules[0].split", "must have 2 to 8 targets"},
		{"1 variant", `[{"split":` + variants(1) + `}]`, "rules[0].split", "must have 2 to 8 targets"},
		{"empty split", `[{"split":[]}]`, "rules[0].split", "must have 2 to 8 targets"},
		{"weight of zero", `[{"split":[{"to":"https://example.com/a","weight":0},{"to":"https://example.com/b","weight":1}]}]`, "rules[0].split[0].weight", "must be 1 to 1000"},
		{"weight of 1001", `[{"split":[{"to":"https://example.com/a","weight":1},{"to":"https://example.com/b","weight":1001}]}]`, "rules[0].split[1].weight", "must be 1 to 1000"},
		{"equal variants", `[{"split":[{"to":"https://example.com/a","weight":1},{"to":"https://example.com/a","weight":1}]}]`, "rules[0].split[1].to", "must differ from split[0].to"},
		{"own host", `[{"to":"https://sho.rt/x"}]`, "rules[0].to", "must not lead to this URL shortener itself"},
		{"own host in a split", `[{"split":[{"to":"https://example.com/a","weight":1},{"to":"https://SHO.rt./x","weight":1}]}]`, "rules[0].split[1].to", "must not lead to this URL shortener itself"},
		{"no http", `[{"to":"myapp://open"}]`, "rules[0].to", "must begin with http:// or https://"},
		{"device", `[{"if":{"device":["ios","phone"]},` + to + `}]`, "rules[0].if.device[1]", "must be ios, ipados, android, windows, macos, linux, chromeos, mobile, desktop or bot"},
		{"browser", `[{"if":{"browser":["netscape"]},` + to + `}]`, "rules[0].if.browser[0]", "must be the name of a browser or an app as in statistics, such as chrome, firefox, safari, edge or instagram"},
		{"country", `[{"if":{"country":["UK"]},` + to + `}]`, "rules[0].if.country[0]", "must be the code of a country with two letters (ISO 3166-1), such as DE"},
		{"continent", `[{"if":{"continent":["Europe"]},` + to + `}]`, "rules[0].if.continent[0]", "must be AF, AN, AS, EU, NA, OC or SA"},
		{"language", `[{"if":{"language":["*"]},` + to + `}]`, "rules[0].if.language[0]", "must be a language tag, such as de or pt-BR"},
		{"referrer with a port", `[{"if":{"referrer":["example.com:80"]},` + to + `}]`, "rules[0].if.referrer[0]", "must be a host without a port, such as example.com"},
		{"referrer with a path", `[{"if":{"referrer":["https://example.com/"]},` + to + `}]`, "rules[0].if.referrer[0]", "must be a host without a port, such as example.com"},
		{"address", `[{"if":{"ip":["192.0.2.256"]},` + to + `}]`, "rules[0].if.ip[0]", "must be an address or a network, such as 192.0.2.0/24 or 2001:db8::/32"},
		{"network from its middle", `[{"if":{"ip":["192.0.2.1/24"]},` + to + `}]`, "rules[0].if.ip[0]", "must begin at the start of the network: 192.0.2.0/24"},
		{"weekday", `[{"if":{"weekday":["monday"]},` + to + `}]`, "rules[0].if.weekday[0]", "must be mon, tue, wed, thu, fri, sat or sun"},
		{"hours", `[{"if":{"hours":["9-17"]},` + to + `}]`, "rules[0].if.hours[0]", "must be two different times of the day from 00:00 to 24:00, such as 09:00-17:30"},
		{"no time", `[{"if":{"hours":["09:00-09:00"]},` + to + `}]`, "rules[0].if.hours[0]", "must be two different times of the day from 00:00 to 24:00, such as 09:00-17:30"},
		{"zone", `[{"if":{"hours":["09:00-17:00"],"tz":"Mars/Base"},` + to + `}]`, "rules[0].if.tz", "must be the name of a time zone, such as Europe/Berlin"},
		{"zone of the machine", `[{"if":{"hours":["09:00-17:00"],"tz":"Local"},` + to + `}]`, "rules[0].if.tz", "must be the name of a time zone, such as Europe/Berlin"},
		{"zone alone", `[{"if":{"device":["ios"],"tz":"Europe/Berlin"},` + to + `}]`, "rules[0].if.tz", "must not be set without weekday or hours"},
		{"after later than before", `[{"if":{"after":"2027-01-02T00:00:00Z","before":"2027-01-01T00:00:00Z"},` + to + `}]`, "rules[0].if.before", "must be later than after"},
		{"before at after", `[{"if":{"not":{"after":"2027-01-02T00:00:00Z","before":"2027-01-02T00:00:00Z"}},` + to + `}]`, "rules[0].if.not.before", "must be later than after"},
		{"year", `[{"if":{"after":"0001-01-01T00:00:00Z"},` + to + `}]`, "rules[0].if.after", "must be in the years 2000 to 9999"},
		{"empty condition", `[{"if":{},` + to + `}]`, "rules[0].if", "must have a condition, or be left out in the last rule"},
		{"empty not", `[{"if":{"not":{}},` + to + `}]`, "rules[0].if.not", "must have a condition"},
		{"after a rule that always holds", `[{` + to + `},{"if":{"device":["ios"]},` + to + `}]`, "rules[0].if", "is required: without it, the rules after this one never apply"},
		{"long rules", `[{"if":{"language":` + values(64, `"de-`+strings.Repeat("abcdefgh-", 3)+`abc"`) + `,"query":{"a":` + values(64, `"`+strings.Repeat("x", 250)+`"`) + `}},` + to + `}]`, "rules", "must have at most 16384 bytes as JSON"},
		{"long targets", `[{"if":{"device":["ios"]},"to":"https://example.com/` + strings.Repeat("a", 8000) + `"},{"to":"https://example.com/` + strings.Repeat("a", 200) + `"}]`, "rules", "must have targets of at most 8192 bytes in all, together with the url"},
	} {
		list, err := rules.Check(parse(t, tt.rules), options(t))
		problems, _ := errors.AsType[store.InvalidError](err)
		if len(problems) != 1 || problems[0].Field != tt.field || problems[0].Reason != tt.reason {
			t.Errorf("%s: Check = %v, %v, want %s: %s", tt.name, list, err, tt.field, tt.reason)
		}
	}
}

// TestUseless checks that a rule which can never apply is refused.
func TestUseless(t *testing.T) {
	t.Parallel()
	const (
		contradiction = "must not exclude every visit that meets the other conditions: the rule would never apply"
		unreachable   = "must not be met only by visits that meet the conditions of rules[0]: the rule would never apply"
	)
	for _, tt := range []struct{ first, second, field, reason string }{
		{`{"country":["DE"],"not":{"country":["de","AT"]}}`, `{"device":["ios"]}`, "rules[0].if.not", contradiction},
		{`{"country":["DE"],"not":{"continent":["EU"]}}`, `{"device":["ios"]}`, "rules[0].if.not", contradiction},
		{`{"country":["DE"],"continent":["AS","AF"]}`, `{"device":["ios"]}`, "rules[0].if.continent", "must have a continent of the countries: the rule would never apply"},
		{`{"device":["ios","android"]}`, `{"device":["IOS"]}`, "rules[1].if", unreachable},
		{`{"device":["ios"]}`, `{"device":["ios"],"country":["DE"]}`, "rules[1].if", unreachable},
		{`{"continent":["EU"]}`, `{"country":["DE","FR"]}`, "rules[1].if", unreachable},
		{`{"language":["de"]}`, `{"language":["de-CH"]}`, "rules[1].if", unreachable},
		{`{"query":{"a":[]}}`, `{"query":{"a":["1"],"b":[]}}`, "rules[1].if", unreachable},
		{`{"referrer":["example.com"]}`, `{"referrer":["www.example.com"]}`, "rules[1].if", unreachable},
		{`{"ip":["192.0.2.0/24"]}`, `{"ip":["192.0.2.7"]}`, "rules[1].if", unreachable},
		{`{"after":"2027-01-01T00:00:00Z"}`, `{"after":"2027-01-01T02:00:00+01:00","before":"2028-01-01T00:00:00Z"}`, "rules[1].if", unreachable},
		{`{"weekday":["sat","sun"],"hours":["08:00-12:00","12:00-20:00"]}`, `{"weekday":["SUN"],"hours":["09:00-18:00"]}`, "rules[1].if", unreachable},
		{`{"not":{"country":["DE"]}}`, `{"not":{"country":["DE","AT"]}}`, "rules[1].if", unreachable},

		{`{"device":["ios"]}`, `{"device":["ios","android"]}`, "", ""},
		{`{"device":["ios"],"country":["DE"]}`, `{"device":["ios"]}`, "", ""},
		{`{"continent":["EU"]}`, `{"country":["DE","US"]}`, "", ""},
		{`{"language":["de-CH"]}`, `{"language":["de"]}`, "", ""},
		{`{"query":{"a":["1"]}}`, `{"query":{"a":[]}}`, "", ""},
		{`{"hours":["09:00-18:00"],"tz":"Europe/Berlin"}`, `{"hours":["09:00-18:00"],"tz":"Asia/Tokyo"}`, "", ""},
		{`{"not":{"country":["DE","AT"]}}`, `{"not":{"country":["DE"]}}`, "", ""},
		{`{"country":["DE","AT"],"not":{"country":["DE"]}}`, `{"country":["DE"]}`, "", ""},
		{`{"ip":["192.0.2.0/25"]}`, `{"ip":["192.0.2.0/24"]}`, "", ""},
	} {
		text := fmt.Sprintf(`[{"if":%s,"to":"https://example.com/1"},{"if":%s,"to":"https://example.com/2"}]`, tt.first, tt.second)
		_, err := rules.Check(parse(t, text), options(t))
		problems, _ := errors.AsType[store.InvalidError](err)
		if tt.field == "" {
			if err != nil {
				t.Errorf("Check(%s) = %v, want nil", text, err)
			}
			continue
		}
		if len(problems) != 1 || problems[0].Field != tt.field || problems[0].Reason != tt.reason {
			t.Errorf("Check(%s) = %v, want %s: %s", text, err, tt.field, tt.reason)
		}
	}
}

func TestCheckWithoutCountries(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Countries = false
	_, err := rules.Check(parse(t, `[{"if":{"country":["DE"],"not":{"continent":["AS"]}},"to":"https://example.com/"}]`), o)
	problems, _ := errors.AsType[store.InvalidError](err)
	if len(problems) != 2 || problems[0].Field != "rules[0].if.country" || problems[1].Field != "rules[0].if.not.continent" {
		t.Errorf("Check without a source of countries = %v, want two problems", err)
	}
}

// TestCheckKeepsInput checks that Check changes only its result.
func TestCheckKeepsInput(t *testing.T) {
	t.Parallel()
	const text = `[{"split":[{"to":" https://example.com/ä","weight":1},{"to":"https://example.com/b","weight":2}]}]`
	list := parse(t, text)
	got, err := rules.Check(list, options(t))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(list, parse(t, text)) {
		t.Errorf("Check changed its argument to %v", list)
	}
	if got[0].Split[0].To != "https://example.com/%C3%A4" {
		t.Errorf("Check = %v, want the stored form of the target", got)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(all)
	f.Add(`[{"if":{"not":{"ip":["::ffff:192.0.2.1/120"]}},"to":"https://example.com/"}]`)
	o := options(f)
	f.Fuzz(func(t *testing.T, text string) {
		var list []rules.Rule
		if json.Unmarshal([]byte(text), &list) != nil {
			return
		}
		list, err := rules.Check(list, o)
		if err != nil {
			return
		}
		stored, err := rules.Encode(list)
		if err != nil {
			t.Fatal(err)
		}
		s := new(rules.Set)
		if stored != "" {
			if s, err = rules.Parse(stored); err != nil {
				t.Fatalf("Parse(%s) = %v", stored, err)
			}
		}
		for _, to := range s.Targets() {
			if l := (store.Link{URL: to, Status: store.DefaultStatus}); !l.MayRedirect() {
				t.Errorf("target %q", to)
			}
		}
		s.Choose(&rules.Visit{Time: time.Now(), Language: text, Query: text, Referrer: "https://" + text})
	})
}

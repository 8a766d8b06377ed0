//go:build unix

package varnish_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/useragent"
)

// The headers that the VCL sets for rules.
const (
	deviceHeader   = "Terse-Device"
	countryHeader  = "Terse-Country"
	languageHeader = "Terse-Language"
)

// bounded sends requests with one header and forged values of the headers that the VCL sets. It returns
// what the origin got, in the same order.
func (e *edge) bounded(header string, values []string) []http.Header {
	e.t.Helper()
	const senders = 8
	next := make(chan int)
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for i := range next {
				sent := []string{"User-Agent", "", deviceHeader, "ios", countryHeader, "DE", languageHeader, "fr"}
				if values[i] != "" {
					sent = append(sent, header, values[i])
				}
				got, err := e.try(http.MethodGet, fmt.Sprint("/api/", i), sent...)
				if err != nil || got.StatusCode != http.StatusNotFound {
					e.t.Errorf("%s: %.300q = %d, %v, want the answer of the origin", header, values[i], got.StatusCode, err)
				}
			}
		})
	}
	for i := range values {
		next <- i
	}
	close(next)
	all.Wait()
	got := make([]http.Header, len(values))
	e.origin.mu.Lock()
	defer e.origin.mu.Unlock()
	for _, r := range e.origin.seen {
		var i int
		if n, _ := fmt.Sscanf(r.URL.Path, "/api/%d", &i); n == 1 {
			got[i] = r.Header
		}
	}
	for i, h := range got {
		if h == nil {
			e.t.Fatalf("%s: %.300q did not reach the origin", header, values[i])
		}
	}
	return got
}

// oneRule returns the rules of a link with one condition.
func oneRule(t *testing.T, condition string) *rules.Set {
	t.Helper()
	s, err := rules.Parse(`[{"if":` + condition + `,"to":"https://example.com/"}]`)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// userAgents are texts with the device that the VCL must see.
var userAgents = map[string]string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0":                                  "windows",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0":                                                                               "windows",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15":                                          "macos",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:132.0) Gecko/20100101 Firefox/132.0":                                                                           "macos",
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36":                                                          "linux",
	"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0":                                                                                 "linux",
	"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36":                                                 "chromeos",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1":                        "ios",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/130.0.6723.90 Mobile/15E148 Safari/604.1":               "ios",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/132.0 Mobile/15E148 Safari/605.1.15":                      "ios",
	"Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1":                                 "ipados",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36":                                                "android",
	"Mozilla/5.0 (Linux; Android 13; SM-T870) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36":                                                 "android",
	"Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36":             "android",
	"Mozilla/5.0 (Android 14; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0":                                                                                           "android",
	"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)":                                                                                      "bot",
	"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile Safari/537.36 (compatible; Googlebot/2.1)": "bot",
}

// TestDevices checks that the VCL sets the device that Terse finds in the same User-Agent, or no device. The
// User-Agents are frequent ones, the test data of package useragent, and random changes to all of them.
func TestDevices(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	names, err := useragent.New()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for ua := range userAgents {
		all = append(all, ua)
	}
	common := len(all)
	for _, file := range []string{"people.txt", "robots.txt", "agents.tsv", "named.tsv"} {
		f, err := os.Open("../../useragent/testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			line := lines.Text()
			if ua := line[strings.LastIndexByte(line, '\t')+1:]; ua != "" && line[0] != '#' {
				all = append(all, strings.TrimSpace(ua))
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range []string{"f", "slackbo ", "googlebot ", " Mobile", " Chrome/1", "(", "Mozilla/5.0 (", "Windows NT "} { // must not exceed limits of Varnish
		long := strings.Repeat(part, 5000/len(part))
		all = append(all, strings.TrimSpace(long))
		for _, ua := range all[:common] {
			all = append(all, ua+long)
		}
	}
	for unchanged, i := len(all), testenv.Rounds(3000); i > 0; i-- {
		all = append(all, changed(all[:common], all[rand.IntN(unchanged)]))
	}
	s := oneRule(t, `{"device":["ios"]}`)
	known := 0
	for i, h := range e.bounded("User-Agent", all) {
		device := h.Get(deviceHeader)
		switch {
		case h.Get(countryHeader) != "":
			t.Errorf("%q: a visitor has set the country", all[i])
		case device == "" && i < common:
			t.Errorf("%q has no device, want %s", all[i], userAgents[all[i]])
		case device == "":
			continue
		case i < common && device != userAgents[all[i]]:
			t.Errorf("%q has the device %s, want %s", all[i], device, userAgents[all[i]])
		case !s.Bounded(&rules.Visit{Agent: names.Agent(all[i])}, device, ""):
			t.Errorf("%q has the device %s in Varnish, and %+v in Terse", all[i], device, names.Agent(all[i]))
		}
		known++
	}
	t.Logf("Varnish knows the device of %d of %d User-Agents", known, len(all))
}

// changed returns a User-Agent with a part of another one, or with a word or a number in it.
func changed(others []string, ua string) string {
	words := []string{
		"bot", " Mobile", " Mobile/15E148", "Tablet;", "X11", "Windows", "Android", "iPad", "Xbox", "; KF", "Macintosh", "CUBOT", "scan", " Tool/1.0",
		"compatible; ", "http://", "Version/1BOT", "Googlebot/2.1", "whatsapp", "WhatsApp/2", strings.Repeat("x", 2000), "ä", "K", "\t", ")", "(", ";",
	}
	parts := strings.SplitAfter(ua, " ")
	at := rand.IntN(len(parts))
	switch rand.IntN(5) {
	case 0:
		other := strings.SplitAfter(others[rand.IntN(len(others))], " ")
		parts = append(parts[:at], other[min(at, len(other)):]...)
	case 1:
		other := strings.SplitAfter(others[rand.IntN(len(others))], " ")
		parts[at] = other[rand.IntN(len(other))]
	case 2:
		parts[at] = words[rand.IntN(len(words))]
	case 3:
		byteAt := rand.IntN(len(ua) + 1)
		return strings.TrimSpace(ua[:byteAt] + words[rand.IntN(len(words))] + ua[byteAt:])
	default:
		parts[at] = fmt.Sprintf("%c%d ", 'A'+rand.IntN(26), rand.IntN(1000))
	}
	return strings.TrimSpace(strings.Join(parts, ""))
}

// TestLanguages checks that the languages that the VCL sets have the same result for every rule on
// languages without regions as the header of the visitor.
func TestLanguages(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	want := map[string]string{
		"":                                    "none",
		"de":                                  "de",
		"en-US,en;q=0.9":                      "en",
		"en-GB,en-US;q=0.9,en;q=0.8":          "en",
		"de-AT,de;q=0.9,en-US;q=0.8,en;q=0.7": "de,en",
		"pt-BR,pt;q=0.8,en-US;q=0.5,en;q=0.3": "pt,en",
		"zh-Hant-TW, zh;q=0.5":                "zh",
		"DE, EN;q=0.5":                        "de,en",
		"de,fr;q=0.9":                         "",
		"de;q=0.5,en":                         "",
		"de,en":                               "",
		"gsw,de;q=0.9":                        "",
		"*":                                   "",
	}
	var all []string
	for header := range want {
		all = append(all, header)
	}
	common := len(all)
	tags := []string{"de", "de-AT", "en", "EN-us", "fr", "fr-CA", "zh-Hant-TW", "es-419", "gsw", "*", "", "de_AT", "i-klingon", "en-x", "english"}
	weights := []string{"", "", ";q=0.9", ";q=0.8", ";q=0.5", ";q=0.05", ";q=0", ";q=1", ";q=1.0", "; q=0.3", ";q=2", ";Q=0.7", ";q=0.9;x"}
	for _, part := range []string{"-de", ",de;q=0.1", ",en;q=0.1", "e", "en-us,", ", "} { // must not exceed limits of Varnish
		all = append(all, "en"+strings.TrimSpace(strings.Repeat(part, 7000/len(part))))
	}
	for range testenv.Rounds(2000) {
		var entries []string
		for range 1 + rand.IntN(5) {
			entries = append(entries, tags[rand.IntN(len(tags))]+weights[rand.IntN(len(weights))])
		}
		if rand.IntN(2) == 0 { // as browsers send it
			first, english := tags[rand.IntN(len(tags))], []string{"en-US", "en", "en-GB", "fr", "en_US"}
			primary, _, _ := strings.Cut(first, "-")
			entries = []string{first, primary + weights[2+rand.IntN(3)], english[rand.IntN(len(english))] + weights[rand.IntN(len(weights))]}
			entries = entries[:1+rand.IntN(len(entries))]
		}
		all = append(all, strings.TrimSpace(strings.Join(entries, []string{",", ", ", " ,"}[rand.IntN(3)])))
	}
	var sets []*rules.Set
	for _, named := range []string{`"de"`, `"en"`, `"fr"`, `"de","en"`, `"en","fr","zh"`, `"es","gsw","de"`, `"it"`} {
		sets = append(sets, oneRule(t, `{"language":[`+named+`]}`))
	}
	known := 0
	for i, h := range e.bounded("Accept-Language", all) {
		languages := h.Get(languageHeader)
		if i < common && languages != want[all[i]] {
			t.Errorf("%q has the languages %q, want %q", all[i], languages, want[all[i]])
		}
		if languages == "" {
			continue
		}
		known++
		for _, s := range sets {
			if !s.Bounded(&rules.Visit{Language: all[i]}, "", languages) {
				t.Errorf("%q has the languages %q, which differ for a rule", all[i], languages)
			}
		}
	}
	t.Logf("Varnish knows the languages of %d of %d visitors", known, len(all))
}

// TestCountries checks that the country comes from the header of a trusted proxy, and only if it is a code.
func TestCountries(t *testing.T) {
	t.Parallel()
	e := newEdgeWith(t, map[string]string{"# set req.http.Terse-Country": "set req.http.Terse-Country"})
	want := map[string]string{"": "", "DE": "DE", "de": "", "DEU": "", "D1": "", "XX": "XX"}
	var all []string
	for value := range want {
		all = append(all, value)
	}
	for i, h := range e.bounded("CF-IPCountry", all) {
		if got := h.Get(countryHeader); got != want[all[i]] {
			t.Errorf("the country %q becomes %q, want %q", all[i], got, want[all[i]])
		}
	}
}

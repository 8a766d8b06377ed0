package rules

import "strings"

// boundedDevices are the devices of visits by the names that a CDN gives them.
var boundedDevices = map[string]devices{
	"ios": ios | mobile, "ipados": ipados | mobile, "android": android | mobile, "windows": windows | desktop,
	"macos": macos | desktop, "linux": linux | desktop, "chromeos": chromeos | desktop, "bot": bot,
}

// Bounded reports whether a CDN knows the device and the languages of a visit as exactly as the rules need. Then
// all visits with the same values have the same results of conditions on device and language. Bounded
// reports false if a value is empty or does not agree with the visit, and the rules ask about it. It also
// reports false if the rules name a language with a region.
//
// device is ios, ipados, android, windows, macos, linux, chromeos or bot. languages are the languages that
// the visitor prefers, the best one first, separated by commas and each without a region. They are
// "none" for a visitor without languages.
func (s *Set) Bounded(v *Visit, device, languages string) bool {
	if s.varies.Has(Device) {
		if named := boundedDevices[device]; named == 0 || named != devicesOf(v.Agent) {
			return false
		}
	}
	if !s.varies.Has(Language) {
		return true
	}
	if languages == "" || s.namesRegion() {
		return false
	}
	best, bounded := bestLanguage(v.Language, s.languages), bestLanguage(languages, s.languages)
	return best.known == bounded.known && best.primary() == bounded.primary()
}

// namesRegion reports whether a rule names a language with more than its first part, such as pt-BR.
func (s *Set) namesRegion() bool {
	for tag := range s.languages {
		if strings.Contains(tag, "-") {
			return true
		}
	}
	return false
}

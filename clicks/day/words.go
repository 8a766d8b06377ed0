package day

import "strings"

// words are common values, which the packed format stores as their positions. The format depends
// on the positions: new words come at the end.
var words = []string{
	Person, "link", "desktop", "mobile", "en", "US", "Chrome", "Safari",
	"iOS", "Android", "Windows", "macOS", "Linux", "Firefox", "Edge", "tablet",
	"preview", "crawler", "tool", "scanner", "prefetch", "head", "qr", "de",
	"fr", "es", "pt", "it", "nl", "pl", "ja", "zh",
	"ru", "tr", "ko", "DE", "FR", "GB", "IN", "BR",
	"CA", "AU", "ES", "IT", "NL", "PL", "JP", "MX",
	"TR", "ID", "Google", "Facebook", "Instagram", "X", "LinkedIn", "YouTube",
	"Reddit", "WhatsApp", "Telegram", "Bing", "DuckDuckGo", "Samsung Internet", "Opera",
	"email", "social", "cpc", "newsletter", "google", "facebook", "twitter", "organic",
	"KR", "RU", "SE", "CH", "BE", "AT", "DK", "NO", "FI", "IE", "PT", "CZ", "CN", "SG", "HK", "TW",
	"TH", "VN", "PH", "MY", "PK", "BD", "NG", "ZA", "EG", "SA", "AE", "IL", "IR", "UA", "RO", "HU",
	"GR", "AR", "CO", "CL", "PE", "NZ", "ar", "sv", "da", "nb", "fi", "cs", "uk", "el", "hu", "ro",
	"id", "vi", "th", "hi", "he", "fa", "Messenger", "Android WebView", "TikTok", "ChromeOS", "Apple WebView",
	"Google app", "tv", "console", "(invalid)", "WeChat", "Threads", "Snapchat", "Pinterest", "ChatGPT", "Gmail",
}

var wordPositions = func() map[string]int {
	m := make(map[string]int, len(words))
	for i, w := range words {
		m[w] = i
	}
	return m
}()

// intern returns s without a reference to the memory that s is part of.
func intern(s string) string {
	if i, ok := wordPositions[s]; ok {
		return words[i]
	}
	return strings.Clone(s)
}

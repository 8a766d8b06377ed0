package useragent

import (
	"slices"
	"strings"
)

// ofPeople are patterns of the list that also match browsers of people.
var ofPeople = []string{
	"MetaIAB Facebook", // pages that people open inside Facebook's app
	"Viber",            // the same inside Viber's
	`NING\/`,           // also Lightning/, a part of Thunderbird
}

// ownPatterns are patterns of robots that the list lacks, with their classes. Case is ignored.
var ownPatterns = map[string]Class{
	// Previews in chats, mail programs, social networks and documents.
	"facebookcatalog":       Preview,
	"cardyb":                Preview, // Bluesky
	"skype-url-preview":     Preview, // Skype and Teams
	"^microsoft office":     Preview, // checks a link before it opens the browser
	"ms-office":             Preview,
	"google-pagerenderer":   Preview,
	"googlemessages":        Preview,
	"^signal-":              Preview,
	"^viber/":               Preview,
	"^ning/":                Preview,
	"kakaotalk-scrap":       Preview,
	"trello":                Preview,
	"asana/":                Preview,
	"zulip":                 Preview,
	"rocket\\.chat":         Preview,
	"cfnetwork/":            Preview, // an app on an Apple device, not a page inside an app
	"(via |\\.)ggpht\\.com": Preview, // Google's proxy of pictures
	"imageproxy":            Preview,

	// Scanners of links in mail.
	"safelinks":          Scanner,
	"safe links":         Scanner,
	"proofpoint":         Scanner,
	"urldefense":         Scanner,
	"mimecast":           Scanner,
	"barracuda":          Scanner,
	"trend ?micro":       Scanner,
	"symantec":           Scanner,
	"fireeye":            Scanner,
	"forcepoint":         Scanner,
	"cisco secure email": Scanner,
	"urlscan":            Scanner,
	"virustotal":         Scanner,
	"kaspersky":          Scanner,

	// Browsers without a person.
	"headlesschrome":   Crawler,
	"phantomjs":        Crawler,
	"lighthouse":       Crawler,
	"google-adwords":   Crawler,
	"duplexweb-google": Crawler,
}

// Words of robots in lower case. Letters may stand before them: Fancybot.
var (
	wordsOfPreviews = []string{"preview", "previewer", "unfurl", "unfurler", "unfurling", "embed", "opengraph", "onebox", "expanding", "expander"}
	wordsOfScanners = []string{"scan", "scanner", "antivirus", "phishing", "malware", "safebrowsing", "securitycheck"}
	wordsOfCrawlers = []string{
		"bot", "bots", "crawl", "crawler", "crawlers", "crawling", "spider", "spyder", "scraper", "archiver", "indexer", "checker",
		"monitor", "monitoring", "validator", "fetcher", "slurp", "linkcheck", "feedburner", "uptime", "healthcheck",
	}

	// notRobots are words that end like one of a robot.
	notRobots = []string{
		"cubot",      // a make of phones
		"camscanner", // an app for documents
	}
)

// tools are how the User-Agents of commands and libraries for HTTP begin that the list lacks.
var tools = []string{
	"aiohttp", "aria2", "axel/", "axios", "bun/", "dalvik/", "deno/", "faraday", "fetch/", "got (", "grpc-", "guzzle", "httpx",
	"hyper/", "insomnia", "java/", "k6/", "ky/", "libwww", "lwp", "node", "okhttp", "php/", "postman", "powershell", "python", "reqwest",
	"rest-client", "restsharp", "ruby", "superagent", "terse", "undici", "ureq", "xh/",
}

// textBrowsers are how the User-Agents of browsers begin that name no engine.
var textBrowsers = []string{"lynx/", "w3m/", "elinks", "links (", "netsurf", "dillo/", "ucweb/", "opera/"}

// engines are the parts of browsers that draw pages, as browsers name them.
var engines = []string{"applewebkit", "gecko", "khtml", "trident/", "msie ", "presto/", "opera "}

// isBrowser reports whether a User-Agent is like a browser's.
func isBrowser(ua string) bool {
	named := slices.ContainsFunc(engines, func(e string) bool { return strings.Contains(ua, e) })
	return named && startsWith(ua, []string{"mozilla/", "applewebkit/"}) || startsWith(ua, textBrowsers) ||
		strings.Contains(ua, " profile/midp-") // phones of before 2010
}

// classify returns the class of a User-Agent.
func (l *list) classify(ua string) Class {
	ua = strings.ToLower(ua)
	class, found := l.find(ua)
	if !found || class == Tool {
		if named, is := classByWords(ua); is {
			return named
		}
	}
	switch {
	case found:
		return class
	case ua == "" || startsWith(ua, tools):
		return Tool
	case isBrowser(ua):
		return Person
	}
	return Crawler
}

func startsWith(ua string, begins []string) bool {
	return slices.ContainsFunc(begins, func(b string) bool { return strings.HasPrefix(ua, b) })
}

// classByWords returns the class of a robot that names itself with a word for robots, or with
// the address of its owner.
func classByWords(ua string) (class Class, found bool) {
	for word := range strings.FieldsFuncSeq(ua, func(r rune) bool { return r < 'a' || r > 'z' }) {
		switch {
		case hasSuffix(word, notRobots):
		case hasSuffix(word, wordsOfPreviews):
			return Preview, true
		case hasSuffix(word, wordsOfScanners):
			class, found = Scanner, true
		case !found && hasSuffix(word, wordsOfCrawlers):
			class, found = Crawler, true
		}
	}
	if !found && (namesContact(ua) || isCompatible(ua)) {
		return Crawler, true
	}
	return class, found
}

// namesContact reports whether a User-Agent has the address of a website or of a mailbox. Robots often
// name their owners so. A version of an app, such as ios@9.2, is not an address.
func namesContact(ua string) bool {
	if strings.Contains(ua, "http://") || strings.Contains(ua, "https://") || strings.Contains(ua, "www.") {
		return true
	}
	for before, after, more := strings.Cut(ua, "@"); more; before, after, more = strings.Cut(after, "@") {
		if before != "" && isLetter(before[len(before)-1]) && after != "" && isLetter(after[0]) {
			return true
		}
	}
	return false
}

func isLetter(b byte) bool { return 'a' <= b && b <= 'z' }

func hasSuffix(word string, suffixes []string) bool {
	return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(word, s) })
}

// isCompatible reports whether a program calls itself compatible to browsers, as robots do:
// (compatible; Name/1.0). Old browsers did the same.
func isCompatible(ua string) bool {
	_, name, found := strings.Cut(ua, "compatible; ")
	return found && !startsWith(name, []string{"msie ", "konqueror", "u;"})
}

// Package useragent says who sent a request: a person's browser, a program that fetches a
// preview of a link, another robot, or a tool. It also names the device, the browser and the
// operating system. It reads only the method and the headers, which a client can forge: use the
// answer to count and to spare limited links, never to protect anything.
//
// It knows the robots of the npm package crawler-user-agents (crawlers.jsonl, written by make
// crawlers) and some rules of its own.
package useragent

import (
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// Class is a kind of sender.
type Class uint8

// The classes. Their numbers are stored and must not change.
const (
	Person   Class = 0 // a browser, or a page inside an app
	Preview  Class = 1 // fetches a page to show a preview of it, for example in a chat
	Crawler  Class = 2 // visits pages by itself, such as a search engine or a monitor; also an unknown program
	Tool     Class = 3 // a known command or library for HTTP, or no User-Agent
	Scanner  Class = 4 // checks pages for malware or weaknesses
	Prefetch Class = 5 // a browser loads the page before the person opens it
	Head     Class = 6 // a HEAD request
)

var names = [...]string{"person", "preview", "crawler", "tool", "scanner", "prefetch", "head"}

// String returns the name of the class.
func (c Class) String() string { return names[c] }

// IsRobot reports whether the class is of programs that request links without a person who wants
// to open the link now. A Tool is no robot: a person or a program opens the link with it.
func (c Class) IsRobot() bool { return c == Preview || c == Crawler || c == Scanner }

const (
	// maxLen is how many bytes of a User-Agent are read. It bounds the time for one to less than
	// a millisecond. The longest of browsers have about 800 bytes.
	maxLen = 2 << 10

	// cacheLen is how many User-Agents have their Agent in memory, 8 bytes each. It is a power
	// of two.
	cacheLen = 1 << 14
)

// Classifier finds classes. Create one with New. Safe for concurrent use.
type Classifier struct {
	robots *list
	names  coder
	seed   maphash.Seed

	// The lowest bits of the hash of a User-Agent select its place. A place has the hash without
	// its lowest agentBits, and the encoded Agent. A new User-Agent replaces the one
	// before. The seed is random, so that clients cannot choose the places.
	cache [cacheLen]atomic.Uint64
}

// New compiles the list of robots, which takes some milliseconds.
func New() (*Classifier, error) {
	robots, err := newList(embedded)
	if err != nil {
		return nil, err
	}
	return &Classifier{robots: robots, names: newCoder(), seed: maphash.MakeSeed()}, nil
}

// Request returns the class of a request.
func (c *Classifier) Request(r *http.Request) Class {
	switch {
	case r.Method == http.MethodHead:
		return Head
	case Prefetched(r.Header):
		return Prefetch
	}
	return c.UserAgent(r.UserAgent())
}

// UserAgent returns the class of a User-Agent: Person, Preview, Crawler, Tool or Scanner.
func (c *Classifier) UserAgent(ua string) Class { return c.Agent(ua).Class }

// Agent returns what a User-Agent says about its sender. The names in it are constants.
func (c *Classifier) Agent(ua string) Agent {
	ua = ua[:min(len(ua), maxLen)]
	hash := maphash.String(c.seed, ua)
	place := &c.cache[hash%cacheLen]
	if v := place.Load(); v != 0 && v>>agentBits == hash>>agentBits {
		return c.names.decode(v)
	}
	a := Agent{Class: c.robots.classify(ua)}
	if a.Class == Person {
		a = describe(ua)
	}
	place.Store(hash>>agentBits<<agentBits | c.names.encode(a))
	return a
}

// purposes are the headers of a browser that loads a page in advance, in canonical form:
// Sec-Purpose (https://wicg.github.io/nav-speculation/prefetch.html#sec-purpose-header), and
// its older names in Chromium, Firefox and Safari.
var purposes = [...]string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"}

// Prefetched reports whether a browser requests the page before the person opens it, or to show
// a small picture of it.
func Prefetched(h http.Header) bool {
	for _, name := range purposes {
		if slices.ContainsFunc(h[name], isPurpose) {
			return true
		}
	}
	return false
}

// isPurpose reports whether a value names a purpose other than to open the page.
func isPurpose(value string) bool {
	for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ';' || r == ',' || r == ' ' || r == '\t' }) {
		switch strings.ToLower(part) {
		case "prefetch", "prerender", "preview", "instant":
			return true
		}
	}
	return false
}

package useragent

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// embedded is the list of robots, one JSON object a line: a pattern and its tags. Its licence
// is in crawlers.LICENSE.
//
//go:embed crawlers.jsonl
var embedded []byte

// keyLen is the length of the keys of list.literals in bytes.
const keyLen = 3

// list finds robots in User-Agents in lower case: some robots change the case. It is immutable.
type list struct {
	literals map[[keyLen]byte][]literal // by their first bytes
}

// literal is a text that a robot has in its User-Agent.
type literal struct {
	text       string
	begin, end bool           // the text is at the begin or at the end
	rest       *regexp.Regexp // must match too; may be nil
	class      Class
}

// newList compiles a list of robots.
func newList(lines []byte) (*list, error) {
	l := &list{literals: map[[keyLen]byte][]literal{}}
	scan := bufio.NewScanner(bytes.NewReader(lines))
	for scan.Scan() {
		var robot struct {
			Pattern string
			Tags    []string
		}
		err := json.Unmarshal(scan.Bytes(), &robot)
		if err == nil && !slices.Contains(ofPeople, robot.Pattern) {
			err = l.add(robot.Pattern, classOf(robot.Tags))
		}
		if err != nil {
			return nil, fmt.Errorf("useragent: robot %q: %w", robot.Pattern, err)
		}
	}
	for pattern, class := range ownPatterns {
		if err := l.add(pattern, class); err != nil {
			return nil, fmt.Errorf("useragent: pattern %q: %w", pattern, err)
		}
	}
	return l, scan.Err()
}

// classOf returns the class of a robot with the given tags of the list.
func classOf(tags []string) Class {
	switch {
	case slices.Contains(tags, "social-preview"):
		return Preview
	case slices.Contains(tags, "scanner"):
		return Scanner
	case slices.Equal(tags, []string{"http-library"}):
		return Tool
	}
	return Crawler
}

// errShort rejects a pattern that would have to be tried at every byte.
var errShort = fmt.Errorf("must begin with at least %d certain bytes", keyLen)

// add adds a pattern. A regular expression becomes the few texts that it matches. If it matches
// too many, it is tried only where the text at its begin is found.
func (l *list) add(pattern string, class Class) error {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return err
	}
	texts, ok := expand(parsed.Simplify())
	if !ok {
		prefix, _ := regexp.MustCompile(pattern).LiteralPrefix() // parsed above
		texts = []literal{{text: strings.ToLower(prefix), rest: regexp.MustCompile("(?i)" + pattern)}}
	}
	for _, t := range texts {
		if len(t.text) < keyLen {
			return errShort
		}
		t.class = class
		key := [keyLen]byte([]byte(t.text))
		l.literals[key] = append(l.literals[key], t)
	}
	return nil
}

// maxTexts is the most texts that a pattern is expanded to.
const maxTexts = 16

// expand returns the texts that an expression matches. ok is false if they are too many.
func expand(e *syntax.Regexp) (texts []literal, ok bool) {
	switch e.Op {
	case syntax.OpLiteral:
		return []literal{{text: strings.ToLower(string(e.Rune))}}, true
	case syntax.OpEmptyMatch:
		return []literal{{}}, true
	case syntax.OpBeginText:
		return []literal{{begin: true}}, true
	case syntax.OpEndText:
		return []literal{{end: true}}, true
	case syntax.OpQuest:
		texts, ok = expand(e.Sub[0])
		return append(texts, literal{}), ok
	case syntax.OpCapture:
		return expand(e.Sub[0])
	case syntax.OpCharClass:
		for i := 0; i < len(e.Rune); i += 2 {
			for r := e.Rune[i]; r <= e.Rune[i+1] && len(texts) <= maxTexts; r++ {
				texts = append(texts, literal{text: strings.ToLower(string(r))})
			}
		}
		return texts, len(texts) <= maxTexts
	case syntax.OpAlternate:
		for _, sub := range e.Sub {
			more, ok := expand(sub)
			if texts = append(texts, more...); !ok {
				return nil, false
			}
		}
		return texts, len(texts) <= maxTexts
	case syntax.OpConcat:
		texts = []literal{{}}
		for _, sub := range e.Sub {
			next, ok := expand(sub)
			if !ok || len(texts)*len(next) > maxTexts {
				return nil, false
			}
			texts = product(texts, next)
		}
		return texts, true
	}
	return nil, false
}

// product returns each of the texts followed by each of the next ones.
func product(texts, next []literal) (all []literal) {
	for _, t := range texts {
		for _, n := range next {
			all = append(all, literal{text: t.text + n.text, begin: t.begin || n.begin, end: t.end || n.end})
		}
	}
	return all
}

// find returns the class of the robot in a User-Agent. If there are several, Preview comes
// before Scanner, Scanner before Crawler, and Crawler before Tool.
func (l *list) find(ua string) (class Class, found bool) {
	for i := 0; i+keyLen <= len(ua); i++ {
		for _, t := range l.literals[[keyLen]byte{ua[i], ua[i+1], ua[i+2]}] {
			if t.matches(ua, i) && (!found || rank[t.class] < rank[class]) {
				class, found = t.class, true
			}
		}
		if found && class == Preview {
			break
		}
	}
	return class, found
}

var rank = [...]int{Preview: 0, Scanner: 1, Crawler: 2, Tool: 3}

// matches reports whether t is at byte i of a User-Agent. The rest is tried only where the text
// occurs first, because it reads the whole User-Agent.
func (t *literal) matches(ua string, i int) bool {
	return strings.HasPrefix(ua[i:], t.text) &&
		(!t.begin || i == 0) && (!t.end || i+len(t.text) == len(ua)) &&
		(t.rest == nil || strings.Index(ua, t.text) == i && t.rest.MatchString(ua))
}

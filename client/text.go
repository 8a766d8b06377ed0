package client

import (
	"fmt"
	"net/http"
	"unicode/utf8"
)

// namedText is the text of a field.
type namedText struct{ field, text string }

// invalidTexts returns a *Problem that names each text that is not valid UTF-8, or nil. JSON
// cannot carry such text: an encoder would replace the invalid bytes.
func invalidTexts(texts []namedText) *Problem {
	p := &Problem{Title: "Some fields are invalid", Status: http.StatusUnprocessableEntity}
	for _, t := range texts {
		if !utf8.ValidString(t.text) {
			p.Errors = append(p.Errors, Fault{Location: "body." + t.field, Message: "must be valid UTF-8"})
		}
	}
	if len(p.Errors) == 0 {
		return nil
	}
	return p
}

func (l *NewLink) texts() []namedText {
	return append(append(tagTexts(l.Tags), ruleTexts(l.Rules)...), namedText{"url", l.URL}, namedText{"domain", l.Domain}, namedText{"alias", l.Alias}, namedText{"title", l.Title},
		namedText{"password", l.Password}, namedText{"forward_query", l.ForwardQuery}, namedText{"forward_path", l.ForwardPath})
}

func (l *ArchivedLink) texts() []namedText {
	texts := append(append(tagTexts(l.Tags), ruleTexts(l.Rules)...), namedText{"url", l.URL}, namedText{"domain", l.Domain}, namedText{"code", l.Code}, namedText{"title", l.Title},
		namedText{"forward_query", l.ForwardQuery}, namedText{"forward_path", l.ForwardPath}, namedText{"password_hash", l.PasswordHash}, namedText{"disabled_reason", l.DisabledReason}, namedText{"renamed_to", l.RenamedTo})
	if l.Owner != nil {
		texts = append(texts, namedText{"owner", *l.Owner})
	}
	return texts
}

func (c *Changes) texts() (texts []namedText) {
	if c.Tags != nil {
		texts = tagTexts(*c.Tags)
	}
	if c.Rules != nil {
		texts = append(texts, ruleTexts(*c.Rules)...)
	}
	for field, text := range map[string]*string{"url": c.URL, "title": c.Title, "password": c.Password, "forward_query": c.ForwardQuery, "forward_path": c.ForwardPath, "alias": c.Alias, "old_alias": c.OldAlias} {
		if text != nil {
			texts = append(texts, namedText{field, *text})
		}
	}
	return texts
}

func (c *DomainChanges) texts() (texts []namedText) {
	if c.Aliases != nil {
		for i, alias := range *c.Aliases {
			texts = append(texts, namedText{fmt.Sprintf("aliases[%d]", i), alias})
		}
	}
	for field, text := range map[string]*string{"host": c.Host, "robots": c.Robots, "root_url": c.RootURL, "not_found_url": c.NotFoundURL, "ended_url": c.EndedURL, "apple_app_site_association": c.Apple, "assetlinks": c.AssetLinks} {
		if text != nil {
			texts = append(texts, namedText{field, *text})
		}
	}
	return texts
}

func tagTexts(tags []string) []namedText {
	texts := make([]namedText, len(tags))
	for i, tag := range tags {
		texts[i] = namedText{fmt.Sprintf("tags[%d]", i), tag}
	}
	return texts
}

// ruleTexts returns the texts of rules that may be anything. The others are names and numbers, which
// the server checks.
func ruleTexts(rules []Rule) (texts []namedText) {
	for i := range rules {
		r, field := &rules[i], fmt.Sprintf("rules[%d]", i)
		texts = append(texts, namedText{field + ".to", r.To})
		for j := range r.Split {
			texts = append(texts, namedText{fmt.Sprintf("%s.split[%d].to", field, j), r.Split[j].To})
		}
		if r.If == nil {
			continue
		}
		texts = append(texts, memberTexts(field+".if", &r.If.Members)...)
		if r.If.Not != nil {
			texts = append(texts, memberTexts(field+".if.not", r.If.Not)...)
		}
	}
	return texts
}

func memberTexts(field string, m *Members) (texts []namedText) {
	for name, values := range m.Query {
		for _, text := range append([]string{name}, values...) {
			texts = append(texts, namedText{field + ".query", text})
		}
	}
	for i, host := range m.Referrer {
		texts = append(texts, namedText{fmt.Sprintf("%s.referrer[%d]", field, i), host})
	}
	return texts
}

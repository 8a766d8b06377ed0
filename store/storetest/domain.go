package storetest

import (
	"errors"
	"testing"

	"github.com/terse/terse/store"
)

var domainPromises = []promise{
	{"equal codes on three domains are three links", domainsApart},
}

// domainsApart creates, edits, deletes, counts and lists links that differ only in their domain.
func domainsApart(t *testing.T, s suite) {
	mine := s.newLink()
	var links []store.Link
	for i, key := range []string{mine.Code, store.LinkKey(newDomainID(), mine.BareCode()), store.LinkKey(newDomainID(), mine.BareCode())} {
		l := mine
		l.Code, l.CreatedAt, l.MaxClicks, l.Tags = key, after(i), 5, []string{"tag"}
		links = append(links, s.create(t, l))
	}
	for _, l := range links {
		s.wantStored(t, l)
		if l.BareCode() != mine.BareCode() {
			t.Errorf("BareCode() of %q = %q, want %q", l.Code, l.BareCode(), mine.BareCode())
		}
	}
	all := []string{links[2].Code, links[1].Code, links[0].Code}
	for _, q := range []store.Query{{}, {Tag: "tag"}, {Search: mine.BareCode()}, {Target: mine.URL}} {
		q.Owner = mine.Owner
		s.wantList(t, q, all...)
	}

	second := links[2].DomainID()
	for _, l := range links {
		for _, q := range []store.Query{{}, {Tag: "tag"}, {Search: mine.BareCode()}, {Target: mine.URL}} {
			q.Owner, q.Domain = mine.Owner, new(l.DomainID())
			s.wantList(t, q, l.Code)
		}
	}
	s.wantList(t, store.Query{Owner: mine.Owner, Domain: new(second[:8])})
	s.wantList(t, store.Query{Owner: mine.Owner, Domain: new("%")})
	s.wantList(t, store.Query{AllOwners: true, Domain: new(second)}, links[2].Code)

	used, err := s.Consume(t.Context(), links[0].Code, epoch)
	if err != nil || used.UsedClicks != 1 {
		t.Errorf("Consume(%q) = %d uses, %v, want 1", links[0].Code, used.UsedClicks, err)
	}
	links[1].URL, links[1].Tags = "https://example.org/other", nil
	links[1] = s.update(t, links[1])
	links[2] = s.remove(t, links[2].Code)
	s.wantStored(t, used)
	s.wantStored(t, links[1])
	s.wantStored(t, links[2])
	s.wantList(t, store.Query{Owner: mine.Owner}, all[1:]...)
	s.wantList(t, store.Query{Owner: mine.Owner, Tag: "tag"}, links[0].Code)

	unknown := store.LinkKey(newDomainID(), mine.BareCode())
	if _, err := s.Resolve(t.Context(), unknown); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Resolve(%q) = %v, want %v, because only other domains have the code", unknown, err, store.ErrNotFound)
	}
}

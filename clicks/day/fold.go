package day

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Kind is the set of links that a Row counts. The numbers are stored.
type Kind int16

// The kinds of rows, with their keys.
const (
	KindLink   Kind = iota // one link; the key is its link key
	KindOwner              // all links of an owner; the key is the owner
	KindTag                // an owner's links with a tag; the key is owner/tag
	KindDomain             // an owner's links on a domain; the key is owner/id, and the default domain has no id
	KindAll                // all links; the key is empty
)

// Row is the packed clicks of one UTC day.
type Row struct {
	Kind Kind
	Key  string
	Day  int32 // days since 1970-01-01 UTC
	Data []byte
}

// Link is what Fold needs to know of a link.
type Link struct {
	Owner string
	Tags  []string // without duplicates
}

// Rows reads what Fold needs.
type Rows interface {
	// Links returns links by key. Links that no longer exist are missing.
	Links(ctx context.Context, keys []string) (map[string]Link, error)
	// Days returns the stored rows with the Kind, Key and Day of rows, in no order.
	Days(ctx context.Context, rows []Row) ([]Row, error)
}

// Fold adds the days of links to the stored days of these links, of their owners, tags and domains,
// and of all links. It returns the rows to store, sorted by Kind, Key and Day. Clicks of links that
// no longer exist have no effect.
func Fold(ctx context.Context, added []Row, stored Rows) ([]Row, error) {
	clicks := sums{}
	for _, r := range added {
		if err := clicks.addPacked(r); err != nil {
			return nil, err
		}
	}
	all, err := clicks.ofSets(ctx, stored)
	if err != nil {
		return nil, err
	}
	rows := all.rows()
	before, err := stored.Days(ctx, rows)
	if err != nil {
		return nil, err
	}
	for _, r := range before {
		if err := all.addPacked(r); err != nil {
			return nil, err
		}
	}
	for i, r := range rows {
		rows[i].Data = all[r.place()].Append(nil)
	}
	return rows, nil
}

// place is where the clicks of a Row belong.
type place struct {
	kind Kind
	key  string
	day  int32
}

func (r *Row) place() place { return place{r.Kind, r.Key, r.Day} }

// sums are days by their place.
type sums map[place]*Day

func (s sums) add(p place, d *Day) {
	if s[p] == nil {
		s[p] = new(Day)
	}
	s[p].Merge(d)
}

func (s sums) addPacked(r Row) error {
	d, err := Parse(r.Data)
	if err != nil {
		return fmt.Errorf("clicks of kind %d of key %q on day %d: %w", r.Kind, r.Key, r.Day, err)
	}
	s.add(r.place(), d)
	return nil
}

// rows returns the places as rows without Data.
func (s sums) rows() []Row {
	rows := make([]Row, 0, len(s))
	for p := range s {
		rows = append(rows, Row{Kind: p.kind, Key: p.key, Day: p.day})
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Key, b.Key), cmp.Compare(a.Day, b.Day))
	})
	return rows
}

// ofSets returns s, which are days of links, with the days of all sets that the links belong to.
func (s sums) ofSets(ctx context.Context, stored Rows) (sums, error) {
	rows := s.rows()
	keys := make([]string, len(rows))
	for i, r := range rows {
		keys[i] = r.Key
	}
	links, err := stored.Links(ctx, slices.Compact(keys))
	if err != nil {
		return nil, err
	}
	all := make(sums, len(s)+1)
	for _, r := range rows {
		link, ok := links[r.Key]
		if !ok {
			continue
		}
		d := s[r.place()]
		all[r.place()] = d
		all.add(place{KindAll, "", r.Day}, d)
		all.add(place{KindOwner, link.Owner, r.Day}, d)
		all.add(place{KindDomain, link.Owner + "/" + domainOf(r.Key), r.Day}, d)
		for _, tag := range link.Tags {
			all.add(place{KindTag, link.Owner + "/" + tag, r.Day}, d)
		}
	}
	return all, nil
}

// domainOf returns the id of a link key's domain, or "" for the default domain.
func domainOf(key string) string {
	domain, _, found := strings.Cut(key, "/")
	if !found {
		return ""
	}
	return domain
}

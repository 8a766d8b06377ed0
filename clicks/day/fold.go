package day

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/terse/terse/store"
)

// Fold adds the days of links to the stored days of these links, of their owners, tags and domains,
// and of all links. It adds lost clicks to the stored lost clicks. It is a store.ClickMerge, and returns
// rows sorted by Kind, Key and Day. Clicks of links that no longer exist have no effect.
func Fold(ctx context.Context, added []store.ClickDay, stored store.ClickRows) ([]store.ClickDay, error) {
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
		rows[i].Data = all[placeOf(&r)].Append(nil)
	}
	return rows, nil
}

var _ store.ClickMerge = Fold

// place identifies a row.
type place struct {
	kind store.ClickKind
	key  string
	day  int32
}

func placeOf(r *store.ClickDay) place { return place{r.Kind, r.Key, r.Day} }

// sums are days by place.
type sums map[place]*Day

func (s sums) add(p place, d *Day) {
	if s[p] == nil {
		s[p] = new(Day)
	}
	s[p].Merge(d)
}

func (s sums) addPacked(r store.ClickDay) error {
	d, err := ParseRow(r)
	if err == nil {
		s.add(placeOf(&r), d)
	}
	return err
}

// rows returns the places as rows without Data.
func (s sums) rows() []store.ClickDay {
	rows := make([]store.ClickDay, 0, len(s))
	for p := range s {
		rows = append(rows, store.ClickDay{Kind: p.kind, Key: p.key, Day: p.day})
	}
	slices.SortFunc(rows, func(a, b store.ClickDay) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Key, b.Key), cmp.Compare(a.Day, b.Day))
	})
	return rows
}

// ofSets returns the days in s, which are of links or lost, and the days of the owners, tags and domains
// of the links and of all links. It leaves out links that no longer exist.
func (s sums) ofSets(ctx context.Context, stored store.ClickRows) (sums, error) {
	rows := s.rows()
	var keys []string
	for _, r := range rows {
		if r.Kind == store.ClickLink {
			keys = append(keys, r.Key)
		}
	}
	links, err := stored.Links(ctx, slices.Compact(keys))
	if err != nil {
		return nil, err
	}
	all := make(sums, len(s)+1)
	for _, r := range rows {
		if r.Kind == store.ClickLost {
			all[placeOf(&r)] = s[placeOf(&r)]
			continue
		}
		link, ok := links[r.Key]
		if !ok {
			continue
		}
		domainID, _ := store.SplitKey(r.Key)
		d := s[placeOf(&r)]
		all[placeOf(&r)] = d
		all.add(place{store.ClickAll, "", r.Day}, d)
		all.add(place{store.ClickOwner, link.Owner, r.Day}, d)
		all.add(place{store.ClickDomain, store.ClickDomainKey(link.Owner, domainID), r.Day}, d)
		for _, tag := range link.Tags {
			all.add(place{store.ClickTag, store.ClickTagKey(link.Owner, tag), r.Day}, d)
		}
	}
	return all, nil
}

// ParseRow is Parse for a row. Its error names the row.
func ParseRow(r store.ClickDay) (*Day, error) {
	d, err := Parse(r.Data)
	if err != nil {
		return nil, fmt.Errorf("clicks of kind %d of key %q on day %d: %w", r.Kind, r.Key, r.Day, err)
	}
	return d, nil
}

// Hours returns the packed clicks of a row by hours, see Day.ToHours. It can be a
// store.ClickRetention.Coarsen.
func Hours(r store.ClickDay) ([]byte, error) {
	d, err := ParseRow(r)
	if err != nil {
		return nil, err
	}
	d.ToHours()
	return d.Append(nil), nil
}

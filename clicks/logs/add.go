package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/store"
)

// click is a line that may count.
type click struct {
	at      time.Time
	start   int64  // offset of its line
	cached  bool   // a cache has answered
	domain  string // id of the domain
	name    string // path without its first slash
	code    string // the part before the second slash, if a link may forward the rest of the path; else empty
	climbs  bool   // a link does not forward the path, see store.Climbs
	private bool
	request visit.Request
}

// flush adds the clicks of the chunk to all databases.
func (r *reading) flush(ctx context.Context) error {
	if err := r.load(ctx, r.chunk); err != nil {
		return err
	}
	sums := make([]sum, len(r.opts.Databases))
	for n := range r.chunk {
		if err := r.count(ctx, &r.chunk[n], sums); err != nil {
			return err
		}
	}
	head := r.lines.head
	if len(head) < headLen {
		head = head[:r.end] // the whole log
	}
	// A database without clicks records the offset too: it may get links of another one. As long as no
	// database has clicks, none does: the log may be in another format.
	counts := slices.Max(r.counted) > 0 || slices.ContainsFunc(sums, func(s sum) bool { return len(s) > 0 })
	for n, s := range sums {
		if !counts || len(s) == 0 && r.counted[n] >= r.end {
			continue
		}
		b := s.batch()
		b.Recorder, b.Seq, b.Keep = recorder(head), r.end, true
		d := r.opts.Databases[n]
		// A batch with an unknown result can be repeated.
		if err := r.patiently(ctx, func() error { return d.Ledger.AddClicks(ctx, b) }); err != nil {
			return fmt.Errorf("logs: %s: %w", d.Name, err)
		}
		r.counted[n] = r.end
		for _, c := range b.Counts {
			r.summary.Clicks.People += c.N
			r.summary.Clicks.Robots += c.Robots
		}
	}
	r.chunk, r.begun = r.chunk[:0], r.end
	return nil
}

// count adds a click to the sum of the database that has its link.
func (r *reading) count(ctx context.Context, c *click, sums []sum) error {
	key, link, err := r.visited(ctx, c)
	if err != nil {
		return err
	}
	if !link.exists {
		r.summary.Skipped[NoLink]++
		return nil
	}
	if !link.mayRedirect(c) {
		r.summary.Skipped[NotLive]++
		return nil
	}
	n := 0
	if r.opts.Placement != nil {
		n = r.opts.Placement.ShardOf(key)
	}
	if n < 0 || n >= len(sums) {
		return fmt.Errorf("logs: the shard of link %q is not known: %w", key, store.ErrUnavailable)
	}
	if c.start < r.counted[n] {
		r.summary.Skipped[CountedBefore]++
		return nil
	}
	c.request.TargetQuery = link.query
	v := r.opts.Visits.Visit(&c.request)
	one := day.Click{Quarter: quarterOf(c.at), Values: v.Values(), N: 1}
	date := store.DayOf(c.at)
	if v.Class == day.Person && !c.private && !link.noVisitors {
		salt, err := r.salt(ctx, date)
		if err != nil {
			return err
		}
		if salt != nil {
			one.Visitor = visit.Visitor(salt, key, c.request.Address, c.request.UserAgent)
		}
	}
	if sums[n] == nil {
		sums[n] = sum{}
	}
	sums[n].add(linkDay{key, date}, one, c.at)
	return nil
}

func quarterOf(at time.Time) int {
	return at.Hour()*4 + at.Minute()/15
}

// patiently repeats a call while its database is unavailable, for at most Options.Patience.
func (i *Importer) patiently(ctx context.Context, call func() error) error {
	for began, pause := time.Now(), 100*time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := call()
		if !errors.Is(err, store.ErrUnavailable) || time.Since(began) >= i.opts.Patience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// salt returns the secret of a day, or nil if the day is over and its secret was destroyed.
func (r *reading) salt(ctx context.Context, date int32) ([]byte, error) {
	if r.opts.Salts == nil {
		return nil, nil
	}
	if known, ok := r.salts[date]; ok {
		return known, nil
	}
	var salt []byte
	err := r.patiently(ctx, func() (err error) {
		salt, err = r.opts.Salts.ClickSalt(ctx, date)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("logs: %w", err)
	}
	r.salts[date] = salt
	return salt, nil
}

// linkFacts is what the import needs of a link.
type linkFacts struct {
	exists      bool
	query       string    // of the target
	from, until time.Time // when it redirects; the zero time: no limit
	limited     bool      // it has a limit of clicks, so no cache has its redirects
	noVisitors  bool      // its visitors are not counted
	forwardPath bool      // its visits may have a path after the code
}

// mayRedirect reports whether a redirect of the link led to its target. A link that has not started
// or has ended may redirect to another address, see store.Domain.
func (l *linkFacts) mayRedirect(c *click) bool {
	started, ended := !c.at.Before(l.from), !l.until.IsZero() && !c.at.Before(l.until)
	return started && !ended && (!l.limited || !c.cached)
}

// The cache of links.
const (
	maxLinks = 100_000
	loaders  = 16
)

// load reads the links of clicks into the cache.
func (r *reading) load(ctx context.Context, clicks []click) error {
	if len(r.links) > maxLinks {
		clear(r.links)
	}
	missing := map[string]bool{}
	for n := range clicks {
		for _, code := range []string{clicks[n].name, clicks[n].code} {
			key := store.LinkKey(clicks[n].domain, code)
			if _, known := r.links[key]; !known && store.ValidCode(code) {
				missing[key] = true
			}
		}
	}
	keys := make([]string, 0, len(missing))
	for key := range missing {
		keys = append(keys, key)
	}
	facts := make([]linkFacts, len(keys))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(loaders)
	for n, key := range keys {
		group.Go(func() (err error) {
			facts[n], err = r.facts(ctx, key)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for n, key := range keys {
		r.links[strings.Clone(key)] = facts[n]
	}
	return nil
}

// facts reads a link. Links that were deleted do not exist.
func (r *reading) facts(ctx context.Context, key string) (linkFacts, error) {
	var l store.Link
	err := r.patiently(ctx, func() (err error) {
		l, err = r.opts.Links.Get(ctx, key)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return linkFacts{}, nil
	case err != nil:
		return linkFacts{}, fmt.Errorf("logs: %w", err)
	case !l.DeletedAt.IsZero():
		return linkFacts{}, nil
	}
	target, _, _ := strings.Cut(l.URL, "#")
	_, query, _ := strings.Cut(target, "?")
	return linkFacts{exists: true, query: query, from: l.StartsAt, until: l.ExpiresAt, limited: l.MaxClicks > 0, noVisitors: l.NoVisitors, forwardPath: l.ForwardPath}, nil
}

// visited finds the link of a click as a visit does: the link of the whole path, else a link that forwards
// the path after its code.
func (r *reading) visited(ctx context.Context, c *click) (key string, link linkFacts, err error) {
	key, link, err = r.resolve(ctx, c.domain, c.name)
	if link.forwardPath && c.climbs {
		return key, linkFacts{}, nil
	}
	if err != nil || link.exists || !store.ValidCode(c.code) {
		return key, link, err
	}
	if key, link, err = r.resolve(ctx, c.domain, c.code); !link.forwardPath {
		link = linkFacts{}
	}
	return key, link, err
}

// resolve finds the link of a path as a visit does: first the whole path, then the path without
// the punctuation that programs add to a URL.
func (r *reading) resolve(ctx context.Context, domain, name string) (key string, link linkFacts, err error) {
	if store.ValidCode(name) {
		key = store.LinkKey(domain, name)
		known := false
		if link, known = r.links[key]; !known {
			if link, err = r.facts(ctx, key); err != nil {
				return "", linkFacts{}, err
			}
			r.links[strings.Clone(key)] = link
		}
		if link.exists {
			return key, link, nil
		}
	}
	if trimmed := store.TrimCode(name); trimmed != name && store.ValidCode(trimmed) {
		return r.resolve(ctx, domain, trimmed)
	}
	return key, linkFacts{}, nil
}

// linkDay is a link and a UTC day.
type linkDay struct {
	key string
	day int32
}

// sum is clicks by link and day.
type sum map[linkDay]*dayClicks

type dayClicks struct {
	day  day.Day
	last time.Time // the latest click of a person
}

func (s sum) add(of linkDay, c day.Click, at time.Time) {
	d := s[of]
	if d == nil {
		d = new(dayClicks)
		s[of] = d
	}
	d.day.Add(c)
	if c.Values[day.Class] == day.Person && at.After(d.last) {
		d.last = at
	}
}

// batch returns the clicks without the name of a recorder, sorted by link and day.
func (s sum) batch() (b store.ClickBatch) {
	keys := make([]linkDay, 0, len(s))
	for of := range s {
		keys = append(keys, of)
	}
	slices.SortFunc(keys, func(a, b linkDay) int {
		return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.day, b.day))
	})
	for _, of := range keys {
		d := s[of]
		if n := len(b.Counts); n == 0 || b.Counts[n-1].Code != of.key {
			b.Counts = append(b.Counts, store.ClickCount{Code: of.key})
		}
		count, total := &b.Counts[len(b.Counts)-1], d.day.Total()
		count.N += total.People
		count.Robots += total.Robots
		if last := d.last.UTC().Truncate(time.Microsecond); last.After(count.Last) {
			count.Last = last
		}
		b.Days = append(b.Days, store.ClickDay{Kind: store.ClickLink, Key: of.key, Day: of.day, Data: d.day.Append(nil)})
	}
	return b
}

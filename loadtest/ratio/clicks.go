//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/internal/testenv/traffic"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
	"github.com/terse/terse/store/postgres/schema"
)

// browser is the headers of a visitor with a browser who comes from another site.
const browser = "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1\r\n" +
	"Accept-Language: de-DE,de;q=0.9\r\nReferer: https://www.instagram.com/\r\n"

// measureClicks compares redirects with and without counted clicks.
func measureClicks(ctx context.Context, b *bench) ([]figure, error) {
	var sides []side
	for _, of := range []struct{ name, excluded string }{
		{"terse, clicks excluded", "127.0.0.0/8"}, {"terse, clicks counted", ""},
	} {
		product, err := startTerse(ctx, b.opts.terse, "TERSE_CLICKS_EXCLUDE="+of.excluded)
		if err != nil {
			return nil, err
		}
		defer product.stop()
		l, err := createLink(ctx, product.url)
		if err != nil {
			return nil, err
		}
		hit := newRepeated(product.url, l.code)
		hit.request = slices.Concat(hit.request[:len(hit.request)-2], []byte(browser+"\r\n"))
		if _, err := hit.first(); err != nil {
			return nil, err
		}
		sides = append(sides, side{of.name, hit.load(b.opts).run})
	}
	found, err := takeTurns(ctx, b.opts.rounds, sides...)
	if err != nil {
		return nil, err
	}
	return []figure{{
		what:      "redirect, L1 hit, clicks counted",
		measured:  perSecond(found[1]),
		yardstick: "clicks excluded " + perSecond(found[0]),
		ratio:     ratioOf(found[1], found[0]),
		aim:       "0.97 or more",
	}}, nil
}

const (
	clickedLinks = 10_000    // links in the shard of measureStats, all of one workspace
	clickedDays  = 30        // days with clicks, today is the last one
	clicksADay   = 1_000_000 // clicks of all links in a day
	workspace    = "marketing"
)

// daysOf is the yardstick of statistics: the same rows from Postgres, without their meaning.
const daysOf = `SELECT data FROM click_days WHERE kind = $1 AND bucket = $2 AND key = $3 AND day >= $4`

// measureStats compares statistics over HTTP, by hour with all breakdowns, with a query for the rows
// that they are made of.
func measureStats(ctx context.Context, b *bench) ([]figure, error) {
	s, err := b.filled(ctx, "clicks", clickedLinks, (*shard).fillClicks)
	if err != nil {
		return nil, err
	}
	key := exec.CommandContext(ctx, b.opts.terse, "key", "create", "--name", "ratio", "--workspace", workspace) //nolint:gosec // the operator names the binary
	key.Env, key.Stderr = append(os.Environ(), "TERSE_SHARDS="+s.setting()), os.Stderr
	token, err := key.Output()
	if err != nil {
		return nil, fmt.Errorf("terse key create: %w", err)
	}
	product, err := s.start(ctx, b.opts.terse)
	if err != nil {
		return nil, err
	}
	defer product.stop()
	conn, err := pgx.Connect(ctx, s.dsn())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	first, err := s.links.code(0)
	if err != nil {
		return nil, err
	}
	var figures []figure
	for _, of := range []struct {
		name, path, key string
		kind            store.ClickKind
		aim             time.Duration
	}{
		{"the link with most clicks", "/api/v1/links/" + first + "/stats", first, store.ClickLink, 20 * time.Millisecond},
		{fmt.Sprintf("a workspace of %d links", clickedLinks), "/api/v1/stats", workspace, store.ClickOwner, 100 * time.Millisecond},
	} {
		bucket := -1 // of all rows that are not of a link
		if of.kind == store.ClickLink {
			bucket = store.BucketOf(of.key)
		}
		since := store.DayStart(store.DayOf(time.Now()) - clickedDays + 1)
		rows := repeatFor(b.opts.shardTurn, func() error {
			found, _ := conn.Query(ctx, daysOf, of.kind, bucket, of.key, since) // CollectRows returns the error
			data, err := pgx.CollectRows(found, pgx.RowTo[[]byte])
			if err == nil && len(data) != clickedDays {
				err = fmt.Errorf("%d days, want %d", len(data), clickedDays)
			}
			return err
		})
		query := url.Values{"interval": {"hour"}, "by": {allBreakdowns()}, "from": {since.Format(time.DateOnly)}, "tz": {"Asia/Kolkata"}, "limit": {"100"}}
		read := repeatFor(b.opts.shardTurn, func() error {
			return readStats(ctx, product.url+of.path+"?"+query.Encode(), strings.TrimSpace(string(token)))
		})
		found, err := takeTurns(ctx, b.opts.shardRounds, side{"the rows", rows}, side{"statistics", read})
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{
			what:      fmt.Sprintf("statistics of %d days of %s, by hour, all breakdowns, %d clicks a day in all", clickedDays, of.name, clicksADay),
			measured:  each(found[1]),
			yardstick: "its rows from Postgres " + each(found[0]),
			ratio:     ratioOf(found[0], found[1]), // of the times
			aim:       of.aim.String() + " or less",
		})
	}
	return figures, nil
}

// allBreakdowns returns the names of all breakdowns.
func allBreakdowns() string {
	var names []string
	for dim := range day.Dimension(day.Dimensions) {
		names = append(names, dim.String())
	}
	return strings.Join(names, ",")
}

// repeatFor returns a turn that calls do until a span of time is over. The figure is calls per second.
func repeatFor(span time.Duration, do func() error) func(context.Context) (float64, error) {
	return func(context.Context) (float64, error) {
		start := time.Now()
		for n := 1; ; n++ {
			if err := do(); err != nil {
				return 0, err
			}
			if took := time.Since(start); took > span {
				return float64(n) / took.Seconds(), nil
			}
		}
	}
}

// each formats the median of rates as the time of each call.
func each(rates []float64) string {
	return time.Duration(float64(time.Second) / median(rates)).Round(10 * time.Microsecond).String()
}

func readStats(ctx context.Context, address, token string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("statistics answered %s: %s", response.Status, body)
	}
	return err
}

// fillClicks makes the links, gives them to one workspace, and adds and folds their clicks as servers do.
func (s *shard) fillClicks(ctx context.Context) error {
	if err := s.fill(ctx); err != nil {
		return err
	}
	if err := s.exec(ctx, "UPDATE links SET owner = '"+workspace+"'"); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, postgres.Options{
		Name: "s1", Primary: s.dsn(), SchemaVersion: schema.Latest(), Logger: slog.New(slog.DiscardHandler), CallTimeout: time.Minute,
	})
	if err != nil {
		return err
	}
	return errors.Join(s.addClicks(ctx, db), foldAll(ctx, db), db.Close())
}

// addClicks adds a batch for each day.
func (s *shard) addClicks(ctx context.Context, db *postgres.Store) error {
	adding, addCtx := errgroup.WithContext(ctx)
	adding.SetLimit(2)
	today := store.DayOf(time.Now())
	for i := range int32(clickedDays) {
		adding.Go(func() error {
			b, err := s.clicksOf(today - i)
			if err != nil {
				return err
			}
			return db.AddClicks(addCtx, b)
		})
	}
	return adding.Wait()
}

// clicksOf returns the clicks of a day.
func (s *shard) clicksOf(at int32) (store.ClickBatch, error) {
	days := make([]day.Day, s.count)
	counts := make([]store.ClickCount, s.count)
	t := traffic.New(uint64(at), uint64(s.count)) //nolint:gosec // not negative
	for range clicksADay {
		link, click := t.Click()
		days[link].Add(click)
		counts[link].N++
	}
	b := store.ClickBatch{Recorder: fmt.Sprint("day", at), Seq: 1}
	for i := range days {
		if counts[i].N == 0 {
			continue
		}
		code, err := s.links.code(i)
		if err != nil {
			return b, err
		}
		counts[i].Code, counts[i].Last = code, store.DayStart(at)
		b.Counts = append(b.Counts, counts[i])
		b.Days = append(b.Days, store.ClickDay{Kind: store.ClickLink, Key: code, Day: at, Data: days[i].Append(nil)})
	}
	return b, nil
}

// foldAll folds all clicks.
func foldAll(ctx context.Context, db *postgres.Store) error {
	start := time.Now()
	for {
		n, err := db.FoldClicks(ctx, 1, day.Fold)
		if err != nil || n == 0 {
			fmt.Printf("folded %d clicks in %v\n", clickedDays*clicksADay, time.Since(start).Round(time.Second))
			return err
		}
	}
}

//go:build unix

package main

import (
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/terse/terse/clicks/day"
	terseclient "github.com/terse/terse/client"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
)

// TestClickSettingsTakeEffect checks the settings of clicks, each by the statistics of a server.
func TestClickSettingsTakeEffect(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	dir, old := dataDir(t), store.DayOf(time.Now())-500
	addOldClick(t, dir, old)
	p := start(t, dir, "TERSE_TRUSTED_PROXIES=127.0.0.0/8,::1/128", "TERSE_COUNTRY_HEADER=CF-IPCountry", "TERSE_CLICKS_EXCLUDE=203.0.113.0/24",
		"TERSE_CLICKS_VISITORS=false", "TERSE_CLICKS_KEEP_DAYS=400")
	c := client(t)
	for _, addr := range []string{"198.51.100.1", "203.0.113.1"} {
		if status, _ := ask(t, c, http.MethodGet, p.url+"/spring", "", "", "X-Forwarded-For", addr, "CF-IPCountry", "NZ"); status != http.StatusFound {
			t.Fatalf("GET /spring = %d, want 302", status)
		}
	}
	token := p.newKey("admin", "TERSE_DATA_DIR="+dir)[1][len("TERSE_API_KEY="):]
	api, err := terseclient.New(terseclient.Options{Server: p.url, Key: token})
	must(t, err)
	count := func(q terseclient.StatsQuery) terseclient.Stats {
		s, err := api.LinkStats(t.Context(), "spring", q)
		must(t, err)
		return s
	}
	var s terseclient.Stats
	testenv.Await(t, "the click to be counted", func() bool {
		s = count(terseclient.StatsQuery{By: []string{"country"}})
		return s.Total.People > 0
	})
	if s.Total.People != 1 || p.metric("terse_clicks_excluded_total") != 1 {
		t.Errorf("%d people, and %v excluded clicks, want 1 and 1 by TERSE_CLICKS_EXCLUDE", s.Total.People, p.metric("terse_clicks_excluded_total"))
	}
	if !slices.ContainsFunc(s.Breakdowns[0].Values, func(v terseclient.StatsValue) bool { return v.Value == "NZ" }) {
		t.Errorf("countries = %+v, want NZ by TERSE_COUNTRY_HEADER", s.Breakdowns[0])
	}
	if s.Total.Visitors != 0 {
		t.Errorf("%d visitors, want 0 by TERSE_CLICKS_VISITORS", s.Total.Visitors)
	}
	testenv.Await(t, "the old click to be deleted by TERSE_CLICKS_KEEP_DAYS", func() bool {
		at := store.DayStart(old)
		s := count(terseclient.StatsQuery{From: at.Format(time.DateOnly), To: at.AddDate(0, 0, 1).Format(time.DateOnly)})
		return p.metric("terse_clicks_batches_waiting") == 0 && s.Total.People == 0
	})
}

// addOldClick makes a database with the link spring, and a click of a person that is not folded yet.
func addOldClick(t *testing.T, dir string, old int32) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	now := time.Now().UTC()
	l, err := s.Create(t.Context(), store.Link{Code: "spring", URL: "https://example.com/", Status: store.DefaultStatus, CreatedAt: now, UpdatedAt: now})
	must(t, err)
	var d day.Day
	c := day.Click{N: 1}
	c.Values[day.Class] = day.Person
	d.Add(c)
	must(t, s.AddClicks(t.Context(), store.ClickBatch{
		Recorder: "recorder", Seq: 1,
		Counts: []store.ClickCount{{Code: l.Code, N: 1, Last: store.DayStart(old)}},
		Days:   []store.ClickDay{{Key: l.Code, Day: old, Data: d.Append(nil)}},
	}))
}

package api

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/terse/terse/clicks/stats"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// Paths of statistics, in the syntax of OpenAPI.
const (
	linkStatsPath = linkPath + "/stats"
	statsPath     = apiPath + "stats"
	statsListPath = statsPath + "/links"
)

// maxStatsLinks is the most links of one call.
const maxStatsLinks = 100

// StatsParams are the parameters of statistics. It is exported because huma only reads exported
// embedded structs.
type StatsParams struct {
	From     string `query:"from" maxLength:"64" doc:"The start: a date, such as 2026-11-01, or a time by RFC 3339 at a full quarter-hour. A date means the beginning of the day in the time zone. The default is 30 days before the end." example:"2026-11-01"`
	To       string `query:"to" maxLength:"64" doc:"The end, which is not part of the range: a date or a time. The default is the end of today. A range has at most 100 years." example:"2026-12-01"`
	TZ       string `query:"tz" maxLength:"64" doc:"The name of an IANA time zone. Days, weeks and months follow its calendar. The default is UTC." example:"Europe/Berlin"`
	Interval string `query:"interval" enum:"15min,hour,day,week,month" doc:"The length of the points of the series. Weeks begin on Monday. The default depends on the length of the range. A series has at most 10000 points, and all series of a call together 50000."`
	By       string `query:"by" maxLength:"256" doc:"Breakdowns: names separated by commas, of class, country, referrer, device, browser, os, language, utm_source, utm_medium, utm_campaign, utm_term, utm_content, source and rule." example:"country,referrer"`
	Class    string `query:"class" enum:"all,people,robots" default:"all" doc:"Which clicks count."`
	Limit    int    `query:"limit" minimum:"1" maximum:"100" default:"10" doc:"Most values of a breakdown. The clicks of the others are in other."`
	Compare  bool   `query:"compare" doc:"Also count the range of the same length before the start."`
	Format   string `query:"format" enum:"json,csv" doc:"The form of the answer. The default is csv if Accept is text/csv, else json."`
	Accept   string `header:"Accept" doc:"text/csv asks for CSV."`
}

// query returns the query for a number of links.
func (p *StatsParams) query(links int, now time.Time) (stats.Query, error) {
	return stats.ParseQuery(stats.Params{
		From: p.From, To: p.To, Zone: p.TZ, Interval: p.Interval, By: p.By, Class: p.Class, Limit: p.Limit, Compare: p.Compare, Keys: links,
	}, now)
}

// csv reports whether the answer is CSV.
func (p *StatsParams) csv() bool {
	return p.Format == "csv" || p.Format == "" && strings.HasPrefix(strings.TrimSpace(strings.ToLower(p.Accept)), csvType)
}

// ClickNumbers is a number of clicks. It is exported because huma only reads exported embedded
// structs.
type ClickNumbers struct {
	People int64 `json:"people" doc:"Clicks of people." example:"120"`
	Robots int64 `json:"robots" doc:"All other clicks: previews, crawlers, tools, scanners, prefetches and HEAD requests." example:"14"`
}

type statsTotal struct {
	ClickNumbers
	Visitors int64 `json:"visitors" doc:"The sum of the visitors of all days. A person who comes on two days counts twice." example:"97"`
}

type statsPoint struct {
	Start time.Time `json:"start" doc:"The beginning of the interval, in the time zone." example:"2026-11-01T00:00:00+01:00"`
	ClickNumbers
}

type statsDay struct {
	Day      string `json:"day" format:"date" doc:"A UTC day." example:"2026-11-01"`
	Visitors int64  `json:"visitors" doc:"The number of different people, an estimate within 2 %. If whole is false, it is an upper bound." example:"97"`
	Whole    bool   `json:"whole" doc:"Whether the range has all clicks of the day."`
}

type statsBreakdown struct {
	By      string       `json:"by" doc:"The name of the breakdown." example:"country"`
	Values  []statsValue `json:"values" nullable:"false" doc:"The values with the most clicks, largest first."`
	Other   ClickNumbers `json:"other"`
	Unknown ClickNumbers `json:"unknown"`
}

type statsValue struct {
	Value string `json:"value" doc:"The value." example:"DE"`
	ClickNumbers
}

type statsBefore struct {
	From   time.Time    `json:"from" doc:"The start."`
	To     time.Time    `json:"to" doc:"The end, which is the start of the range."`
	Total  statsTotal   `json:"total"`
	Series []statsPoint `json:"series" nullable:"false" doc:"One point for each interval."`
}

// statsBody is the statistics of one link, or of several links together.
type statsBody struct {
	From        time.Time        `json:"from" doc:"The start of the range, in the time zone." example:"2026-11-01T00:00:00+01:00"`
	To          time.Time        `json:"to" doc:"The end, which is not part of the range." example:"2026-12-01T00:00:00+01:00"`
	TZ          string           `json:"tz" doc:"The time zone." example:"Europe/Berlin"`
	Interval    string           `json:"interval" enum:"15min,hour,day,week,month" doc:"The length of the points of the series." example:"day"`
	Class       string           `json:"class" enum:"all,people,robots" doc:"Which clicks count. The numbers of other clicks are 0." example:"all"`
	Total       statsTotal       `json:"total"`
	Series      []statsPoint     `json:"series" nullable:"false" doc:"One point for each interval, including intervals without clicks. The points add up to total."`
	Breakdowns  []statsBreakdown `json:"breakdowns" nullable:"false" doc:"The breakdowns, in the order of by. In each, values, other and unknown add up to total."`
	Visitors    []statsDay       `json:"visitors" nullable:"false" doc:"The UTC days with visitors."`
	CoarseUntil *time.Time       `json:"coarse_until" doc:"The end of the last UTC day with inexact times; null if all times are exact. Old clicks are stored by hours or days. If the range or an interval begins or ends within one, its clicks count at its start."`
	Lost        *int64           `json:"lost" doc:"Clicks of all links of the server in the range that were dropped before they were counted, for example because the database was away for long. Clicks that a killed server loses are unknown. null while a shard does not answer." example:"0"`
	Before      *statsBefore     `json:"before,omitempty"`
}

// linkStatsResult is the statistics of one link of a list, or an error.
type linkStatsResult struct {
	Status int              `json:"status" doc:"200, or the status of the error." example:"200"`
	Code   string           `json:"code" doc:"The code, as sent." example:"spring"`
	Stats  *statsBody       `json:"stats,omitempty"`
	Error  *huma.ErrorModel `json:"error,omitempty"`
}

type statsListBody struct {
	Results []linkStatsResult `json:"results" nullable:"false" doc:"One result for each code, in the same order."`
}

// statsOutput is an answer in JSON or CSV.
type statsOutput struct {
	ContentType string `header:"Content-Type" doc:"The form of the answer."`
	Body        []byte
}

type linkStatsInput struct {
	CodeParam
	StatsParams
}

// linkStats returns the statistics of a link.
func (a *API) linkStats(ctx context.Context, in *linkStatsInput) (*statsOutput, error) {
	key, err := a.keyFor(ctx, links.Counting, &in.CodeParam)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	errs, err := a.opts.Links.MayCount(ctx, &callerOf(ctx).Caller, []string{key})
	if err = cmp.Or(err, errors.Join(errs...)); err != nil {
		return nil, a.problem(ctx, err)
	}
	return a.oneStats(ctx, store.ClickLink, key, &in.StatsParams)
}

// resetStats sets the clicks of a link to zero.
func (a *API) resetStats(ctx context.Context, in *CodeParam) (*struct{}, error) {
	key, err := a.keyFor(ctx, links.Editing, in)
	if err == nil {
		err = a.opts.Links.MayReset(ctx, &callerOf(ctx).Caller, key)
	}
	if err == nil {
		err = a.opts.ClickDays.ResetClicks(ctx, key)
	}
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return nil, nil
}

type statsInput struct {
	Owner  string `query:"owner" doc:"The owner of the links: the id of a workspace or of an API key, * for all links, or anonymous for links without a key. The default is your own links. An admin key may name others." example:"key_7k3x0q9p2m4a"`
	Domain string `query:"domain" maxLength:"260" doc:"Only links on the domain with this host. Cannot be combined with tag."`
	Tag    string `query:"tag" doc:"Only links that had this tag when they were clicked."`
	StatsParams
}

// groupStats returns the statistics of several links together.
func (a *API) groupStats(ctx context.Context, in *statsInput) (*statsOutput, error) {
	kind, key, err := a.opts.Links.Stored(&callerOf(ctx).Caller, links.ClickSet{Owner: ownerParam(in.Owner), Domain: in.Domain, Tag: in.Tag})
	if err != nil {
		return nil, a.pageProblem(ctx, err)
	}
	return a.oneStats(ctx, kind, key, &in.StatsParams)
}

// oneStats returns the statistics of one key.
func (a *API) oneStats(ctx context.Context, kind store.ClickKind, key string, p *StatsParams) (*statsOutput, error) {
	now := a.opts.Clock.Now()
	q, err := p.query(1, now)
	if err != nil {
		return nil, a.pageProblem(ctx, err)
	}
	results, err := stats.Read(ctx, a.opts.ClickDays, kind, []string{key}, &q, now)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	if p.csv() {
		return csvOutput(statsColumns, func(w *statsCSV) { w.result(&results[0]) })
	}
	return jsonOutput(newStatsBody(&q, &results[0]))
}

type statsListInput struct {
	Codes  string `query:"codes" required:"true" maxLength:"8192" doc:"1 to 100 codes, separated by commas." example:"spring,summer"`
	Domain string `query:"domain" maxLength:"260" doc:"A host of the domain of all the links. The default is the default domain of this server."`
	StatsParams
}

// countedLink is a link of a list, with its statistics or an error.
type countedLink struct {
	code   string // as sent
	key    string
	err    error
	result stats.Result
}

// listStats returns the statistics of each of several links.
func (a *API) listStats(ctx context.Context, in *statsListInput) (*statsOutput, error) {
	if err := a.opts.Links.May(&callerOf(ctx).Caller, links.Counting); err != nil {
		return nil, a.problem(ctx, err)
	}
	list, err := a.listed(&callerOf(ctx).Caller, in)
	if err != nil {
		return nil, a.pageProblem(ctx, err)
	}
	q, err := in.query(len(list), a.opts.Clock.Now())
	if err != nil {
		return nil, a.pageProblem(ctx, err)
	}
	if err := a.count(ctx, list, &q); err != nil {
		return nil, a.problem(ctx, err)
	}
	if in.csv() {
		return csvOutput(append([]string{"code"}, statsColumns...), func(w *statsCSV) { w.list(ctx, a, list) })
	}
	body := statsListBody{Results: make([]linkStatsResult, len(list))}
	for i := range list {
		l := &list[i]
		r := linkStatsResult{Status: http.StatusOK, Code: l.code}
		if l.err == nil {
			r.Stats = newStatsBody(&q, &l.result)
		} else {
			p := a.problem(ctx, l.err)
			p.shorten()
			r.Status, r.Error = p.Status, &p.ErrorModel
		}
		body.Results[i] = r
	}
	return jsonOutput(body)
}

// listed returns the links that a call names.
func (a *API) listed(who *links.Caller, in *statsListInput) ([]countedLink, error) {
	codes := strings.Split(in.Codes, ",")
	if len(codes) > maxStatsLinks {
		return nil, &store.FieldError{Field: "codes", Reason: fmt.Sprintf("must be at most %d", maxStatsLinks)}
	}
	list := make([]countedLink, len(codes))
	for i, code := range codes {
		key, err := a.opts.Links.Key(who, in.Domain, code)
		if err != nil {
			return nil, err
		}
		list[i] = countedLink{code: code, key: key}
	}
	return list, nil
}

// count sets the result or the error of each link.
func (a *API) count(ctx context.Context, list []countedLink, q *stats.Query) error {
	keys := make([]string, len(list))
	for i := range list {
		keys[i] = list[i].key
	}
	errs, err := a.opts.Links.MayCount(ctx, &callerOf(ctx).Caller, keys)
	if err != nil {
		return err
	}
	var readable []string
	var counted []*countedLink
	for i := range list {
		if list[i].err = errs[i]; errs[i] == nil {
			readable, counted = append(readable, keys[i]), append(counted, &list[i])
		}
	}
	if len(readable) == 0 {
		return nil
	}
	results, err := stats.Read(ctx, a.opts.ClickDays, store.ClickLink, readable, q, a.opts.Clock.Now())
	for i := range results {
		counted[i].result = results[i]
	}
	return err
}

// jsonOutput returns an answer in JSON.
func jsonOutput(body any) (*statsOutput, error) {
	var b bytes.Buffer
	err := writeJSON(&b, body)
	return &statsOutput{ContentType: "application/json", Body: b.Bytes()}, err
}

func newStatsBody(q *stats.Query, r *stats.Result) *statsBody {
	body := &statsBody{
		From: r.From, To: r.To, TZ: q.From.Location().String(), Interval: string(q.Interval), Class: string(q.Class),
		Total: newStatsTotal(r), Series: newStatsPoints(r.Series),
		Breakdowns: make([]statsBreakdown, len(r.Breakdowns)), Visitors: make([]statsDay, len(r.Visitors)), Lost: r.Lost,
	}
	for i := range r.Breakdowns {
		body.Breakdowns[i] = newStatsBreakdown(&r.Breakdowns[i])
	}
	for i, v := range r.Visitors {
		body.Visitors[i] = statsDay{v.Day.Format(time.DateOnly), v.N, v.Whole}
	}
	if !r.CoarseUntil.IsZero() {
		body.CoarseUntil = &r.CoarseUntil
	}
	if b := r.Before; b != nil {
		body.Before = &statsBefore{From: b.From, To: b.To, Total: newStatsTotal(b), Series: newStatsPoints(b.Series)}
	}
	return body
}

func newStatsTotal(r *stats.Result) statsTotal {
	return statsTotal{ClickNumbers(r.Total), r.SumVisitors()}
}

func newStatsPoints(series []stats.Point) []statsPoint {
	points := make([]statsPoint, len(series))
	for i, p := range series {
		points[i] = statsPoint{p.Start, ClickNumbers(p.Count)}
	}
	return points
}

func newStatsBreakdown(b *stats.Breakdown) statsBreakdown {
	body := statsBreakdown{By: b.Dimension.String(), Values: make([]statsValue, len(b.Values)), Other: ClickNumbers(b.Other), Unknown: ClickNumbers(b.Unknown)}
	for i, v := range b.Values {
		body.Values[i] = statsValue{v.Name, ClickNumbers(v.Count)}
	}
	return body
}

// registerStats registers the operations on statistics.
func (a *API) registerStats(h huma.API) {
	op := func(id, path, summary string, body any, errors ...int) huma.Operation {
		op := operation("Statistics", id, http.MethodGet, path, summary, keyed, append(errors, 401, 403, 422)...)
		op.Responses = map[string]*huma.Response{"200": {
			Description: "The statistics",
			Content: map[string]*huma.MediaType{
				"application/json": {Schema: a.schemas.Schema(reflect.TypeOf(body), true, "")},
				csvType:            {Schema: &huma.Schema{Type: huma.TypeString}},
			},
		}}
		return op
	}
	huma.Register(h, op("readLinkStats", linkStatsPath, "Count the clicks of a link", statsBody{}, 404, 410), a.linkStats)
	reset := operation("Statistics", "resetStats", http.MethodDelete, linkStatsPath, "Set the clicks of a link to zero", keyed, 401, 403, 404, 410)
	reset.DefaultStatus = http.StatusNoContent
	huma.Register(h, reset, a.resetStats)
	huma.Register(h, op("readStats", statsPath, "Count the clicks of all links, or of those with a tag or on a domain", statsBody{}), a.groupStats)
	huma.Register(h, op("listStats", statsListPath, "Count the clicks of each of up to 100 links", statsListBody{}), a.listStats)
}

package transfer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/terse/terse/client"
)

// outcome is the result of the rows of one request.
type outcome struct {
	rows           int64
	links          int64
	updated        int64
	withoutHistory int64
	rejected       int64 // rows
	rejections     []Rejection
	warnings       []ImportWarning
	report         []ReportLine
}

// newOutcome returns the outcome of rows without the acceptable ones, and the acceptable ones.
func (m *Importer) newOutcome(rows []row) (*outcome, []*row) {
	o := &outcome{rows: int64(len(rows))}
	var acceptable []*row
	for i := range rows {
		if m.acceptable(&rows[i], o) {
			acceptable = append(acceptable, &rows[i])
		}
	}
	return o, acceptable
}

// createLinks creates links with the owner of the API key. The Idempotency-Key of a row
// contains its number, so that it does not depend on the other rows of the request.
func (m *Importer) createLinks(ctx context.Context, rows []row) (outcome, error) {
	o, of := m.newOutcome(rows)
	links := make([]client.KeyedLink, len(of))
	for i, r := range of {
		links[i] = client.KeyedLink{NewLink: r.record.NewLink(), Key: m.state.Run + "-" + strconv.FormatInt(r.number, 10)}
		links[i].Reuse = m.opts.Upsert && r.record.Link.Code == ""
	}
	create := m.opts.Client.CreateBatch
	if m.opts.DryRun {
		create = m.opts.Client.CheckBatch
	}
	results, err := m.send(of, func() ([]client.Result, error) { return create(ctx, links) })
	if err != nil {
		return *o, err
	}
	for i, r := range of {
		if p := results[i].Problem; m.opts.Upsert && r.record.Link.Code != "" && mayExist(p) {
			if results[i], err = m.update(ctx, &r.record, p); err != nil {
				return *o, fmt.Errorf("line %d: %w", r.record.Line, err)
			}
			if results[i].Problem == nil {
				o.updated++
			}
		}
	}
	return *o, m.add(o, of, results)
}

// importArchive imports links with all their fields.
func (m *Importer) importArchive(ctx context.Context, rows []row) (outcome, error) {
	o, of := m.newOutcome(rows)
	links := make([]client.ArchivedLink, len(of))
	for i, r := range of {
		links[i] = r.record.Link
		if owner := links[i].Owner; owner != nil {
			if other, ok := m.opts.Owners[*owner]; ok {
				links[i].Owner = &other
			}
		}
	}
	put := m.opts.Client.ImportArchive
	if m.opts.DryRun {
		put = m.opts.Client.CheckArchive
	}
	results, err := m.send(of, func() ([]client.Result, error) { return put(ctx, links) })
	if err != nil {
		return *o, err
	}
	return *o, m.add(o, of, results)
}

// send calls the server for rows.
func (*Importer) send(of []*row, call func() ([]client.Result, error)) ([]client.Result, error) {
	if len(of) == 0 {
		return nil, nil
	}
	results, err := call()
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusRequestEntityTooLarge && len(of) == 1 {
		return []client.Result{{Problem: p}}, nil
	}
	return results, err
}

// updateAttempts is how often an update is tried when other edits of the link conflict with it.
const updateAttempts = 10

// mayExist reports whether a create may have failed because the link exists: its code is taken, or
// it is a code that new aliases must not have.
func mayExist(p *client.Problem) bool {
	return p != nil && (p.Status == http.StatusConflict ||
		p.Status == http.StatusUnprocessableEntity && len(p.Errors) == 1 && p.Errors[0].Field() == "alias")
}

// update changes the link with the code of r. created is the problem of its create. It is the
// result if the caller has no such link. A dry run only looks for the link.
func (m *Importer) update(ctx context.Context, r *Record, created *client.Problem) (client.Result, error) {
	l := &r.Link
	changes := client.Changes{
		URL: &l.URL, Title: given(l.Title), StartsAt: l.StartsAt, ExpiresAt: l.ExpiresAt,
		MaxClicks: given(l.MaxClicks), Confirm: given(l.Confirm), NoVisitors: given(l.NoVisitors), Status: given(l.Status), ForwardQuery: given(l.ForwardQuery), ForwardPath: given(l.ForwardPath),
	}
	if len(l.Tags) > 0 {
		changes.Tags = &l.Tags
	}
	if len(l.Rules) > 0 {
		changes.Rules = &l.Rules
	}
	if r.Unlimited {
		changes.MaxClicks = new(int64)
	}
	if r.Unconfirmed {
		changes.Confirm = new(bool)
	}
	if r.CountsVisitors {
		changes.NoVisitors = new(bool)
	}
	var last error
	on := m.opts.Client.OnDomain(l.Domain)
	for range updateAttempts {
		before, err := on.Get(ctx, l.Code)
		var after client.Link
		if err == nil && !m.opts.DryRun {
			after, err = on.Edit(ctx, l.Code, changes, before.Version)
		}
		p, ok := errors.AsType[*client.Problem](err)
		switch {
		case err == nil:
			return client.Result{Link: after}, nil
		case ok && p.Status == http.StatusPreconditionFailed:
			last = err
		case ok && p.Status == http.StatusNotFound:
			return client.Result{Problem: created}, nil
		case ok && p.RejectsLink():
			return client.Result{Problem: p}, nil
		default:
			return client.Result{}, err
		}
	}
	return client.Result{}, last
}

// given returns nil for the zero value, which means that a row does not have the field.
func given[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// add adds the results of rows.
func (m *Importer) add(o *outcome, of []*row, results []client.Result) error {
	for i := range results {
		switch p := results[i].Problem; {
		case p == nil:
			m.accept(o, of[i], &results[i].Link)
		case p.RejectsLink():
			o.reject(of[i], p)
		default:
			return fmt.Errorf("line %d: %w", of[i].record.Line, p)
		}
	}
	return nil
}

// history are the fields that are imported with ImportOptions.Whole only.
var history = []string{"clicks", "robots", "used_clicks", "last_click_at", "created_at", "updated_at", "version"}

// accept adds an imported row.
func (m *Importer) accept(o *outcome, r *row, l *client.Link) {
	o.links++
	from := &r.record.Link
	if !m.opts.Whole && (from.Clicks > 0 || from.Robots > 0 || from.UsedClicks > 0 || from.CreatedAt != nil) {
		o.withoutHistory++
	}
	var reasons []string
	for _, w := range r.record.Warnings {
		if m.opts.Whole || !slices.Contains(history, w.Field) {
			reasons = append(reasons, w.String())
		}
	}
	warning := strings.Join(reasons, "; ")
	if warning != "" {
		o.warnings = append(o.warnings, ImportWarning{r.record.Line, from.Code, warning})
	}
	o.report = append(o.report, ReportLine{r.record.Line, from.URL, l.ShortURL, warning})
}

// acceptable reports whether a row can become a link. It rejects other rows in o.
func (m *Importer) acceptable(r *row, o *outcome) bool {
	var fault client.Fault
	l := &r.record.Link
	switch {
	case r.err != nil:
		r.record.Line, fault = r.err.Line, client.Fault{Location: r.err.Field, Message: r.err.Reason}
	case r.record.PasswordLost && !m.opts.DropPasswords:
		fault = client.Fault{Location: "password", Message: "is not in the file; --drop-passwords imports the link without one"}
	case l.PasswordHash != "" && !m.opts.Whole && !m.opts.DropPasswords:
		fault = client.Fault{Location: "password", Message: "only its hash is in the file; --whole imports the hash, --drop-passwords imports the link without a password"}
	case l.DeletedAt != nil && !m.opts.Whole:
		fault = client.Fault{Location: "deleted_at", Message: "the link was deleted; --whole imports it as deleted, so that its code is never used again"}
	case r.record.Disabled && !m.opts.Whole:
		fault = client.Fault{Location: "disabled_reason", Message: "the link was taken down; --whole imports it as disabled"}
	case r.record.Disabled && l.DisabledAt == nil:
		fault = client.Fault{Location: "disabled_at", Message: "the link was taken down, but the file has no time; export it with --whole"}
	case m.opts.Whole && l.Code == "":
		fault = client.Fault{Location: "code", Message: "is required with --whole"}
	default:
		return true
	}
	o.reject(r, &client.Problem{Errors: []client.Fault{fault}})
	return false
}

// reject adds a rejected row to o.
func (o *outcome) reject(r *row, p *client.Problem) {
	o.rejected++
	line, code := r.record.Line, r.record.Link.Code
	for _, f := range p.Errors {
		if f.Field() == "domain" {
			f.Message += "; --domain imports all links to one domain"
		}
		o.rejections = append(o.rejections, Rejection{line, code, f.Field(), f.Message})
	}
	switch {
	case len(p.Errors) > 0:
	case p.Status == http.StatusConflict:
		o.rejections = append(o.rejections, Rejection{line, code, "code", "is taken"})
	default:
		o.rejections = append(o.rejections, Rejection{line, code, "", p.Error()})
	}
}

package transfer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/terse/terse/client"
)

// outcome is the result of the rows of one request.
type outcome struct {
	rows           int64
	links          int64
	withoutHistory int64
	rejected       int64 // rows
	rejections     []Rejection
}

// createLinks creates links with the owner of the API key. The Idempotency-Key of a row
// contains its number, so that it does not depend on the other rows of the request.
func (m *Importer) createLinks(ctx context.Context, rows []row) (outcome, error) {
	o := outcome{rows: int64(len(rows))}
	var (
		links []client.KeyedLink
		of    []*row
	)
	for i := range rows {
		r := &rows[i]
		if !m.acceptable(r, &o) {
			continue
		}
		l := &r.record.Link
		links, of = append(links, client.KeyedLink{NewLink: client.NewLink{
			URL: l.URL, Alias: l.Code, Title: l.Title, Tags: l.Tags, StartsAt: l.StartsAt, ExpiresAt: l.ExpiresAt,
			MaxClicks: l.MaxClicks, Status: l.Status, ForwardQuery: l.ForwardQuery,
		}, Key: m.state.Run + "-" + strconv.FormatInt(r.number, 10)}), append(of, r)
	}
	err := m.send(of, &o, func() ([]client.Result, error) { return m.opts.Client.CreateBatch(ctx, links) })
	return o, err
}

// importArchive imports links with all their fields.
func (m *Importer) importArchive(ctx context.Context, rows []row) (outcome, error) {
	o := outcome{rows: int64(len(rows))}
	var (
		links []client.ArchivedLink
		of    []*row
	)
	for i := range rows {
		r := &rows[i]
		l := &r.record.Link
		switch {
		case !m.acceptable(r, &o):
			continue
		case l.Code == "":
			o.reject(r, &client.Problem{Errors: []client.Fault{{Location: "code", Message: "is required with --whole"}}})
			continue
		}
		if l.Owner != nil {
			if owner, ok := m.opts.Owners[*l.Owner]; ok {
				l.Owner = &owner
			}
		}
		links, of = append(links, *l), append(of, r)
	}
	err := m.send(of, &o, func() ([]client.Result, error) { return m.opts.Client.ImportArchive(ctx, links) })
	return o, err
}

// send calls the server for the rows and adds their results to o.
func (m *Importer) send(of []*row, o *outcome, call func() ([]client.Result, error)) error {
	if len(of) == 0 {
		return nil
	}
	results, err := call()
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusRequestEntityTooLarge && len(of) == 1 {
		results, err = []client.Result{{Problem: p}}, nil
	}
	if err != nil {
		return err
	}
	for i := range results {
		problem := results[i].Problem
		l := &of[i].record.Link
		switch {
		case problem == nil:
			o.links++
			if !m.opts.Whole && (l.Clicks > 0 || l.UsedClicks > 0 || l.CreatedAt != nil) {
				o.withoutHistory++
			}
		case problem.RejectsLink():
			o.reject(of[i], problem)
		default:
			return fmt.Errorf("line %d: %w", of[i].record.Line, problem)
		}
	}
	return nil
}

// acceptable reports whether a row can become a link. It rejects other rows in o.
func (m *Importer) acceptable(r *row, o *outcome) bool {
	var fault client.Fault
	switch {
	case r.err != nil:
		r.record.Line, fault = r.err.Line, client.Fault{Location: r.err.Field, Message: r.err.Reason}
	case r.record.PasswordLost && !m.opts.DropPasswords:
		fault = client.Fault{Location: "password", Message: "is not in the file; --drop-passwords imports the link without one"}
	case r.record.Link.DeletedAt != nil && !m.opts.Whole:
		fault = client.Fault{Location: "deleted_at", Message: "the link was deleted; --whole imports it as deleted, so that its code is never used again"}
	case r.record.Disabled && !m.opts.Whole:
		fault = client.Fault{Location: "disabled_reason", Message: "the link was taken down; --whole imports it as disabled"}
	case r.record.Disabled && r.record.Link.DisabledAt == nil:
		fault = client.Fault{Location: "disabled_at", Message: "the link was taken down, but the file has no time; export it with --whole"}
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

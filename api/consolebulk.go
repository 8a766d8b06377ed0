package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

const bulkScreen = web.ConsolePath + "bulk"

// bulk does one action on the links that the visitor has selected. It asks before it deletes or disables
// links. An error of one link does not affect the others.
func (a *API) bulk(c echo.Context, s *session) error {
	v := web.Bulk{Action: s.form.Get("action"), Reason: s.form.Get("reason")}
	act, err := a.bulkAction(s, v.Action)
	if err != nil {
		return err
	}
	refs := s.form["link"]
	if len(refs) == 0 || len(refs) > consolePage {
		return invalid(&store.FieldError{Field: "link", Reason: "must be 1 to 50 selected links"})
	}
	if v.Action == web.BulkExport {
		return a.exportSelected(c, s, refs)
	}
	asks, confirmed := v.Action == web.BulkDelete || v.Action == web.BulkDisable, s.form.Get("confirmed") == "true"
	wrong := bulkField(v.Action, s.form)
	if wrong != nil && !asks {
		return wrong
	}
	v.Ask = asks && (!confirmed || wrong != nil)
	if !v.Ask {
		if taken, headers := a.takeCreates(c.Request().Context(), s.caller, len(refs)); taken.Allowed < len(refs) {
			return tooMany(createsUsedUp, taken, headers)
		}
	}
	for _, ref := range refs {
		v.Rows = append(v.Rows, a.bulkOne(c, s, ref, func(key string) error {
			if v.Ask {
				return nil
			}
			return act(c.Request().Context(), key)
		}))
	}
	status := http.StatusOK
	if v.Ask && confirmed {
		status, v.Errors = http.StatusUnprocessableEntity, fieldErrors(wrong)
	}
	a.pages.Bulk(c.Response(), status, s.viewer(), v)
	return nil
}

// bulkField checks the field that an action needs.
func bulkField(action string, f url.Values) error {
	switch action {
	case web.BulkTag, web.BulkUntag:
		if f.Get("tag") == "" {
			return &store.FieldError{Field: "tag", Reason: "must not be empty"}
		}
	case web.BulkDisable:
		if strings.TrimSpace(f.Get("reason")) == "" {
			return &store.FieldError{Field: "reason", Reason: "must not be empty"}
		}
		return links.CheckReason(f.Get("reason"))
	}
	return nil
}

// bulkAction returns an action on one link. It returns an error if the visitor may not do it.
func (a *API) bulkAction(s *session, action string) (func(ctx context.Context, key string) error, error) {
	who, service := &s.Caller, a.opts.Links
	tag := s.form.Get("tag")
	switch action {
	case web.BulkTag:
		return func(ctx context.Context, key string) error {
			return a.retag(ctx, s, key, func(tags []string) []string { return append(tags, tag) })
		}, service.May(who, links.Editing)
	case web.BulkUntag:
		return func(ctx context.Context, key string) error {
			return a.retag(ctx, s, key, func(tags []string) []string {
				return slices.DeleteFunc(tags, func(t string) bool { return t == tag })
			})
		}, service.May(who, links.Editing)
	case web.BulkExport:
		return nil, service.May(who, links.Reading)
	case web.BulkDelete:
		return func(ctx context.Context, key string) error { return service.Delete(ctx, who, key, nil) }, service.May(who, links.Editing)
	case web.BulkDisable:
		return func(ctx context.Context, key string) error {
			_, err := service.Disable(ctx, who, key, nil, s.form.Get("reason"))
			return err
		}, service.May(who, links.Moderating)
	}
	return nil, invalid(&store.FieldError{Field: "action", Reason: "must be tag, untag, export, delete or disable"})
}

// retagAttempts is how often a change of tags is tried when other edits of the link conflict with it.
const retagAttempts = 5

// retag changes the tags of a link.
func (a *API) retag(ctx context.Context, s *session, key string, change func(tags []string) []string) error {
	for range retagAttempts {
		l, err := a.opts.Links.Get(ctx, &s.Caller, key)
		if err != nil {
			return err
		}
		tags := change(slices.Clone(l.Tags))
		_, err = a.opts.Links.Edit(ctx, &s.Caller, key, links.Edit{Versions: links.Versions{l.Version}, Settings: links.Settings{Tags: &tags}})
		if !errors.Is(err, store.ErrVersion) {
			return err
		}
	}
	return store.ErrVersion
}

// bulkOne does an action on the link that ref names: the host of its domain, or defaultHost, and its code.
func (a *API) bulkOne(c echo.Context, s *session, ref string, act func(key string) error) web.BulkRow {
	host, code, _ := strings.Cut(ref, "/")
	row := web.BulkRow{Ref: ref, Name: ref}
	key, err := a.keyOfRef(s, host, code)
	if err == nil {
		if short := a.shortURL(key); short != "" {
			_, row.Name, _ = strings.Cut(short, "://")
			row.Path = a.linkScreenPath(key)
		}
		err = act(key)
	}
	if err == nil {
		return row
	}
	p := a.problem(a.identified(c), err)
	row.Error = p.Detail
	for _, e := range p.Errors {
		row.Error = e.Message
	}
	return row
}

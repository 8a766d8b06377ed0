package api

import (
	"context"

	"github.com/terse/terse/store"
)

// maxReasonLen is the longest reason of a takedown in characters.
const maxReasonLen = 500

type disableInput struct {
	CodeParam
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"Shown to the owner." example:"phishing"`
	}
}

// disableLink disables a link because of abuse. Visits of it are answered 451.
func (a *API) disableLink(ctx context.Context, in *disableInput) (*linkOutput, error) {
	if err := store.CheckText("reason", in.Body.Reason, maxReasonLen); err != nil {
		return nil, a.problem(ctx, err)
	}
	l, err := a.change(ctx, in.Code, "", store.ScopeAdmin, func(l *store.Link) error {
		if l.DisabledAt.IsZero() {
			l.DisabledAt = a.now()
		}
		l.DisabledReason = in.Body.Reason
		return nil
	})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return a.linkOutput(&l), nil
}

type enableInput struct {
	CodeParam
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"Recorded in the history." example:"cleaned up"`
	}
}

// enableLink enables a disabled link. The link must pass the current rules.
func (a *API) enableLink(ctx context.Context, in *enableInput) (*linkOutput, error) {
	if in.Body != nil {
		if err := store.CheckText("reason", in.Body.Reason, maxReasonLen); err != nil {
			return nil, a.problem(ctx, err)
		}
		ctx = noted(ctx, in.Body.Reason)
	}
	l, err := a.change(ctx, in.Code, "", store.ScopeAdmin, func(l *store.Link) error {
		l.DisabledAt, l.DisabledReason = store.Link{}.DisabledAt, ""
		return a.rules.Check(l)
	})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return a.linkOutput(&l), nil
}

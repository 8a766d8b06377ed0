package links

import (
	"context"
	"errors"
	"time"

	"github.com/terse/terse/store"
)

// maxReasonLen is the longest reason of a takedown in characters.
const maxReasonLen = 500

// Disable disables a link because of abuse. The owner sees the reason. A second call changes
// the reason and keeps the date.
func (s *Service) Disable(ctx context.Context, who *Caller, code string, versions Versions, reason string) (store.Link, error) {
	if err := s.mayModerate(who, reason); err != nil {
		return store.Link{}, err
	}
	return s.change(ctx, change{who: who, do: Moderating, code: code, versions: versions, apply: func(l *store.Link) error {
		s.disable(l, reason)
		return nil
	}})
}

// Enable enables a disabled link. The link must pass the current rules. The history records
// the reason. Scans do not disable the link again for the target that it has now. Callers who
// looked at the target first pass the version that they saw.
func (s *Service) Enable(ctx context.Context, who *Caller, code string, versions Versions, reason string) (store.Link, error) {
	if err := s.mayModerate(who, reason); err != nil {
		return store.Link{}, err
	}
	return s.change(ctx, change{who: who, do: Moderating, code: code, versions: versions, note: reason, apply: func(l *store.Link) error {
		l.DisabledAt, l.DisabledReason = time.Time{}, ""
		return s.checkEdited(l, l.URL, nil)
	}})
}

// DisableTarget disables a link for a component of the server that has checked its targets,
// such as store.AuthorBlocklist. It returns false and changes nothing if the link no longer has
// the target and the rules of checked, or its version unless that is 0, is disabled or deleted, or does not
// exist.
func (s *Service) DisableTarget(ctx context.Context, system string, checked store.Link, reason string) (disabled bool, err error) {
	var versions Versions
	if checked.Version != 0 {
		versions = Versions{checked.Version}
	}
	_, err = s.change(ctx, change{who: System(system), do: Moderating, code: checked.Code, versions: versions, apply: func(l *store.Link) error {
		if disabled = l.URL == checked.URL && l.Rules == checked.Rules && l.DisabledAt.IsZero(); disabled {
			s.disable(l, reason)
		}
		return nil
	}})
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrGone) || errors.Is(err, store.ErrVersion) {
		return false, nil
	}
	return disabled && err == nil, err
}

// disable marks l as disabled.
func (s *Service) disable(l *store.Link, reason string) {
	if l.DisabledAt.IsZero() {
		l.DisabledAt = s.now()
	}
	l.DisabledReason = reason
}

// mayModerate checks the caller and the reason before the link is read.
func (s *Service) mayModerate(who *Caller, reason string) error {
	if err := s.May(who, Moderating); err != nil {
		return err
	}
	return CheckReason(reason)
}

// CheckReason returns a *store.FieldError for "reason" if it cannot be the reason of a takedown or
// of its end.
func CheckReason(reason string) error { return store.CheckText("reason", reason, maxReasonLen) }

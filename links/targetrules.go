package links

import (
	"errors"
	"fmt"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

// check is store.Rules.Check, and checks the rules of l. sent are the rules in the request. If sent is
// nil, the request does not change the rules, and check checks the stored ones. It sets l.Rules to the
// stored form of the checked rules.
func (s *Service) check(l *store.Link, sent *[]rules.Rule) error {
	fields := s.rules.Check(l)
	return store.JoinInvalid(fields, s.checkRules(l, sent))
}

// checkRules is the part of check for rules.
func (s *Service) checkRules(l *store.Link, sent *[]rules.Rule) error {
	if sent == nil && l.Rules == "" {
		return nil
	}
	list, err := rules.Decode(l.Rules)
	if sent != nil {
		list, err = *sent, nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	list, err = rules.Check(list, rules.Options{
		Target: s.ruleTarget, Room: max(0, store.MaxURLLen-len(l.URL)), Countries: s.opts.Countries || sent == nil,
	})
	if err != nil {
		return err
	}
	l.Rules, err = rules.Encode(list)
	return err
}

// ruleTarget returns a target of a rule in its stored form. The text of its error is a reason for the
// user.
func (s *Service) ruleTarget(raw string) (string, error) {
	to, err := s.rules.Target(raw)
	if problem, ok := errors.AsType[*store.FieldError](err); ok {
		return "", errors.New(problem.Reason)
	}
	return to, err
}

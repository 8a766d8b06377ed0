package shard

import (
	"errors"
	"log/slog"
)

// journal logs changes between rounds: a problem when it begins or changes, and its end. A
// problem that lasts for many rounds is logged once.
type journal struct {
	log        *slog.Logger
	unanswered string // names of the shards that did not answer
	refused    string // why the map was refused
}

// noteUnanswered logs the errors of a round. errs[i] is the error of shard i.
func (j *journal) noteUnanswered(shards []Named, errs []error) {
	failed := names(shards, errs)
	switch failed {
	case j.unanswered:
	case "":
		j.log.Info("all shards report their buckets again")
	default:
		j.log.Warn("some shards do not report their buckets", "shards", failed, "err", errors.Join(errs...))
	}
	j.unanswered = failed
}

// noteRefused logs why the map was refused, or nil if it was not.
func (j *journal) noteRefused(refused error) {
	reason := ""
	if refused != nil {
		reason = refused.Error()
	}
	switch reason {
	case j.refused:
	case "":
		j.log.Info("map of buckets is accepted again")
	default:
		j.log.Error("map of buckets is refused, the last one stays in use", "err", refused)
	}
	j.refused = reason
}

package shard

import (
	"errors"
	"log/slog"
)

// journal logs what became of the rounds: a trouble when it begins or changes,
// and its end, however many rounds it lasts.
type journal struct {
	log        *slog.Logger
	unanswered string // names of the shards that did not answer
	refused    string // why the map was
}

// noteUnanswered takes the errors of one round, error i of shard i.
func (j *journal) noteUnanswered(shards []Named, errs []error) {
	failed := names(shards, errs)
	switch failed {
	case j.unanswered:
	case "":
		j.log.Info("all shards say again which buckets they own")
	default:
		j.log.Warn("some shards do not say which buckets they own", "shards", failed, "err", errors.Join(errs...))
	}
	j.unanswered = failed
}

// noteRefused takes the reason why a map was refused, or nil.
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

package postgres

import (
	"strings"
	"time"

	"github.com/terse/terse/store"
)

// linkRows are new links by column.
type linkRows struct {
	buckets                []int
	codes, targets, owners []string
	created                []time.Time

	updated, starts, expires, disabled sparse[time.Time]
	status, forward                    sparse[int]
	titles, tags, passwords, reasons   sparse[string]
	requests, rules                    sparse[string]
	maxClicks                          sparse[int64]
	confirm, noVisitors, forwardPath   sparse[bool]

	// The reservations:
	keyBuckets   sparse[int]
	keyEpochs    sparse[int64]
	fingerprints sparse[string]
}

// sparse is a column with mostly NULL values. It ends with the last other value, because
// unnest fills up shorter arrays.
type sparse[T comparable] []*T

// set sets row i to v. The value usual is stored as NULL.
func (c *sparse[T]) set(i int, v, usual T) {
	if v == usual {
		return
	}
	*c = append(*c, make(sparse[T], i+1-len(*c))...)
	(*c)[i] = &v
}

// add appends a link, and its reservation if it has one.
func (r *linkRows) add(c *creation, epochs *epochs) {
	l, i := &c.link, len(r.codes)
	if c.reserved != nil {
		bucket := c.reserved.Bucket()
		r.keyBuckets.set(i, bucket, -1)
		r.keyEpochs.set(i, epochs[bucket], -1)
		r.fingerprints.set(i, c.reserved.Fingerprint, "\x00")
	}
	r.buckets = append(r.buckets, store.BucketOf(l.Code))
	r.codes, r.targets, r.owners = append(r.codes, l.Code), append(r.targets, l.URL), append(r.owners, l.Owner)
	r.created = append(r.created, l.CreatedAt)
	r.updated.set(i, l.UpdatedAt, l.CreatedAt)
	r.status.set(i, l.Status, store.DefaultStatus)
	r.forward.set(i, int(l.ForwardQuery), int(store.ForwardOff))
	r.titles.set(i, l.Title, "")
	r.tags.set(i, arrayText(l.Tags), "")
	r.starts.set(i, l.StartsAt, time.Time{})
	r.expires.set(i, l.ExpiresAt, time.Time{})
	r.maxClicks.set(i, l.MaxClicks, 0)
	r.passwords.set(i, l.PasswordHash, "")
	r.disabled.set(i, l.DisabledAt, time.Time{})
	r.reasons.set(i, l.DisabledReason, "")
	r.requests.set(i, l.RequestID, "")
	r.confirm.set(i, l.Confirm, false)
	r.rules.set(i, l.Rules, "")
	r.noVisitors.set(i, l.NoVisitors, false)
	r.forwardPath.set(i, l.ForwardPath, false)
}

// args returns the arguments of insertLinks.
func (r *linkRows) args(epochs *epochs) []any {
	return []any{
		r.buckets, epochs.of(r.buckets), r.codes, r.targets, r.owners, r.created,
		r.updated, r.status, r.forward, r.titles, r.tags, r.starts, r.expires,
		r.maxClicks, r.passwords, r.disabled, r.reasons, r.requests, r.confirm, r.rules, r.noVisitors, r.forwardPath,
		r.keyBuckets, r.keyEpochs, r.fingerprints,
	}
}

// arrayText returns the literal of a text array, or "" if it is empty. Literals are
// needed because the rows of a two-dimensional array must have the same length.
func arrayText(elements []string) string {
	if len(elements) == 0 {
		return ""
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	quoted := make([]string, len(elements))
	for i, e := range elements {
		quoted[i] = `"` + quote.Replace(e) + `"`
	}
	return "{" + strings.Join(quoted, ",") + "}"
}

package store

import "strings"

// The link of a canary measures how stale the cache of a node is. Its code begins with
// CanaryPrefix, which aliases must not. Its owner is CanaryOwner, which is never the id of
// an API key.
const (
	CanaryOwner  = "terse"
	CanaryPrefix = "__canary-"
)

// IsCanary reports whether l is a canary's link.
func (l *Link) IsCanary() bool {
	return l.Owner == CanaryOwner && strings.HasPrefix(l.Code, CanaryPrefix)
}

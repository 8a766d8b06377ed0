package store

import "strings"

// A canary's link measures how stale the cache of a node is. Its code begins with
// CanaryPrefix, which no alias does, and its owner is CanaryOwner, which no API key has
// for an id.
const (
	CanaryOwner  = "terse"
	CanaryPrefix = "__canary-"
)

// IsCanary reports whether l is a canary's link.
func (l *Link) IsCanary() bool {
	return l.Owner == CanaryOwner && strings.HasPrefix(l.Code, CanaryPrefix)
}

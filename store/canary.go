package store

import (
	"hash/fnv"
	"strconv"
	"strings"
)

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

// canaries is the number of codes of canaries, so that nodes which come and go do not leave
// more and more links.
const canaries = 512

// CanaryCode returns the code of a node's canary. node identifies a process. Two nodes with
// the same code take turns.
func CanaryCode(node string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(node))
	return CanaryPrefix + strconv.Itoa(int(h.Sum32()%canaries))
}

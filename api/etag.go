package api

import (
	"strconv"
	"strings"

	"github.com/terse/terse/links"
)

// etag returns the strong entity tag of a version (RFC 9110 section 8.8.3).
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// versionsOf returns the versions that an If-Match header allows (RFC 9110 section 13.1.1).
// An absent header and * allow any. Weak tags never match.
func versionsOf(ifMatch string) links.Versions {
	if ifMatch == "" {
		return nil
	}
	versions := links.Versions{}
	for tag := range strings.SplitSeq(ifMatch, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" {
			return nil
		}
		if version, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64); err == nil && etag(version) == tag {
			versions = append(versions, version)
		}
	}
	return versions
}

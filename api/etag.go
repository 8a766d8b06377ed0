package api

import (
	"strconv"
	"strings"
)

// etag returns the strong entity tag of a version (RFC 9110 section 8.8.3).
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// namesVersion reports whether an If-Match header requires a version. "*" only requires
// that the link exists.
func namesVersion(ifMatch string) bool { return ifMatch != "" && ifMatch != "*" }

// matches reports whether an If-Match header allows the version (RFC 9110
// section 13.1.1). An absent header and * allow any. Weak tags never match.
func matches(ifMatch string, version int64) bool {
	if ifMatch == "" {
		return true
	}
	want := etag(version)
	for tag := range strings.SplitSeq(ifMatch, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || tag == want {
			return true
		}
	}
	return false
}

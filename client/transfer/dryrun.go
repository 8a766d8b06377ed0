package transfer

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/terse/terse/client"
)

// Rules of the API that a dry run checks. The server has more rules.
var aliasForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

const maxURLLen = 8192

// checkLink returns the faults of a link that can be found without the server.
func checkLink(l *client.ArchivedLink) []client.Fault {
	var faults []client.Fault
	if l.Code != "" && !aliasForm.MatchString(l.Code) {
		faults = append(faults, client.Fault{Location: "code", Message: "must be 1 to 64 of the characters 0-9 A-Z a-z _ -"})
	}
	u, err := url.Parse(l.URL)
	switch {
	case l.DeletedAt != nil:
	case len(l.URL) > maxURLLen:
		faults = append(faults, client.Fault{Location: "url", Message: "is too long"})
	case err != nil, u.Host == "", !strings.EqualFold(u.Scheme, "http") && !strings.EqualFold(u.Scheme, "https"):
		faults = append(faults, client.Fault{Location: "url", Message: "must be an absolute http or https URL"})
	}
	return faults
}

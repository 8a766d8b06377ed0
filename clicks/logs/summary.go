package logs

import "github.com/terse/terse/clicks/day"

// Reason is why a line is not counted.
type Reason uint8

// The reasons, in the order of the checks.
const (
	Malformed     Reason = iota // not in the format of the log
	NoRedirect                  // status is not 301, 302, 307 or 308
	OtherMethod                 // neither GET nor HEAD
	OtherHost                   // no host of this server
	NoCode                      // the path is no code
	ByProxy                     // the proxy has redirected by a rule of its own
	TwiceLogged                 // another server of the CDN logs the same request
	FromOrigin                  // the origin has answered and counted it
	Uncached                    // the log does not show who answered
	Future                      // more than an hour from now
	Excluded                    // the client is in an excluded network
	Repeated                    // an equal line was read before
	CountedBefore               // an earlier import has counted it
	NoLink                      // there is no link, or it was deleted
	NotLive                     // the link had not started or had ended

	reasons = 15
)

var reasonTexts = [reasons]string{
	"not in this format",
	"no redirect",
	"neither GET nor HEAD",
	"other host",
	"no short URL",
	"redirected by a rule of the proxy",
	"logged by another server of the CDN, too",
	"answered and counted by the origin",
	"not known whether a cache has answered",
	"in the future",
	"from an excluded network",
	"repeated in this import",
	"counted by an earlier import",
	"unknown link",
	"the link had not started or had ended",
}

// String returns the reason in words.
func (r Reason) String() string { return reasonTexts[r] }

// Summary is the result of an import. Each complete line is in Clicks or in Skipped.
type Summary struct {
	Lines   int64
	Clicks  day.Count // that were added
	Skipped [reasons]int64

	FirstMalformed int64 // number of the first line that is Malformed; 0: none
	Problem        error // of that line
	Incomplete     bool  // the last line is not complete and is in no number; a later import reads it
}

// Add adds the numbers of another summary.
func (s *Summary) Add(o *Summary) {
	s.Lines += o.Lines
	s.Clicks.People += o.Clicks.People
	s.Clicks.Robots += o.Clicks.Robots
	for r := range s.Skipped {
		s.Skipped[r] += o.Skipped[r]
	}
}

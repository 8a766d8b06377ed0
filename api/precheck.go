package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// maxValues is the most values of a body, or of each link in a list: enough for the longest rules.
// maxValuesInAll is the most values of a list. Decoding a value takes about a hundred times the memory
// of its text.
const (
	maxValues      = 2048
	maxValuesInAll = 256 * maxBatch
)

// maxNameLen is the longest name of a member in bytes. All known names are far shorter. An
// unknown name is copied many times before the client receives the error.
const maxNameLen = 128

// precheck is run on a request with a body. The rights of the caller and the limit are checked
// from the headers, before the body is read. The size and the rest of a batch are checked before
// the body is decoded. A rejected request then costs little more than its bytes.
type precheck struct {
	may    func(who *caller) error // returns a problem if the caller must not call the route
	list   bool                    // the body contains a list of links
	writes bool                    // each link counts against the caller's limit of creates
}

// may returns the check that the caller may do an action on links.
func (a *API) may(do links.Action) func(who *caller) error {
	return func(who *caller) error { return a.opts.Links.May(&who.Caller, do) }
}

// mayFightAbuse checks that the caller may call the admins' use cases of package abuse.
func (a *API) mayFightAbuse(who *caller) error { return a.opts.Abuse.May(who) }

// withPrecheck registers the precheck of op, and returns op.
func (a *API) withPrecheck(d precheck, op huma.Operation) huma.Operation {
	a.prechecks[op.Method+" "+strings.NewReplacer("{", ":", "}", "").Replace(op.Path)] = d
	return op
}

// beforeBody runs the part of a precheck that needs no body. It returns the charge of one link,
// or the problem.
func (a *API) beforeBody(ctx context.Context, who *caller, d precheck) (charge, error) {
	if err := d.may(who); err != nil {
		return charge{}, err
	}
	if !d.writes {
		return charge{}, nil
	}
	return a.charge(ctx, who, 1)
}

// afterBody runs the rest of a precheck. It returns the charge of all links, also with an error.
func (a *API) afterBody(ctx context.Context, who *caller, d precheck, first charge, body []byte) (charge, error) {
	if d.list && bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
		p := invalid(&store.FieldError{Reason: `must be an object with the list as its member links: {"links": […]}`})
		p.Errors[0].Location = "body"
		return first, p
	}
	links, refusal := countLinks(body, d.list)
	if refusal != nil {
		return first, refusal
	}
	if !d.writes || links <= 1 {
		return first, nil
	}
	taken, headers := a.takeCreates(ctx, who, links-1)
	taken.Allowed++
	return charge{taken, headers}, nil
}

// charge is the result of counting creates against the caller's limit.
type charge struct {
	taken   ratelimit.Result
	headers RateHeaders
}

type chargeKey struct{}

// chargeOf returns the charge of the route's precheck; the zero charge if it charges nothing.
func chargeOf(ctx context.Context) charge {
	charged, _ := ctx.Value(chargeKey{}).(charge)
	return charged
}

// charge counts n creates against the caller's limit. It returns a 429 if not even one
// create is allowed.
func (a *API) charge(ctx context.Context, who *caller, n int) (charge, error) {
	taken, headers := a.takeCreates(ctx, who, n)
	if taken.Allowed == 0 {
		return charge{}, tooMany(createsUsedUp, taken, headers)
	}
	return charge{taken, headers}, nil
}

// linkDepth is the nesting depth of the links in a body with a list: {"links":[…]}.
const linkDepth = 2

// countLinks returns the number of links in a body. It returns a problem if the body contains
// too much to be decoded. It allocates no memory: it counts the commas and brackets outside
// of strings. For invalid JSON the counts are correct up to the first error, where the
// decoder stops.
func countLinks(body []byte, list bool) (links int, refusal *problem) {
	depth, values, all, quoted := 0, 0, 0, false
	begun, length := 0, 0 // start and length of the last string
	links = 1
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++ // skip the escaped byte
		case c == '"':
			quoted = !quoted
			begun, length = i, i-begun-1
		case quoted:
		case c == ':' && length > maxNameLen:
			return links, tooMuch("The name of a member is longer than %d bytes.", maxNameLen)
		case c == '[' || c == '{':
			depth++
			values++
			all++
		case c == ']' || c == '}':
			depth--
		case c == ',' && list && depth == linkDepth:
			links++
			values = 0
		case c == ',':
			values++
			all++
		}
		switch {
		case links > maxBatch:
			return links, badBatch()
		case values > maxValues:
			return links, tooMuch("A link or the body contains more than %d values.", maxValues)
		case all > maxValuesInAll:
			return links, tooMuch("The links contain more than %d values in all.", maxValuesInAll)
		}
	}
	return links, nil
}

// tooMuch returns the 422 of a body that exceeds a bound. detail has one %d for the bound.
func tooMuch(detail string, bound int) *problem {
	return newProblem(http.StatusUnprocessableEntity, fmt.Sprintf(detail, bound))
}

// badBatch returns the 422 of an empty or too long list of links.
func badBatch() *problem { return invalid(badLength()) }

func badLength() *store.FieldError {
	return &store.FieldError{Field: "links", Reason: fmt.Sprintf("must hold 1 to %d links", maxBatch)}
}

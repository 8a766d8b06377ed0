package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
)

// maxValues is how many values a body may hold, or each link of one that holds many:
// several times those of a link with every member and every tag. What is made of a value
// takes some hundred times the bytes in which it came.
const maxValues = 256

// maxNameLen is the longest name of a member in bytes, several times that of any: a name
// that is none of ours is repeated many times until the client hears of it.
const maxNameLen = 128

// door is what a route with a body asks before the body is read: who may call it, and
// what it costs. A request that is turned away there has cost no more than its bytes.
type door struct {
	may     func(who *caller) error
	list    bool // whether the body holds a list of links
	creates bool // whether each link is charged to the caller's limit of creates
}

// needs returns the door of a route for callers with a scope.
func needs(s store.Scope) door { return door{may: func(who *caller) error { return who.require(s) }} }

// behind puts op behind a door.
func (a *API) behind(d door, op huma.Operation) huma.Operation {
	op.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		c := humaecho.Unwrap(ctx)
		charged, err := a.enter(ctx.Context(), d, bodyOf(c.Request()))
		if err != nil {
			a.resourceError(err, c)
			return
		}
		next(huma.WithValue(ctx, chargeKey{}, charged))
	}}
	return op
}

// enter returns what the caller was charged for a body, or why it is not read.
func (a *API) enter(ctx context.Context, d door, body []byte) (charge, error) {
	who := callerOf(ctx)
	if err := d.may(who); err != nil {
		return charge{}, err
	}
	var charged charge
	links, refusal := weigh(body, d.list)
	if d.creates {
		if refusal != nil {
			links = 1
		}
		var err error
		if charged, err = a.charge(ctx, who, links); err != nil {
			return charge{}, err
		}
	}
	if refusal != nil {
		return charge{}, within(charged.headers, refusal)
	}
	return charged, nil
}

// charge is what a caller was charged for creates.
type charge struct {
	taken   ratelimit.Result
	headers RateHeaders
}

type chargeKey struct{}

// chargeOf returns what the door of a route has charged; the zero charge for one that
// charges nothing.
func chargeOf(ctx context.Context) charge {
	charged, _ := ctx.Value(chargeKey{}).(charge)
	return charged
}

// charge charges the caller for n creates, of which at least one may be made.
func (a *API) charge(ctx context.Context, who *caller, n int) (charge, error) {
	taken, headers := a.takeCreates(ctx, who, n)
	if taken.Allowed == 0 {
		return charge{}, tooMany(createsUsedUp, taken, headers)
	}
	return charge{taken, headers}, nil
}

// linkDepth is within how many brackets the links of a body stand that holds a list.
const linkDepth = 2

// weigh returns how many links a body holds, which is or holds a list of them, and why
// there is too much in it to be read. It needs no memory: it goes by the commas and
// brackets outside of strings. Of what is no JSON it knows where that begins at most, and
// nobody reads further.
func weigh(body []byte, list bool) (links int, refusal *problem) {
	depth, values, quoted := 0, 0, false
	begun, length := 0, 0 // of the last string
	links = 1
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++ // past what it escapes
		case c == '"':
			quoted = !quoted
			begun, length = i, i-begun-1
		case quoted:
		case c == ':' && length > maxNameLen:
			return links, tooMuch("A member has a name of more than %d bytes.", maxNameLen)
		case c == '[' || c == '{':
			depth++
			values++
		case c == ']' || c == '}':
			depth--
		case c == ',' && list && depth == linkDepth:
			links++
			values = 0
		case c == ',':
			values++
		}
		switch {
		case links > maxBatch:
			return links, badBatch()
		case values > maxValues:
			return links, tooMuch("There are more than %d values in a link or in the body.", maxValues)
		}
	}
	return links, nil
}

// tooMuch refuses a body for what there is more of in it than a bound.
func tooMuch(detail string, bound int) *problem {
	return newProblem(http.StatusUnprocessableEntity, fmt.Sprintf(detail, bound))
}

// badBatch refuses a list of no links, or of too many.
func badBatch() *problem {
	return invalid(&store.FieldError{Field: "links", Reason: fmt.Sprintf("must hold 1 to %d links", maxBatch)})
}

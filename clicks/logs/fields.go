package logs

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// fields is one line of the JSON logs by deploy/nginx, deploy/varnish and deploy/fastly. Only time,
// method, uri and status are required. An empty text and "-" stand for no value.
type fields struct {
	Time      text  `json:"time"` // see parseTime
	ID        text  `json:"id"`   // unique to the request
	Host      text  `json:"host"`
	Method    text  `json:"method"`
	URI       text  `json:"uri"`
	Status    text  `json:"status"`
	Cache     text  `json:"cache"`    // as the server names it
	Upstream  *text `json:"upstream"` // of nginx: the status of the origin's answer
	Visits    text  `json:"visits"`   // of Fastly: how many of its servers passed the request on
	Address   text  `json:"address"`
	Country   text  `json:"country"`
	UserAgent text  `json:"user_agent"`
	Referrer  text  `json:"referer"`
	Language  text  `json:"language"`
	Purpose   text  `json:"purpose"` // the header Sec-Purpose
	GPC       text  `json:"gpc"`     // the header Sec-GPC
	DNT       text  `json:"dnt"`
}

// fieldsParser returns a parser of fields. answer finds out who answered the request.
func fieldsParser(answer func(*fields) Answer) func([]byte) (Entry, error) {
	return func(line []byte) (Entry, error) {
		var f fields
		if err := json.Unmarshal(line, &f); err != nil {
			return Entry{}, errors.New("it must be a JSON object with the fields time, method, uri and status")
		}
		at, err := parseTime(string(f.Time))
		if err != nil {
			return Entry{}, err
		}
		status, err := parseStatus(string(f.Status))
		if err != nil {
			return Entry{}, err
		}
		e := Entry{
			At: at, Method: f.Method.known(), Host: f.Host.known(), URI: f.URI.known(), Status: status,
			HasID: f.ID.known() != "", Answer: answer(&f), Private: isPrivate(string(f.GPC), string(f.DNT)),
		}
		e.Visit.Address = parseAddr(string(f.Address))
		e.Visit.Country, e.Visit.UserAgent, e.Visit.Referrer = f.Country.known(), f.UserAgent.known(), f.Referrer.known()
		e.Visit.Language, e.Visit.Prefetch = f.Language.known(), isPrefetch(string(f.Purpose))
		return e, nil
	}
}

// nginxAnswer reads $upstream_cache_status. If it and $upstream_status are empty, nginx answered by a
// rule of its own.
// https://nginx.org/en/docs/http/ngx_http_upstream_module.html#var_upstream_cache_status
func nginxAnswer(f *fields) Answer {
	switch f.Cache.known() {
	case "HIT", "STALE", "UPDATING":
		return Cache
	case "":
		if f.Upstream != nil && f.Upstream.known() == "" {
			return Proxy
		}
	}
	return Origin
}

// varnishAnswer reads %{Varnish:handling}x.
// https://varnish-cache.org/docs/7.7/reference/varnishncsa.html#format
func varnishAnswer(f *fields) Answer {
	switch f.Cache {
	case "hit":
		return Cache
	case "synth", "error":
		return Proxy
	}
	return Origin
}

// fastlyAnswer reads fastly_info.state, such as HIT, HIT-STALE-CLUSTER, MISS or HITPASS. With
// shielding, a request passes through two servers, and each of them logs it.
// https://www.fastly.com/documentation/reference/vcl/variables/miscellaneous/fastly-info-state/
func fastlyAnswer(f *fields) Answer {
	state := string(f.Cache)
	switch {
	case f.Visits.known() != "" && f.Visits != "0":
		return Elsewhere
	case strings.HasPrefix(state, "HIT-SYNTH"), strings.HasPrefix(state, "ERROR"):
		return Proxy
	case state == "HIT", strings.HasPrefix(state, "HIT-"):
		return Cache
	}
	return Origin
}

// text is a JSON string or number. Unlike encoding/json, it does not replace bytes that are not UTF-8:
// statistics must see that they are invalid.
type text string

func (t text) known() string { return known(string(t)) }

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '"':
	case 'n':
		return nil
	case '{', '[':
		return errors.New("a value is not a text")
	default:
		*t = text(b)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if !utf8.Valid(b) {
		s = strings.ReplaceAll(s, string(utf8.RuneError), "\xff")
	}
	*t = text(s)
	return nil
}

package logs

import (
	"encoding/json"
	"errors"
	"strings"
)

// logpush is one line of Cloudflare's Logpush of HTTP requests.
// https://developers.cloudflare.com/logs/logpush/logpush-job/datasets/zone/http_requests/
type logpush struct {
	EdgeStartTimestamp     text
	ClientRequestHost      text
	ClientRequestMethod    text
	ClientRequestURI       text
	ClientRequestSource    text
	EdgeResponseStatus     text
	CacheCacheStatus       text
	ClientIP               text
	ClientCountry          text
	ClientRequestUserAgent text
	ClientRequestReferer   text
	RayID                  text
	RequestHeaders         map[string]text // the custom fields of the job
}

func parseLogpush(line []byte) (Entry, error) {
	var l logpush
	if err := json.Unmarshal(line, &l); err != nil || l.EdgeStartTimestamp == "" || l.EdgeResponseStatus == "" {
		return Entry{}, errors.New("it must be a JSON object with the fields of Logpush for HTTP requests")
	}
	at, err := parseTime(string(l.EdgeStartTimestamp))
	if err != nil {
		return Entry{}, err
	}
	status, err := parseStatus(string(l.EdgeResponseStatus))
	if err != nil {
		return Entry{}, err
	}
	header := func(name string) string {
		for field, value := range l.RequestHeaders {
			if strings.EqualFold(field, name) {
				return value.known()
			}
		}
		return ""
	}
	e := Entry{
		At: at, Method: string(l.ClientRequestMethod), Host: string(l.ClientRequestHost), URI: string(l.ClientRequestURI), Status: status,
		HasID: l.RayID != "", Answer: l.answer(), Private: isPrivate(header("Sec-GPC"), header("DNT")),
	}
	e.Visit.Address = parseAddr(string(l.ClientIP))
	e.Visit.Country, e.Visit.UserAgent, e.Visit.Referrer = string(l.ClientCountry), string(l.ClientRequestUserAgent), string(l.ClientRequestReferer)
	e.Visit.Language, e.Visit.Prefetch = header("Accept-Language"), isPrefetch(header("Sec-Purpose"))
	return e, nil
}

// answer reads CacheCacheStatus. Logpush also has requests that Cloudflare's own programs send for the
// request of a visitor: answer returns Elsewhere for them.
func (l *logpush) answer() Answer {
	switch l.ClientRequestSource {
	case "", "unknown", "eyeball", "orangeToOrange":
	default:
		return Elsewhere
	}
	switch strings.ToLower(string(l.CacheCacheStatus)) {
	case "":
		return Unknown
	case "hit", "stale", "updating", "stream_hit":
		return Cache
	case "none", "unknown": // a redirect rule, or the firewall
		return Proxy
	}
	return Origin
}

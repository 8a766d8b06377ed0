package api

import (
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// writeJSON writes the body of an answer as JSON.
func writeJSON(w io.Writer, v any) error {
	switch body := v.(type) {
	case linkBody:
		_, err := w.Write(append(appendLink(nil, &body), '\n'))
		return err
	case listBody:
		return writeList(w, &body)
	}
	return huma.DefaultJSONFormat.Marshal(w, v)
}

// writeList writes a list with the same bytes as encoding/json.
func writeList(w io.Writer, l *listBody) error {
	text := append(make([]byte, 0, 1024*(1+len(l.Links))), `{"links":[`...)
	for i := range l.Links {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendLink(text, &l.Links[i])
	}
	text = appendText(append(text, `],"next_cursor":`...), l.NextCursor)
	for i, shard := range l.UnavailableShards {
		if i == 0 {
			text = append(text, `,"unavailable_shards":[`...)
		} else {
			text = append(text, ',')
		}
		text = appendText(text, shard)
	}
	if len(l.UnavailableShards) > 0 {
		text = append(text, ']')
	}
	_, err := w.Write(append(text, "}\n"...))
	return err
}

// appendLink appends l with the same bytes as encoding/json, but much faster.
func appendLink(to []byte, l *linkBody) []byte {
	if to == nil {
		to = make([]byte, 0, 512+len(l.URL))
	}
	to = appendText(append(to, `{"code":`...), l.Code)
	to = appendText(append(to, `,"domain":`...), l.Domain)
	to = appendText(append(to, `,"short_url":`...), l.ShortURL)
	to = appendText(append(to, `,"url":`...), l.URL)
	to = appendText(append(to, `,"title":`...), l.Title)
	to = append(to, `,"tags":[`...)
	for i, tag := range l.Tags {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendText(to, tag)
	}
	to = strconv.AppendInt(append(to, `],"status":`...), int64(l.Status), 10)
	to = appendText(append(to, `,"forward_query":`...), l.ForwardQuery)
	to = appendText(append(to, `,"forward_path":`...), l.ForwardPath)
	to = l.Rules.append(append(to, `,"rules":`...))
	to = appendText(append(to, `,"state":`...), l.State)
	to = appendTime(append(to, `,"starts_at":`...), l.StartsAt)
	to = appendTime(append(to, `,"expires_at":`...), l.ExpiresAt)
	to = strconv.AppendInt(append(to, `,"max_clicks":`...), l.MaxClicks, 10)
	to = strconv.AppendInt(append(to, `,"used_clicks":`...), l.UsedClicks, 10)
	to = strconv.AppendBool(append(to, `,"confirm":`...), l.Confirm)
	to = strconv.AppendBool(append(to, `,"no_visitors":`...), l.NoVisitors)
	to = strconv.AppendBool(append(to, `,"password_protected":`...), l.PasswordProtected)
	to = appendText(append(to, `,"disabled_reason":`...), l.DisabledReason)
	to = appendText(append(to, `,"owner":`...), l.Owner)
	to = strconv.AppendInt(append(to, `,"clicks":`...), l.Clicks, 10)
	to = strconv.AppendInt(append(to, `,"robots":`...), l.Robots, 10)
	to = appendTime(append(to, `,"last_click_at":`...), l.LastClickAt)
	to = appendTime(append(to, `,"created_at":`...), &l.CreatedAt)
	to = appendTime(append(to, `,"updated_at":`...), &l.UpdatedAt)
	to = strconv.AppendInt(append(to, `,"version":`...), l.Version, 10)
	return append(to, '}')
}

// appendText appends a string in quotes, escaped if necessary.
func appendText(to []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendEscaped(to, s)
		}
	}
	return append(append(append(to, '"'), s...), '"')
}

// appendEscaped appends a string that may need escaping.
func appendEscaped(to []byte, s string) []byte {
	out := appender{to}
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)                   // never fails for a string and an appender
	return out.bytes[:len(out.bytes)-1] // without the line break
}

// appender is an io.Writer that appends to bytes. It never fails.
type appender struct{ bytes []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.bytes = append(a.bytes, p...)
	return len(p), nil
}

// appendTime appends a time in quotes, or null.
func appendTime(to []byte, t *time.Time) []byte {
	if t == nil {
		return append(to, "null"...)
	}
	return append(t.AppendFormat(append(to, '"'), time.RFC3339Nano), '"')
}

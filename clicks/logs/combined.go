package logs

import (
	"errors"
	"strings"
	"time"
)

// combinedTime is the time in the combined format.
const combinedTime = "02/Jan/2006:15:04:05 -0700"

var errCombined = errors.New(`it must be ADDRESS - USER [TIME] "REQUEST" STATUS BYTES "REFERRER" "USER AGENT"`)

// parseCombined reads the combined format of Apache, which is the default of nginx. More fields may
// follow.
// https://httpd.apache.org/docs/2.4/logs.html#combined
func parseCombined(line []byte) (Entry, error) {
	text := string(line)
	address, rest, _ := strings.Cut(text, " ")
	// The servers escape the quotes in the name of the user.
	end := strings.Index(rest, `] "`)
	if end < 0 {
		return Entry{}, errCombined
	}
	start := strings.LastIndexByte(rest[:end], '[')
	if start < 0 {
		return Entry{}, errCombined
	}
	at, err := time.Parse(combinedTime, rest[start+1:end])
	if err != nil {
		return Entry{}, errTime
	}
	if at, err = validTime(at); err != nil {
		return Entry{}, err
	}
	request, rest, ok := quoted(rest[end+2:])
	numbers, quotes, found := strings.Cut(rest, ` "`)
	fields := strings.Fields(numbers)
	if !ok || !found || len(fields) != 2 {
		return Entry{}, errCombined
	}
	status, err := parseStatus(fields[0])
	if err != nil {
		return Entry{}, err
	}
	referrer, rest, ok := quoted(`"` + quotes)
	agent, _, agentOK := quoted(strings.TrimPrefix(rest, " "))
	if !ok || !agentOK {
		return Entry{}, errCombined
	}
	e := Entry{At: at, Status: status}
	e.Method, e.URI = splitRequest(request)
	e.Visit.Address = parseAddr(address)
	e.Visit.Referrer, e.Visit.UserAgent = known(referrer), known(agent)
	return e, nil
}

// splitRequest splits the first line of a request. Both results are empty if it is malformed.
func splitRequest(line string) (method, uri string) {
	method, rest, _ := strings.Cut(line, " ")
	end := strings.LastIndex(rest, " HTTP/")
	if end < 0 {
		return "", ""
	}
	return method, rest[:end]
}

// quoted returns the text in quotes at the start of s, without escapes, and what follows it.
func quoted(s string) (text, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", "", false
	}
	escaped := false
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			text = s[1:i]
			if escaped {
				text = unescape(text)
			}
			return text, s[i+1:], true
		}
	}
	return "", "", false
}

// unescape decodes the escapes of nginx and Apache. Other text stays as it is.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if s[i] == 'x' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
			continue
		}
		if at := strings.IndexByte(`"\nrtbv`, s[i]); at >= 0 {
			b.WriteByte("\"\\\n\r\t\b\v"[at])
			continue
		}
		b.WriteByte('\\')
		b.WriteByte(s[i])
	}
	return b.String()
}

func isHex(b byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", b) >= 0 }

func unhex(b byte) byte {
	switch {
	case b <= '9':
		return b - '0'
	case b >= 'a':
		return b - 'a' + 10
	}
	return b - 'A' + 10
}

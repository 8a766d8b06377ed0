package api_test

import (
	"testing"

	"github.com/terse/terse/api"
)

func TestParseBaseURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"https://sho.rt", "https://sho.rt"},
		{"http://localhost:8080", "http://localhost:8080"},
		{"https://sho.rt:443", "https://sho.rt"},
		{"http://sho.rt:80", "http://sho.rt"},
		{"http://sho.rt:443", "http://sho.rt:443"},
		{"http://[::1]:8080", "http://[::1]:8080"},
		{"http://127.0.0.1", "http://127.0.0.1"},
		{"https://bücher.example", "https://xn--bcher-kva.example"},
		{"https://BÜCHER.example:8443", "https://xn--bcher-kva.example:8443"},
		{"", ""},
		{"sho.rt", ""},
		{"ftp://sho.rt", ""},
		{"https://", ""},
		{"https://sho.rt/", ""},
		{"https://sho.rt/x", ""},
		{"https://sho.rt?x", ""},
		{"https://sho.rt#x", ""},
		{"https://u@sho.rt", ""},
		{"https://sho rt", ""},
		{"https://sho.rt:x", ""},
		{"https://sho.rt:99999", ""},
		{"https://256.1.1.1", ""},
	} {
		u, err := api.ParseBaseURL(tt.in)
		switch {
		case tt.want == "" && err == nil:
			t.Errorf("ParseBaseURL(%q) = %v, want an error", tt.in, u)
		case tt.want != "" && (err != nil || u.String() != tt.want):
			t.Errorf("ParseBaseURL(%q) = %v, %v, want %s", tt.in, u, err, tt.want)
		}
	}
}

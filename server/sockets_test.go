package server_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/terse/terse/server"
)

// TestInheritedNeedsItsEnvironment holds that sockets for another process are left
// alone, and that what is wrong is named.
func TestInheritedNeedsItsEnvironment(t *testing.T) {
	t.Parallel()
	self := strconv.Itoa(os.Getpid())
	for _, tt := range []struct {
		name    string
		environ map[string]string
		want    string // empty: no error
	}{
		{"nothing", nil, ""},
		{"another process", map[string]string{"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"}, ""},
		{"no number", map[string]string{"LISTEN_PID": self, "LISTEN_FDS": "x"}, `LISTEN_FDS: "x"`},
		{"no socket", map[string]string{"LISTEN_PID": self, "LISTEN_FDS": "0"}, `LISTEN_FDS: "0"`},
		{"a name too few", map[string]string{"LISTEN_PID": self, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"}, `"a" must name 2`},
	} {
		sockets, err := server.Inherited(func(name string) string { return tt.environ[name] })
		if len(sockets) != 0 || (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Inherited() = %v, %v, want an error with %q", tt.name, sockets, err, tt.want)
		}
	}
}

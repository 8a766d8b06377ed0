package cdn

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestPause checks for how long requests are kept back after a 429, by its Retry-After.
func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		for _, tt := range []struct {
			after string
			want  time.Duration
		}{
			{"7", 7 * time.Second},
			{" 7 ", 7 * time.Second},
			{in(30 * time.Second), 30 * time.Second},
			{in(-time.Hour), time.Second},
			{"86400", longestPause},
			{in(24 * time.Hour), longestPause},
			{"", 10 * time.Second},
			{"0", 10 * time.Second},
			{"-1", 10 * time.Second},
			{"soon", 10 * time.Second},
		} {
			var p Purger
			p.pause(tt.after)
			if got := time.Until(time.Unix(0, p.paused.Load())); got != tt.want {
				t.Errorf("pause(%q) lasts %v, want %v", tt.after, got, tt.want)
			}
		}
	})
}

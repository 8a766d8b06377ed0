package ratelimit_test

import (
	"testing"
	"time"

	"github.com/terse/terse/api/ratelimit"
)

func TestParseLimit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		want ratelimit.Limit
		text string
	}{
		{"off", ratelimit.Limit{}, "off"},
		{"60/1m", ratelimit.Limit{Count: 60, Window: time.Minute}, "60/1m"},
		{"40/20s", ratelimit.Limit{Count: 40, Window: 20 * time.Second}, "40/20s"},
		{"10/10m", ratelimit.Limit{Count: 10, Window: 10 * time.Minute}, "10/10m"},
		{"1/60m", ratelimit.Limit{Count: 1, Window: time.Hour}, "1/1h"},
		{"5/90s", ratelimit.Limit{Count: 5, Window: 90 * time.Second}, "5/1m30s"},
		{"5/1h10s", ratelimit.Limit{Count: 5, Window: time.Hour + 10*time.Second}, "5/1h0m10s"},
		{"5/8760h", ratelimit.Limit{Count: 5, Window: ratelimit.MaxWindow}, "5/8760h"},
		{"1000000/1s", ratelimit.Limit{Count: 1_000_000, Window: time.Second}, "1000000/1s"},
	} {
		got, err := ratelimit.ParseLimit(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("ParseLimit(%q) = %v, %v, want %v", tt.in, got, err, tt.want)
		}
		if got.String() != tt.text {
			t.Errorf("ParseLimit(%q).String() = %q, want %q", tt.in, got, tt.text)
		}
	}
}

func TestParseLimitRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", "60", "60/", "/1m", "0/1m", "-1/1m", "+1/1m", "1e3/1m", "60/1", "60/-1m", "60/0s", "60/500ms", "60/1500ms",
		"60/1m/1m", " 60/1m", "60/1m ", "1000001/1m", "99999999999999999999/1m", "1/8761h", "OFF",
	} {
		if got, err := ratelimit.ParseLimit(in); err == nil {
			t.Errorf("ParseLimit(%q) = %v, want an error", in, got)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ count, n, want int }{
		{10, 16, 160}, {1, 1, 1}, {ratelimit.MaxCount, 1, ratelimit.MaxCount}, {ratelimit.MaxCount / 2, 16, ratelimit.MaxCount},
	} {
		got := ratelimit.Limit{Count: tt.count, Window: time.Minute}.Times(tt.n)
		if want := (ratelimit.Limit{Count: tt.want, Window: time.Minute}); got != want {
			t.Errorf("%d/1m times %d = %v, want %v", tt.count, tt.n, got, want)
		}
	}
	if got := (ratelimit.Limit{}).Times(16); !got.Off() {
		t.Errorf("off times 16 = %v, want off", got)
	}
}

func FuzzParseLimit(f *testing.F) {
	for _, s := range []string{"60/1m", "off", "1/1h0m1s", "0/1m", "1/1us"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ratelimit.ParseLimit(s)
		if err != nil {
			return
		}
		again, err := ratelimit.ParseLimit(l.String())
		if err != nil || again != l {
			t.Errorf("ParseLimit(%q) = %v, but ParseLimit(%q) = %v, %v", s, l, l.String(), again, err)
		}
		r, err := ratelimit.NewLocal(ratelimit.LocalOptions{}).Take(t.Context(), "k", l, 1)
		if err != nil || r.Allowed != 1 {
			t.Errorf("first Take of an accepted limit %v = %+v, %v, want one permit", l, r, err)
		}
	})
}

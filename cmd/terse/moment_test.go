package main

import (
	"testing"
	"time"
)

func TestParseMoment(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, tt := range []struct {
		text string
		want time.Time // zero: an error
	}{
		{"30d", now.Add(30 * day)},
		{"2w", now.Add(14 * day)},
		{"1w2d3h", now.Add(9*day + 3*time.Hour)},
		{"720h", now.Add(30 * day)},
		{"2027-06-01", time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC)},
		{"2027-06-01T09:00+02:00", time.Date(2027, 6, 1, 7, 0, 0, 0, time.UTC)},
		{"2027-06-01T09:00:30Z", time.Date(2027, 6, 1, 9, 0, 30, 0, time.UTC)},
		{"", time.Time{}},
		{"0d", time.Time{}},
		{"-3d", time.Time{}},
		{"d", time.Time{}},
		{"3d2w", time.Time{}},
		{"99999999w", time.Time{}},
		{"2026-06-01", time.Time{}},
		{"2027-06-01T09:00", time.Time{}},
		{"tomorrow", time.Time{}},
	} {
		got, err := parseMoment("--expires", tt.text, now)
		if (err != nil) != tt.want.IsZero() || !got.Equal(tt.want) {
			t.Errorf("parseMoment(%q) = %v, %v, want %v", tt.text, got, err, tt.want)
		}
	}
}

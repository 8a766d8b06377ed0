package web

import (
	"fmt"
	"math"
	"time"
)

// formatDate formats a time in UTC, because the server does not know the visitor's
// time zone.
func formatDate(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// formatWait formats a waiting time, rounded up: seconds below two minutes,
// minutes below two hours, then hours.
func formatWait(d time.Duration) string {
	switch {
	case d <= time.Second:
		return "1 second"
	case d < 2*time.Minute:
		return ceil(d, time.Second, "seconds")
	case d < 2*time.Hour:
		return ceil(d, time.Minute, "minutes")
	}
	return ceil(d, time.Hour, "hours")
}

func ceil(d, unit time.Duration, name string) string {
	return fmt.Sprintf("%.0f %s", math.Ceil(float64(d)/float64(unit)), name)
}

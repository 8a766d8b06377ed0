package remote

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestPanicReleasesTheBreaker checks that a round trip that panics does not block the round
// trips after it, when it is the one that a half-open breaker lets through.
func TestPanicReleasesTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &Cache{breaker: newBreaker(prometheus.NewGauge(prometheus.GaugeOpts{Name: "breaker_open", Help: "Open."}))}
		c.breaker.Open()
		time.Sleep(2 * breakDelay)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("roundTrip() does not pass the panic on")
				}
			}()
			_ = c.roundTrip(func() error { panic("in a round trip") })
		}()
		if !c.breaker.IsOpen() {
			t.Error("the breaker is not open after a panic")
		}
		time.Sleep(2 * breakDelay)
		if err := c.roundTrip(func() error { return nil }); err != nil {
			t.Errorf("roundTrip() = %v, want nil", err)
		}
	})
}

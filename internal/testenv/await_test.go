package testenv_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// recorder is a testing.TB that keeps the message of Fatalf.
type recorder struct {
	testing.TB
	failure string
}

func (*recorder) Helper() {}

func (r *recorder) Fatalf(format string, _ ...any) {
	r.failure = format
	runtime.Goexit()
}

func TestAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if took := testenv.Await(t, "a minute", func() bool { return time.Since(began) >= time.Minute }); took < time.Minute || took > 61*time.Second {
			t.Errorf("Await() = %v, want a minute", took)
		}
		r := &recorder{TB: t}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			testenv.AwaitWithin(r, time.Second, "nothing", func() bool { return false })
		}()
		<-ended
		if took := time.Since(began) - time.Minute; !strings.Contains(r.failure, "waited") || took > 3*time.Second {
			t.Errorf("AwaitWithin() failed with %q after %v, want a failure after a second", r.failure, took)
		}
	})
}

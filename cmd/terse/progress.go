package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
)

// progress draws a progress bar on a terminal. It prints nothing elsewhere.
type progress struct {
	w     io.Writer // nil: not a terminal
	began time.Time
	shown time.Time // of the last drawing
	total int64     // bytes; 0: unknown
}

// progressEvery is the shortest time between two drawings.
const progressEvery = 100 * time.Millisecond

func newProgress(w io.Writer, total int64) *progress {
	p := &progress{began: time.Now(), total: total}
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		p.w = w
	}
	return p
}

// barWidth is the width of the bar in characters.
const barWidth = 30

// show draws the bar, at most once every progressEvery. read is the number of bytes done,
// out of the total.
func (p *progress) show(links, failed, read int64) {
	now := time.Now()
	if p.w == nil || now.Sub(p.shown) < progressEvery {
		return
	}
	p.shown = now
	rate := float64(links) / max(now.Sub(p.began).Seconds(), 0.001)
	line := fmt.Sprintf("%d links, %.0f/s", links, rate)
	if failed > 0 {
		line += fmt.Sprintf(", %d failed", failed)
	}
	if p.total > 0 {
		done := min(float64(read)/float64(p.total), 1)
		full := int(done * barWidth)
		bar := strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
		line = fmt.Sprintf("%s %3.0f%% %s", bar, done*100, line)
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", line)
}

// clear removes the bar.
func (p *progress) clear() {
	if p.w != nil && !p.shown.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

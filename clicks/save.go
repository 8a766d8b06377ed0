package clicks

import (
	"context"
	"time"

	"github.com/terse/terse/store"
)

// maxSaved is about how many bytes of batches are written to one file.
const maxSaved = 4 << 20

// keep saves clicks every FlushEvery while the sink does not accept them, until ctx ends. So a killed
// process loses the clicks of one FlushEvery, as with a sink that works.
func (r *Recorder) keep(ctx context.Context) {
	if r.opts.Spool == nil {
		return
	}
	tick := time.NewTicker(r.opts.FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.unsaved:
		}
		if r.isBehind() {
			r.save(ctx)
		}
	}
}

// isBehind reports whether the latest flush failed, or runs for longer than FlushEvery.
func (r *Recorder) isBehind() bool {
	return r.failing.Load() || time.Since(time.Unix(0, r.settled.Load())) >= 2*r.opts.FlushEvery
}

// save moves all clicks that were recorded before the call from memory to the spool. If there is no
// spool, or it is full or does not work, the clicks stay in memory.
func (r *Recorder) save(ctx context.Context) {
	if r.opts.Spool == nil {
		return
	}
	r.saving.Lock()
	defer r.saving.Unlock()
	err := r.saveBacklog(ctx)
	if err == nil { // else new batches would fill the memory sooner than open days
		r.aggregate(ctx)
		r.mu.Lock()
		r.cut()
		r.mu.Unlock()
		err = r.saveBacklog(ctx)
	}
	if err != nil {
		r.metrics.unsaved.Inc()
	}
	if failing := err != nil; failing != r.saveFailing {
		r.saveFailing = failing
		if failing {
			r.log.ErrorContext(ctx, "clicks not written to the spool, they wait in memory", "err", err)
		} else {
			r.log.InfoContext(ctx, "clicks are written to the spool again")
		}
	}
}

// saveBacklog writes the batches in memory to files, oldest first, and stops at the first error.
func (r *Recorder) saveBacklog(ctx context.Context) error {
	for {
		part, cut := r.unsavedPart()
		if len(part) == 0 {
			return nil
		}
		f, err := r.opts.Spool.Write(r.shard, cut, part)
		if err != nil {
			return err
		}
		if !r.moved(&saved{File: f, clicks: f.Clicks}, part) {
			if err := f.Remove(); err != nil {
				r.log.WarnContext(ctx, "a file of clicks that were flushed was not removed, the next start sends it again", "err", err)
			}
		}
	}
}

// unsavedPart returns the oldest batches in memory, at most about maxSaved bytes, and the time when
// the first one was cut.
func (r *Recorder) unsavedPart() (part []store.ClickBatch, cut time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := 0
	for _, c := range r.backlog.memory {
		if size += sizeOf(c.ClickBatch); size > maxSaved && len(part) > 0 {
			break
		}
		if len(part) == 0 {
			cut = c.at
		}
		part = append(part, c.ClickBatch)
	}
	return part, cut
}

// moved replaces the batches of part by their file. It returns false if the sink has acknowledged all
// of them since then.
func (r *Recorder) moved(f *saved, part []store.ClickBatch) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for f.sent < len(part) && (len(r.backlog.memory) == 0 || part[f.sent].Seq < r.backlog.memory[0].Seq) {
		f.clicks -= part[f.sent].Clicks()
		f.sent++
	}
	if f.sent == len(part) {
		return false
	}
	r.backlog.cutMemory(len(part) - f.sent)
	r.backlog.files = append(r.backlog.files, f)
	r.spooled.Add(f.clicks)
	return true
}

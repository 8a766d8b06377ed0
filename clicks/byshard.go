package clicks

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/clicks/spool"
)

// ByShard counts the clicks of each shard with a Recorder of its own, so that an unreachable
// shard does not delay the clicks of the others. Safe for concurrent use.
type ByShard struct {
	recorders []*Recorder
	shardOf   func(code string) int
}

// NewByShard returns a ByShard with a Recorder of opts for each shard. The names of the shards
// are labels of their metrics; at least one is required. shardOf returns the position of a
// code's shard in names, or a negative number when it is unknown.
func NewByShard(opts Options, names []string, shardOf func(code string) int) (*ByShard, error) {
	if len(names) == 0 || shardOf == nil || opts.Registerer == nil {
		return nil, errors.New("clicks: names, shardOf and Registerer are required")
	}
	b := &ByShard{shardOf: shardOf}
	left := leftByShard(opts.Spool, names)
	for i, name := range names {
		of := opts
		of.Registerer = prometheus.WrapRegistererWith(prometheus.Labels{"shard": name}, opts.Registerer)
		r, err := newRecorder(of, name, left[i])
		if err != nil {
			return nil, errors.Join(err, b.Close(context.Background()))
		}
		b.recorders = append(b.recorders, r)
	}
	return b, nil
}

// leftByShard divides the files of earlier processes. The first shard gets the files of shards that are
// not in names any more. The sink knows where their links are.
func leftByShard(from *spool.Spool, names []string) [][]*spool.File {
	left := make([][]*spool.File, len(names))
	if from == nil {
		return left
	}
	for _, f := range from.Left() {
		i := max(0, slices.Index(names, f.Shard))
		left[i] = append(left[i], f)
	}
	return left
}

// Record counts one click with the Recorder of the link's shard, or with the first one when the
// shard is unknown. See Recorder.Record.
func (b *ByShard) Record(c Click) {
	b.recorders[max(0, b.shardOf(c.Key))].Record(c)
}

// Close closes all Recorders at the same time, so that a slow shard does not delay the others.
// See Recorder.Close.
func (b *ByShard) Close(ctx context.Context) error {
	errs := make([]error, len(b.recorders))
	var wg sync.WaitGroup
	for i, r := range b.recorders {
		wg.Go(func() { errs[i] = r.Close(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

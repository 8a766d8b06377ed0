package clicks

import (
	"context"
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
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
	for _, name := range names {
		of := opts
		of.Registerer = prometheus.WrapRegistererWith(prometheus.Labels{"shard": name}, opts.Registerer)
		r, err := New(of)
		if err != nil {
			return nil, errors.Join(err, b.Close(context.Background()))
		}
		b.recorders = append(b.recorders, r)
	}
	return b, nil
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

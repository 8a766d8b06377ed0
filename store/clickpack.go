package store

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// MaxClickBatch is the most bytes that ClickBatch.Days may have before compression: 64 MiB.
const MaxClickBatch = 64 << 20

// The first byte of packed days.
const (
	packedPlain byte = 1
	packedZstd  byte = 2
)

// packedFrom is the least size in bytes that is compressed.
const packedFrom = 1 << 10

// PackClickDays packs ClickBatch.Days into one byte slice for adapters, and returns it with its
// length before compression. Without days the slice is empty. It returns an error that wraps ErrClickDay if a day is
// invalid, or if the days are larger than MaxClickBatch.
func PackClickDays(days []ClickDay) (packed []byte, size int, err error) {
	if len(days) == 0 {
		return nil, 0, nil
	}
	for i := range days {
		if err := days[i].ValidateAdded(); err != nil {
			return nil, 0, err
		}
		size += len(days[i].Key) + len(days[i].Data) + 3*binary.MaxVarintLen32
	}
	if size > MaxClickBatch {
		return nil, 0, fmt.Errorf("%w: a batch of %d bytes is larger than %d", ErrClickDay, size, MaxClickBatch)
	}
	plain := append(make([]byte, 0, size+1), packedPlain)
	for i := range days {
		d := &days[i]
		plain = binary.AppendUvarint(plain, uint64(len(d.Key)))
		plain = append(plain, d.Key...)
		plain = binary.AppendUvarint(plain, uint64(d.Day)) //nolint:gosec // not negative
		plain = binary.AppendUvarint(plain, uint64(len(d.Data)))
		plain = append(plain, d.Data...)
	}
	if len(plain) < packedFrom {
		return plain, len(plain), nil
	}
	return packer().EncodeAll(plain[1:], []byte{packedZstd}), len(plain), nil
}

// UnpackClickDays returns the days that PackClickDays has packed. The days share one buffer.
func UnpackClickDays(packed []byte) ([]ClickDay, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	body := packed[1:]
	switch packed[0] {
	case packedPlain:
		body = slices.Clone(body)
	case packedZstd:
		var err error
		if body, err = unpacker().DecodeAll(body, nil); err != nil {
			return nil, fmt.Errorf("unpack days of clicks: %w", err)
		}
	default:
		return nil, fmt.Errorf("unpack days of clicks: unknown format %d", packed[0])
	}
	r := unpacking{rest: body}
	var days []ClickDay
	for len(r.rest) > 0 {
		d := ClickDay{Key: string(r.bytes()), Day: int32(r.number(MaxClickDay)), Data: r.bytes()} //nolint:gosec // at most MaxClickDay
		if r.short {
			return nil, fmt.Errorf("unpack days of clicks: day %d is incomplete", len(days))
		}
		if d.Key == "" { // of all links
			d.Kind = ClickLost
		}
		days = append(days, d)
	}
	return days, nil
}

// unpacking reads numbers and byte strings from rest until one is invalid.
type unpacking struct {
	rest  []byte
	short bool
}

func (r *unpacking) number(most uint64) uint64 {
	n, read := binary.Uvarint(r.rest)
	if read <= 0 || n > most {
		r.short, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[read:]
	return n
}

func (r *unpacking) bytes() []byte {
	n := r.number(uint64(len(r.rest)))
	if n > uint64(len(r.rest)) {
		r.short, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

var packer = sync.OnceValue(func() *zstd.Encoder {
	return must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20)))
})

var unpacker = sync.OnceValue(func() *zstd.Decoder {
	return must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxClickBatch)))
})

// must returns v. It panics if a constant option is invalid.
func must[T any](v T, err error) T {
	if err != nil {
		panic("store: " + err.Error())
	}
	return v
}

// WaitingClicks collects the days of the batches in one fold. Adapters add the batches, oldest first.
type WaitingClicks struct {
	days      []ClickDay
	forgotten map[string]int // by key: how many days were added before Forget
}

// Add adds packed days.
func (w *WaitingClicks) Add(packed []byte) error {
	days, err := UnpackClickDays(packed)
	w.days = append(w.days, days...)
	return err
}

// Forget drops the days of a link that were added so far. The adapter must delete its stored days.
func (w *WaitingClicks) Forget(key string) {
	if w.forgotten == nil {
		w.forgotten = map[string]int{}
	}
	w.forgotten[key] = len(w.days)
}

// Forgotten returns the keys of forgotten links, sorted.
func (w *WaitingClicks) Forgotten() []string { return slices.Sorted(maps.Keys(w.forgotten)) }

// Days returns the days that are to be merged.
func (w *WaitingClicks) Days() []ClickDay {
	var kept []ClickDay
	for i := range w.days {
		if i >= w.forgotten[w.days[i].Key] {
			kept = append(kept, w.days[i])
		}
	}
	return kept
}

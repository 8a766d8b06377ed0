package day

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/axiomhq/hyperloglog"
)

// visitors is a set of visitors: a HyperLogLog sketch with 2^14 registers. The newest hashes wait
// in a list, so that a day with few clicks needs no sketch.
type visitors struct {
	recent []uint64
	sketch *hyperloglog.Sketch // nil is empty
}

// maxRecent is how many hashes wait before they go into the sketch.
const maxRecent = 32

func (v *visitors) add(hash uint64) {
	if slices.Contains(v.recent, hash) {
		return
	}
	if len(v.recent) == maxRecent {
		v.settle()
	}
	v.recent = append(v.recent, hash)
}

// settle moves the waiting hashes into the sketch.
func (v *visitors) settle() {
	if len(v.recent) == 0 {
		return
	}
	if v.sketch == nil {
		v.sketch = hyperloglog.New14()
	}
	for _, hash := range v.recent {
		v.sketch.InsertHash(hash)
	}
	v.recent = v.recent[:0]
}

func (v *visitors) merge(o *visitors) {
	for _, hash := range o.recent {
		v.add(hash)
	}
	if o.sketch == nil {
		return
	}
	if v.sketch == nil {
		v.sketch = hyperloglog.New14()
	}
	if err := v.sketch.Merge(o.sketch); err != nil {
		panic(err) // all sketches here have the same precision
	}
}

func (v *visitors) estimate() int64 {
	v.settle()
	if v.sketch == nil {
		return 0
	}
	return int64(v.sketch.Estimate()) //nolint:gosec // an estimate of what was counted one by one
}

func (v *visitors) size() int {
	size := 8 * cap(v.recent)
	if v.sketch != nil {
		size += 1 << 14
	}
	return size
}

// The binary form of a sketch is a header and then either the keys of few visitors or all registers.
// Only what follows the header is stored; the header is derived from it.
var (
	sparseHeader = []byte{2, 14, 0, 1, 0, 0, 0, 0}
	denseHeader  = []byte{2, 14, 0, 0, 0, 0, 0x40, 0}
)

const (
	noVisitors = 0
	registers  = 1  // 2^14 registers follow
	keys       = 2  // from here on: n-1 bytes of keys follow
	sparseRest = 12 // count, last key, length
	registersN = 1 << 14
)

// append appends the packed form.
func (v *visitors) append(to []byte) []byte {
	if v.estimate() == 0 { // Estimate also sorts the keys
		return append(to, noVisitors)
	}
	b, err := v.sketch.MarshalBinary()
	if err != nil {
		panic(err) // only for a sketch without a precision
	}
	if b[3] == denseHeader[3] {
		return append(append(to, registers), b[len(denseHeader):]...)
	}
	list := b[len(sparseHeader)+sparseRest:]
	return append(binary.AppendUvarint(to, uint64(len(list))+keys-1), list...)
}

var errVisitors = errors.New("malformed visitors")

// read reads the packed form from the start of b and returns what follows it.
func (v *visitors) read(b []byte) ([]byte, error) {
	kind, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, errVisitors
	}
	b = b[n:]
	var full []byte
	switch kind {
	case noVisitors:
		return b, nil
	case registers:
		n = registersN
		if len(b) < n {
			return nil, errVisitors
		}
		full = append(slices.Clone(denseHeader), b[:n]...)
	default:
		if kind-(keys-1) > uint64(len(b)) {
			return nil, errVisitors
		}
		n = int(kind - (keys - 1)) //nolint:gosec // at most len(b)
		full = sparse(b[:n])
	}
	v.sketch = new(hyperloglog.Sketch)
	if err := v.sketch.UnmarshalBinary(full); err != nil {
		return nil, errVisitors
	}
	return b[n:], nil
}

// sparse returns the binary form of a sketch with a list of keys.
func sparse(list []byte) []byte {
	var count, last uint32
	for rest := list; len(rest) > 0; count++ {
		delta, n := binary.Uvarint(rest)
		if n <= 0 {
			break // refused by the sketch
		}
		last += uint32(delta) //nolint:gosec // checked by the sketch
		rest = rest[n:]
	}
	b := slices.Grow(slices.Clone(sparseHeader), sparseRest+len(list))
	b = binary.BigEndian.AppendUint32(b, count)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(len(list))) //nolint:gosec // bounded by the packed day
	return append(b, list...)
}

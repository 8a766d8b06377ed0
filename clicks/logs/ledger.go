package logs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// recorder is the name under which databases remember how far a log was read. It depends on the
// first headLen bytes, and on all bytes of a shorter log.
func recorder(head []byte) string {
	sum := sha256.Sum256(head)
	return "log:" + hex.EncodeToString(sum[:16])
}

// recorders returns the possible names of a log: its present name, and each name that it had while it
// was shorter than headLen. A log grows by lines, and its last line may lack the line break.
func recorders(head []byte) []string {
	names := []string{recorder(head)}
	for end := 0; ; {
		n := bytes.IndexByte(head[end:], '\n')
		if n < 0 {
			return names
		}
		names = append(names, recorder(head[:end+n]), recorder(head[:end+n+1]))
		end += n + 1
	}
}

// counted returns for each database how many bytes of a log were counted before.
func (i *Importer) counted(ctx context.Context, head []byte) ([]int64, error) {
	names := recorders(head)
	offsets := make([]int64, len(i.opts.Databases))
	for n, d := range i.opts.Databases {
		var found map[string]int64
		err := i.patiently(ctx, func() (err error) {
			found, err = d.Ledger.ClickSequences(ctx, names)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("logs: %s: %w", d.Name, err)
		}
		for _, seq := range found {
			offsets[n] = max(offsets[n], seq)
		}
	}
	return offsets, nil
}

package links

import (
	"context"

	"github.com/terse/terse/store"
)

// Delete turns a link into a tombstone. Its code never goes to another owner, see
// isReplaceable. Delete returns store.ErrGone for a link that is deleted already.
func (s *Service) Delete(ctx context.Context, who *Caller, code string, versions Versions) error {
	ctx = authored(ctx, who, "")
	for _, get := range s.readers() {
		l, err := s.read(ctx, who, Editing, get, code)
		if err != nil {
			return err
		}
		var version int64 // 0: any version
		if versions != nil && l.DeletedAt.IsZero() {
			if !versions.allow(l.Version) {
				continue
			}
			version = l.Version
		}
		_, err = s.opts.Store.Delete(ctx, code, version, s.now())
		return err
	}
	return store.ErrVersion
}

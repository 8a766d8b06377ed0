package store_test

import (
	"errors"
	"testing"

	"github.com/terse/terse/store"
)

func TestRoomForReports(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		open store.OpenReports
		want error
	}{
		"none":                           {store.OpenReports{}, nil},
		"own":                            {store.OpenReports{OfClientAndLink: 1, OfLink: store.MaxReportsPerLink, OfReason: store.MaxOpenReports}, store.ErrReported},
		"almost enough about the link":   {store.OpenReports{OfLink: store.MaxReportsPerLink - 1}, nil},
		"enough about the link":          {store.OpenReports{OfLink: store.MaxReportsPerLink, OfReason: store.MaxOpenReports}, store.ErrEnough},
		"almost too many of the client":  {store.OpenReports{OfClient: store.MaxReportsPerClient - 1}, nil},
		"too many of the client":         {store.OpenReports{OfClient: store.MaxReportsPerClient}, store.ErrFull},
		"half full, first of the link":   {store.OpenReports{OfReason: store.MaxOpenReports / 2}, nil},
		"half full, second of the link":  {store.OpenReports{OfLink: 1, OfReason: store.MaxOpenReports / 2}, store.ErrFull},
		"below half, second of the link": {store.OpenReports{OfLink: 1, OfReason: store.MaxOpenReports/2 - 1}, nil},
		"full":                           {store.OpenReports{OfReason: store.MaxOpenReports}, store.ErrFull},
	} {
		if got := tt.open.Room(); !errors.Is(got, tt.want) {
			t.Errorf("%s: Room() = %v, want %v", name, got, tt.want)
		}
	}
}

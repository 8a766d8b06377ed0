package shard_test

import (
	"testing"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Options{Open: func(tb testing.TB) store.Store { return loaded(tb, 3) }})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	storetest.RunKeys(t, func(tb testing.TB) store.Keys { return loaded(tb, 3) })
}

func TestHistory(t *testing.T) {
	t.Parallel()
	storetest.RunHistory(t, func(tb testing.TB) storetest.HistoryStore { return loaded(tb, 3) })
}

func TestTags(t *testing.T) {
	t.Parallel()
	storetest.RunTags(t, func(tb testing.TB) storetest.TagStore { return loaded(tb, 3) })
}

func TestBlocklist(t *testing.T) {
	t.Parallel()
	storetest.RunBlocklist(t, func(tb testing.TB) store.Blocklist { return loaded(tb, 3) })
}

func TestDomains(t *testing.T) {
	t.Parallel()
	storetest.RunDomains(t, func(tb testing.TB) store.Domains { return loaded(tb, 3) })
}

func TestReports(t *testing.T) {
	t.Parallel()
	storetest.RunReports(t, func(tb testing.TB) store.Reports { return loaded(tb, 3) })
}

func TestClicks(t *testing.T) {
	t.Parallel()
	storetest.RunClicks(t, func(tb testing.TB) (store.Store, store.ClickSink) {
		g := loaded(tb, 3)
		return g, g
	})
}

func TestClickDays(t *testing.T) {
	t.Parallel()
	storetest.RunClickDays(t, func(tb testing.TB) (storetest.ClickDaysStore, []store.ClickFolder) {
		g := loaded(tb, 3)
		var folders []store.ClickFolder
		for _, m := range g.members {
			folders = append(folders, m)
		}
		return g, folders
	})
}

func TestArchive(t *testing.T) {
	t.Parallel()
	storetest.RunArchive(t, func(tb testing.TB) (store.Store, store.Archive) {
		g := loaded(tb, 3)
		return g, g
	})
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	storetest.RunCertificates(t, func(tb testing.TB) store.Certificates { return loaded(tb, 3) })
}

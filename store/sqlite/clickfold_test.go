package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

// lastDay is a store.ClickMerge that keeps the last packed text of each link, after the stored one.
func lastDay(ctx context.Context, added []store.ClickDay, stored store.ClickRows) ([]store.ClickDay, error) {
	rows := map[string]store.ClickDay{}
	for _, d := range added {
		before, err := stored.Days(ctx, []store.ClickDay{d})
		if err != nil {
			return nil, err
		}
		for _, b := range before {
			d.Data = append(b.Data, d.Data...)
		}
		rows[d.Key] = d
	}
	var all []store.ClickDay
	for _, d := range rows {
		all = append(all, d)
	}
	return all, nil
}

// addDay creates a link, if it is new, and adds one click on day 1.
func addDay(t *testing.T, s *sqlite.Store, seq int64, code, text string) {
	t.Helper()
	if _, err := s.Create(t.Context(), childLink(code)); err != nil && !errors.Is(err, store.ErrExists) {
		t.Fatal(err)
	}
	err := s.AddClicks(t.Context(), store.ClickBatch{
		Recorder: "recorder", Seq: seq, Counts: []store.ClickCount{{Code: code, N: 1, Last: time.Now()}},
		Days: []store.ClickDay{{Key: code, Day: 1, Data: []byte(text)}},
	})
	if err != nil {
		t.Fatalf("AddClicks() = %v, want nil", err)
	}
}

func wantDay(t *testing.T, s *sqlite.Store, code, want string) {
	t.Helper()
	rows, err := s.ListClickDays(t.Context(), store.ClickLink, []string{code}, 0, 10)
	got := ""
	for _, r := range rows {
		got += string(r.Data)
	}
	if err != nil || got != want {
		t.Errorf("ListClickDays(%q) = %q, %v, want %q", code, got, err, want)
	}
}

// TestForgottenDuringFold deletes and resets links while a fold merges their clicks. The fold must
// not bring them back.
func TestForgottenDuringFold(t *testing.T) {
	t.Parallel()
	s := sqlitetest.Open(t)
	for i, code := range []string{"deleted", "reset", "kept"} {
		addDay(t, s, int64(i+1), code, "a")
	}
	n, err := s.FoldClicks(t.Context(), 10, func(ctx context.Context, added []store.ClickDay, stored store.ClickRows) ([]store.ClickDay, error) {
		if _, err := s.Delete(ctx, "deleted", 0, time.Now()); err != nil {
			t.Errorf("Delete() = %v, want nil", err)
		}
		if err := s.ResetClicks(ctx, "reset"); err != nil {
			t.Errorf("ResetClicks() = %v, want nil", err)
		}
		addDay(t, s, 4, "reset", "b")
		return lastDay(ctx, added, stored)
	})
	if n != 3 || err != nil {
		t.Errorf("FoldClicks() = %d, %v, want 3, nil", n, err)
	}
	wantDay(t, s, "deleted", "")
	wantDay(t, s, "reset", "")
	wantDay(t, s, "kept", "a")
	if n, err := s.FoldClicks(t.Context(), 10, lastDay); n != 3 || err != nil {
		t.Errorf("FoldClicks() = %d, %v, want 3, nil", n, err)
	}
	wantDay(t, s, "reset", "b")
}

// TestFoldOfAnotherProcess folds the same batches in a second Store during a fold. Only one of
// them may count.
func TestFoldOfAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir)
	addDay(t, s, 1, "link", "a")
	addDay(t, s, 2, "link", "b")
	n, err := s.FoldClicks(t.Context(), 10, func(ctx context.Context, added []store.ClickDay, stored store.ClickRows) ([]store.ClickDay, error) {
		if n, err := other.FoldClicks(ctx, 1, lastDay); n != 1 || err != nil {
			t.Errorf("FoldClicks() of the other = %d, %v, want 1, nil", n, err)
		}
		return lastDay(ctx, added, stored)
	})
	if n != 0 || !errors.Is(err, store.ErrBusy) {
		t.Errorf("FoldClicks() = %d, %v, want 0, %v", n, err, store.ErrBusy)
	}
	wantDay(t, s, "link", "a")
	if n, err := s.FoldClicks(t.Context(), 10, lastDay); n != 1 || err != nil {
		t.Errorf("FoldClicks() = %d, %v, want 1, nil", n, err)
	}
	wantDay(t, s, "link", "ab")
}

// TestSaltIsInNoFile searches the salt of a day in all files of the database. A marker in a title
// shows that the search finds what is there.
func TestSaltIsInNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	salt, err := s.ClickSalt(t.Context(), store.DayOf(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	marked := childLink("marked")
	marked.Title = "a marker that is in a file"
	if _, err := s.Create(t.Context(), marked); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SweepClicks(t.Context(), store.ClickRetention{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found = found || bytes.Contains(content, []byte(marked.Title))
		if bytes.Contains(content, salt) {
			t.Errorf("%s contains the salt", file)
		}
	}
	if !found {
		t.Errorf("no file of %v contains the marker", files)
	}
}

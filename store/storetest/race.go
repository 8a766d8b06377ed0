package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/terse/terse/store"
)

var contextPromises = []promise{
	{"ended before a read", endedReads},
	{"ended before a write, which then does nothing", endedWrites},
	{"ended during a create, which is done completely or not at all", endedCreate},
}

var racePromises = []promise{
	{"one create of a code wins", oneCreateWins},
	{"one update of a version wins", oneUpdateWins},
	{"one delete wins", oneDeleteWins},
	{"one request makes one link", oneRequestOneLink},
	{"readers see all fields of one version", wholeLinks},
}

func endedReads(t *testing.T, s suite) {
	l := s.create(t, s.newLink())
	ctx := ended(t)
	_, err := s.Get(ctx, l.Code)
	wantError(t, "Get()", err, context.Canceled)
	_, err = s.Resolve(ctx, l.Code)
	wantError(t, "Resolve()", err, context.Canceled)
	_, err = s.List(ctx, store.Query{Owner: l.Owner, Limit: 1})
	wantError(t, "List()", err, context.Canceled)
}

func endedWrites(t *testing.T, s suite) {
	ctx := ended(t)
	l := s.create(t, s.newLink())
	_, err := s.Update(ctx, l)
	wantError(t, "Update()", err, context.Canceled)
	_, err = s.Delete(ctx, l.Code, 0, epoch)
	wantError(t, "Delete()", err, context.Canceled)
	_, err = s.Consume(ctx, l.Code, epoch)
	wantError(t, "Consume()", err, context.Canceled)
	s.wantStored(t, l)

	unknown := s.newLink()
	_, err = s.Create(ctx, unknown)
	wantError(t, "Create()", err, context.Canceled)
	_, err = s.Get(t.Context(), unknown.Code)
	wantError(t, "Get() of a link that was not created", err, store.ErrNotFound)

	r := s.newReservation()
	_, err = s.Reserve(ctx, r)
	wantError(t, "Reserve()", err, context.Canceled)
	r.Code = s.newCode()
	s.wantReserve(t, r, r)
}

func endedCreate(t *testing.T, s suite) {
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		want := s.fresh()
		go cancel()
		_, err := s.Create(ctx, want)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Create() = %v, want nil or %v", err, context.Canceled)
		}
		got, getErr := s.Get(t.Context(), want.Code)
		if err == nil || !errors.Is(getErr, store.ErrNotFound) {
			wantLink(t, "Get", got, getErr, want)
		}
	}
}

func oneCreateWins(t *testing.T, s suite) {
	alias := s.newLink()
	target := func(i int) string { return "https://example.com/" + strconv.Itoa(i) }
	errs := race(50, func(i int) error {
		l := alias
		l.URL = target(i)
		_, err := s.Create(t.Context(), l)
		return err
	})
	want := alias
	want.URL, want.Version = target(wantOneWinner(t, "Create()", errs, store.ErrExists)), 1
	s.wantStored(t, want)
}

func oneUpdateWins(t *testing.T, s suite) {
	want := s.create(t, s.newLink())
	target := func(i int) string { return "https://example.com/" + strconv.Itoa(i) }
	errs := race(50, func(i int) error {
		l := want
		l.URL = target(i)
		_, err := s.Update(t.Context(), l)
		return err
	})
	want.URL, want.Version = target(wantOneWinner(t, "Update()", errs, store.ErrVersion)), 2
	s.wantStored(t, want)
}

func oneDeleteWins(t *testing.T, s suite) {
	l := s.create(t, s.newLink())
	wantOneWinner(t, "Delete()", race(50, func(int) error {
		_, err := s.Delete(t.Context(), l.Code, 0, after(1))
		return err
	}), store.ErrGone)
	s.wantStored(t, l.Tombstone(after(1)))
}

func oneRequestOneLink(t *testing.T, s suite) {
	l := s.newLink()
	l.RequestID = "request"
	made := make([]store.Link, 50)
	for _, err := range race(50, func(i int) (err error) {
		mine := l
		mine.URL = "https://example.com/" + strconv.Itoa(i)
		made[i], err = s.Create(t.Context(), mine)
		return err
	}) {
		if err != nil {
			t.Errorf("Create() = %v, want nil", err)
		}
	}
	for _, got := range made {
		if !reflect.DeepEqual(got, made[0]) {
			t.Errorf("Create() = %+v and %+v, want one link", got, made[0])
		}
	}
	s.wantStored(t, made[0])
}

// wholeLinks edits a link so that every field names its version, and checks that no
// reader sees fields of two versions.
func wholeLinks(t *testing.T, s suite) {
	paint := func(l store.Link, version int64) store.Link {
		text := strconv.FormatInt(version, 10)
		l.URL, l.Title, l.Tags = "https://example.com/"+text, text, []string{text}
		l.UpdatedAt = after(int(version))
		return l
	}
	l := s.create(t, paint(s.newLink(), 1))
	code, owner := l.Code, l.Owner
	var done atomic.Bool
	readers := make(chan error)
	for _, read := range []func() (store.Link, error){
		func() (store.Link, error) { return s.Resolve(t.Context(), code) },
		func() (store.Link, error) { return s.Get(t.Context(), code) },
		func() (store.Link, error) {
			page, err := s.List(t.Context(), store.Query{Owner: owner, Limit: 1})
			if err != nil || len(page.Links) != 1 {
				return store.Link{}, fmt.Errorf("%d links in the list: %w", len(page.Links), err)
			}
			return page.Links[0], nil
		},
	} {
		go func() {
			for !done.Load() {
				got, err := read()
				want := paint(got, got.Version)
				if err != nil || got.URL != want.URL || got.Title != want.Title || !slices.Equal(got.Tags, want.Tags) ||
					!got.UpdatedAt.Equal(want.UpdatedAt) {
					readers <- fmt.Errorf("read %+v, %w, want every field of one version", got, err)
					return
				}
			}
			readers <- nil
		}()
	}
	for range 50 {
		l = s.update(t, paint(l, l.Version+1))
	}
	done.Store(true)
	for range 3 {
		if err := <-readers; err != nil {
			t.Error(err)
		}
	}
}

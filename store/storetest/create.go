package storetest

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

var createPromises = []promise{
	{"keeps every field", keepsEveryField},
	{"keeps microseconds", keepsMicroseconds},
	{"keeps unusual strings", keepsUnusualStrings},
	{"keeps long strings", keepsLongStrings},
	{"empty tags are nil", noTagsAreNil},
	{"starts with version 1 and no clicks", startsFresh},
	{"taken code is refused and unharmed", takenCode},
	{"codes that differ in case are distinct", caseMatters},
	{"repeated request returns the link", repeatedRequest},
	{"repeated request returns the link as edited since", repeatedRequestAfterEdit},
	{"other request is refused", otherRequest},
	{"returned and given tags belong to the caller", ownsTags},
}

// full returns a link with every field set.
func (m maker) full() store.Link {
	l := m.newLink()
	l.URL = "https://example.com/a?b=c&d=%25#e"
	l.Title = "A title"
	l.Tags = []string{"alpha", "beta"}
	l.Status = 307
	l.ForwardQuery = store.ForwardOverride
	l.StartsAt, l.ExpiresAt = after(1), after(2)
	l.MaxClicks = 3
	l.PasswordHash = "$2a$10$hash"
	l.Confirm, l.NoVisitors, l.ForwardPath = true, true, true
	l.Rules = `[{"if":{"country":["DE"],"query":{"ref":["ü","a\"b"]}},"to":"https://example.com/de"}]`
	l.DisabledAt, l.DisabledReason = after(4), "phishing"
	l.DeletedAt = after(5)
	l.UpdatedAt = after(6)
	l.Version = 7
	l.RequestID = "request"
	l.UsedClicks, l.Clicks, l.Robots, l.LastClickAt = 8, 9, 11, after(10)
	return l
}

// fresh returns full as a create stores it.
func (m maker) fresh() store.Link {
	l := m.full()
	l.DeletedAt = time.Time{}
	l.Version, l.UsedClicks, l.Clicks, l.Robots, l.LastClickAt = 1, 0, 0, 0, time.Time{}
	return l
}

func keepsEveryField(t *testing.T, s suite) {
	all := reflect.ValueOf(s.full())
	for field, value := range all.Fields() {
		if value.IsZero() {
			t.Errorf("Link.%s is a new field: give it a value in full", field.Name)
		}
	}
	want := s.fresh()
	got, err := s.Create(t.Context(), want)
	wantLink(t, "Create", got, err, want)
	s.wantStored(t, want)
}

func keepsMicroseconds(t *testing.T, s suite) {
	for _, at := range []time.Time{
		time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(1970, 1, 1, 0, 0, 0, 1_000, time.UTC),
		time.Date(2026, 2, 28, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
	} {
		l := s.newLink()
		l.StartsAt, l.ExpiresAt = at, at
		want := s.create(t, l)
		if !want.StartsAt.Equal(at) || !want.ExpiresAt.Equal(at) {
			t.Errorf("Create() = %v and %v, want %v", want.StartsAt, want.ExpiresAt, at)
		}
		s.wantStored(t, want)
	}
}

func keepsUnusualStrings(t *testing.T, s suite) {
	for _, text := range []string{
		"'; DROP TABLE links; --", `"quoted" 'text' \backslash\`, "50% _off_ $1 ?1 :name @name",
		"<script>&amp;</script>", "héllo wörld", "e\u0301", "日本語", "🙂\u200d🙃", "\u2028\u2029",
		" spaces ", "null", "[]", "tab\tnew\nline",
	} {
		l := s.fresh()
		l.Title, l.Tags, l.DisabledReason, l.PasswordHash = text, []string{text}, text, text
		got := s.create(t, l)
		wantLink(t, "Create", got, nil, l)
		s.wantStored(t, l)
	}
}

func keepsLongStrings(t *testing.T, s suite) {
	l := s.fresh()
	l.Code = s.key(strings.Repeat("-", store.MaxCodeLen-len(l.BareCode())) + l.BareCode())
	l.URL = "https://example.com/" + strings.Repeat("a", 8192-len("https://example.com/"))
	l.Title = strings.Repeat("日", 1000)
	s.create(t, l)
	s.wantStored(t, l)
}

func noTagsAreNil(t *testing.T, s suite) {
	for _, tags := range [][]string{nil, {}} {
		l := s.newLink()
		l.Tags = tags
		got := s.create(t, l)
		if got.Tags != nil {
			t.Errorf("Create(Tags: %#v).Tags = %#v, want nil", tags, got.Tags)
		}
		s.wantStored(t, got)
	}
}

func startsFresh(t *testing.T, s suite) {
	given, want := s.full(), s.fresh()
	given.DeletedAt = time.Time{}
	want.Code, want.Owner = given.Code, given.Owner
	got, err := s.Create(t.Context(), given)
	wantLink(t, "Create", got, err, want)
	s.wantStored(t, want)
}

func takenCode(t *testing.T, s suite) {
	first := s.create(t, s.newLink())
	second := s.newLink()
	second.Code, second.URL = first.Code, "https://example.org/"
	_, err := s.Create(t.Context(), second)
	wantError(t, "Create() of a taken code", err, store.ErrExists)
	s.wantStored(t, first)
}

func caseMatters(t *testing.T, s suite) {
	upper := s.newLink()
	lower := upper
	lower.Code, lower.URL = s.key(strings.ToLower(upper.BareCode())), "https://example.org/"
	upper, lower = s.create(t, upper), s.create(t, lower)
	s.wantStored(t, upper)
	s.wantStored(t, lower)
}

func repeatedRequest(t *testing.T, s suite) {
	l := s.newLink()
	l.RequestID = "request"
	want := s.create(t, l)
	repeated := l
	repeated.URL, repeated.CreatedAt = "https://example.org/", after(1)
	got, err := s.Create(t.Context(), repeated)
	wantLink(t, "Create", got, err, want)
	s.wantStored(t, want)
}

func repeatedRequestAfterEdit(t *testing.T, s suite) {
	l := s.newLink()
	l.RequestID = "request"
	edited := s.create(t, l)
	edited.URL = "https://example.org/"
	edited = s.update(t, edited)
	got, err := s.Create(t.Context(), l)
	wantLink(t, "Create", got, err, edited)
}

func otherRequest(t *testing.T, s suite) {
	for _, tt := range []struct{ name, first, second, owner string }{
		{"another request", "one", "two", ""},
		{"none after one", "one", "", ""},
		{"one after none", "", "one", ""},
		{"none after none", "", "", ""},
		{"another owner's", "one", "one", newOwner()},
	} {
		l := s.newLink()
		l.RequestID = tt.first
		want := s.create(t, l)
		l.RequestID = tt.second
		if tt.owner != "" {
			l.Owner = tt.owner
		}
		got, err := s.Create(t.Context(), l)
		wantError(t, "Create() with "+tt.name, err, store.ErrExists)
		if !reflect.DeepEqual(got, store.Link{}) {
			t.Errorf("Create() with %s = %+v, want no link", tt.name, got)
		}
		s.wantStored(t, want)
	}
}

func ownsTags(t *testing.T, s suite) {
	l := s.newLink()
	l.Tags = []string{"a", "b"}
	created := s.create(t, l)
	want := created
	want.Tags = []string{"a", "b"}
	l.Tags[0] = "given"
	if created.Tags[0] != "a" {
		t.Errorf("Create().Tags = %q, want a copy of the given slice", created.Tags)
	}
	created.Tags[0] = "created"
	for _, read := range []func() (store.Link, error){
		func() (store.Link, error) { return s.Get(t.Context(), l.Code) },
		func() (store.Link, error) { return s.Resolve(t.Context(), l.Code) },
	} {
		got, err := read()
		if err != nil || len(got.Tags) != 2 {
			t.Fatalf("read of %q = %+v, %v, want two tags", l.Code, got, err)
		}
		got.Tags[0] = "read"
	}
	s.wantStored(t, want)
}

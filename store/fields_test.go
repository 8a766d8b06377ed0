package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

// hostileTexts can mislead a reader or break a line.
func hostileTexts() []string {
	return []string{
		"a\x00b", "a\tb", "a\nb", "a\r\nb", "a\x1bb", "a\x1f", "a\x7fb", "a\u0080b", "a\u0085b", "a\u009Fb", "a\u2028b", "a\u2029b",
		"a\u202Ab", "a\u202Bb", "a\u202Cb", "a\u202Db", "a\u202Eb", "a\u2066b", "a\u2067b", "a\u2068b", "a\u2069b",
	}
}

func invalidTexts() []string {
	return []string{"a\xffb", "a\xc0\xafb", "a\xed\xa0\x80b", "a\xc3"}
}

// inertTexts are dangerous only on a page that does not escape them.
func inertTexts() []string {
	return []string{
		"<script>alert(1)</script>", `" onmouseover="alert(1)`, "'; DROP TABLE links;--", "{{.}}", "100 %", `a\b`, "été", "日本語", "עברית",
		"🌊", "👩\u200D👩\u200D👧", "a\u200Eb", "\u2027\u202F\u2065\u206A", "a\u00A0b", "=1+1", "\uFFFD",
	}
}

func problems(tb testing.TB, edit func(l *store.Link)) store.InvalidError {
	tb.Helper()
	l := goodLink()
	edit(&l)
	var bad store.InvalidError
	if err := newRules(tb).Check(&l); err != nil && !errors.As(err, &bad) {
		tb.Fatalf("Check = %v, want an InvalidError", err)
	}
	return bad
}

func TestTitle(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"":            append(inertTexts(), "", " ", strings.Repeat("é", store.MaxTitleLen)),
		"at most 500": {strings.Repeat("é", store.MaxTitleLen+1), strings.Repeat("a", 1<<20)},
		"control":     hostileTexts(),
		"valid UTF-8": invalidTexts(),
	}
	for reason, titles := range tests {
		for _, title := range titles {
			bad := problems(t, func(l *store.Link) { l.Title = title })
			checkProblem(t, fmt.Sprintf("Check of title %.40q", title), bad, "title", reason)
		}
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"":            append(inertTexts(), "a", "a b", strings.Repeat("é", store.MaxTagLen)),
		"1 to 50":     {"", strings.Repeat("é", store.MaxTagLen+1)},
		"control":     hostileTexts(),
		"valid UTF-8": invalidTexts(),
		"space":       {" a", "a ", " ", "\u00A0a", "a\u3000"},
	}
	for reason, tags := range tests {
		for _, tag := range tags {
			bad := problems(t, func(l *store.Link) { l.Tags = []string{"z", tag, "a"} })
			checkProblem(t, fmt.Sprintf("Check of tag %.40q", tag), bad, "tags[1]", reason)
		}
	}
}

func TestTagCount(t *testing.T) {
	t.Parallel()
	tags := make([]string, store.MaxTags)
	for i := range tags {
		tags[i] = fmt.Sprint(i)
	}
	checkProblem(t, "Check of 20 tags", problems(t, func(l *store.Link) { l.Tags = tags }), "tags", "")
	tooMany := append(tags, "", "\n", " ")
	checkProblem(t, "Check of 23 tags", problems(t, func(l *store.Link) { l.Tags = tooMany }), "tags", "at most 20")
}

// checkProblem checks that bad is one problem of field with reason. An empty reason means
// no problem.
func checkProblem(tb testing.TB, call string, bad store.InvalidError, field, reason string) {
	tb.Helper()
	switch {
	case reason == "" && len(bad) > 0:
		tb.Errorf("%s = %v, want nil", call, bad)
	case reason != "" && len(bad) != 1:
		tb.Errorf("%s = %v, want one problem with %q", call, bad, reason)
	case reason != "":
		wantFieldError(tb, call, bad[0], field, reason)
	}
}

func TestNormalizeTags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		tags []string
		want []string
	}{
		{"nil", nil, nil},
		{"empty", []string{}, nil},
		{"one", []string{"a"}, []string{"a"}},
		{"sorted bytewise", []string{"b", "é", "a", "B"}, []string{"B", "a", "b", "é"}},
		{"each once", []string{"b", "a", "b", "a", "A"}, []string{"A", "a", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := append([]string(nil), tt.tags...)
			got := store.NormalizeTags(tt.tags)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("NormalizeTags(%q) = %#v, want %#v", tt.tags, got, tt.want)
			}
			if len(got) > 0 {
				got[0] = "changed"
			}
			if len(before) > 0 && !reflect.DeepEqual(tt.tags, before) {
				t.Errorf("NormalizeTags changed its argument to %q", tt.tags)
			}
		})
	}
}

func TestCheckText(t *testing.T) {
	t.Parallel()
	if err := store.CheckText("reason", "éé", 2); err != nil {
		t.Errorf("CheckText = %v, want nil", err)
	}
	wantFieldError(t, "CheckText of a long text", store.CheckText("reason", "ééé", 2), "reason", "at most 2 characters")
	wantFieldError(t, "CheckText of two lines", store.CheckText("reason", "a\nb", 9), "reason", "control")
	wantFieldError(t, "CheckText of bytes", store.CheckText("reason", "\xff", 9), "reason", "valid UTF-8")
}

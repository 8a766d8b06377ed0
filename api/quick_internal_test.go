package api

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"pgregory.net/rapid"
)

// TestAppendLink holds that a link is written as encoding/json would write it,
// whatever is in it.
func TestAppendLink(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string {
			return rapid.OneOf(rapid.StringMatching(`[ -~]{0,20}`), rapid.String(), rapid.Just("\u2028\u2029<&>\x7f\xff\"\\\b")).Draw(t, name)
		}
		moment := func(name string) time.Time {
			return time.UnixMicro(rapid.Int64Range(0, 253402300799_000_000).Draw(t, name)).UTC()
		}
		maybe := func(name string) *time.Time {
			if m := moment(name); m.UnixMicro()%2 == 0 {
				return &m
			}
			return nil
		}
		clicks := func(name string) count { return count(rapid.Int64Min(0).Draw(t, name)) }
		l := linkBody{
			Code: text("code"), ShortURL: text("short_url"), URL: text("url"), Title: text("title"), Tags: []string{},
			Status: rapid.IntRange(300, 308).Draw(t, "status"), ForwardQuery: text("forward"), State: text("state"),
			StartsAt: maybe("starts"), ExpiresAt: maybe("expires"), MaxClicks: clicks("max"), UsedClicks: clicks("used"),
			PasswordProtected: rapid.Bool().Draw(t, "protected"), DisabledReason: text("reason"), Clicks: clicks("clicks"),
			LastClickAt: maybe("last"), CreatedAt: moment("created"), UpdatedAt: moment("updated"), Version: int64(clicks("version")),
		}
		for range rapid.IntRange(0, 3).Draw(t, "tags") {
			l.Tags = append(l.Tags, text("tag"))
		}
		var got, want bytes.Buffer
		if err := writeJSON(&got, l); err != nil {
			t.Fatalf("writeJSON() = %v", err)
		}
		if err := huma.DefaultJSONFormat.Marshal(&want, l); err != nil {
			t.Fatalf("Marshal() = %v", err)
		}
		if got.String() != want.String() {
			t.Fatalf("a link is written as\n%swant\n%s", got.String(), want.String())
		}
	})
}

// TestQuickTarget holds that what is read quickly is what reading the body as JSON
// gives.
func TestQuickTarget(t *testing.T) {
	t.Parallel()
	quick := 0
	rapid.Check(t, func(t *rapid.T) {
		space := rapid.SampledFrom([]string{"", " ", "\r\n\t", "\v"})
		text := rapid.OneOf(rapid.StringMatching(`[ -~]{0,9}`), rapid.Just("https://example.com/"), rapid.String())
		var body []byte
		for _, part := range []string{"{", `"url"`, ":", `"` + text.Draw(t, "target") + `"`, "}", ""} {
			if rapid.IntRange(0, 30).Draw(t, "broken") == 0 {
				part = text.Draw(t, "part")
			}
			body = append(append(body, space.Draw(t, "space")...), part...)
		}
		got, ok := quickTarget(body)
		if !ok {
			return
		}
		quick++
		var in CreateInput
		if err := readJSON(body, &in); err != nil || !reflect.DeepEqual(in, CreateInput{URL: got}) {
			t.Fatalf("quickTarget(%q) = %q, want what JSON has: %+v, %v", body, got, in, err)
		}
	})
	if quick == 0 {
		t.Error("no body was read quickly")
	}
}

// TestAppendLinkForgetsNothing holds that each member of a link is written.
func TestAppendLinkForgetsNothing(t *testing.T) {
	t.Parallel()
	var members map[string]any
	if err := json.Unmarshal(appendLink(nil, &linkBody{}), &members); err != nil {
		t.Fatal(err)
	}
	if n := reflect.TypeFor[linkBody]().NumField(); len(members) != n {
		t.Errorf("a link is written with %d members, want %d", len(members), n)
	}
}

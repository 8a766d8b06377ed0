package api

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// TestListsAreWrittenAsJSON checks that lists have the same bytes as from encoding/json.
func TestListsAreWrittenAsJSON(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 1, 12, 0, 0, 123456000, time.UTC)
	many := make([]linkBody, 300)
	for i := range many {
		many[i] = linkBody{
			Code: fmt.Sprint("code-", i), URL: "https://example.com/" + strings.Repeat("ü&<x>", i), Title: "a \"title\"\n\u2028", Tags: []string{"a", "b<"}[:i%3],
			Status: 302, State: "live", StartsAt: &now, MaxClicks: 5, Confirm: i%2 == 0, Owner: "key_1", LastClickAt: nil, CreatedAt: now, UpdatedAt: now, Version: int64(i),
		}
	}
	for name, body := range map[string]listBody{
		"empty":             {Links: []linkBody{}},
		"one":               {Links: many[:1], NextCursor: "x"},
		"two":               {Links: many[:2], UnavailableShards: []string{"s1"}},
		"many":              {Links: many, NextCursor: "next", UnavailableShards: []string{"s1", "s\"2"}},
		"no shards missing": {Links: many[:1], UnavailableShards: []string{}},
	} {
		var got, want bytes.Buffer
		if err := writeJSON(&got, body); err != nil {
			t.Fatal(err)
		}
		if err := huma.DefaultJSONFormat.Marshal(&want, body); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%s: got %.300s, want %.300s", name, &got, &want)
		}
	}
}

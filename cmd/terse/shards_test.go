package main

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseShards(t *testing.T) {
	t.Parallel()
	const p, r1, r2 = "postgres://u:9f86d081884c@a/links", "postgresql://u:9f86d081884c@b/links", "postgres://u:9f86d081884c@c:6432,d/links?target_session_attrs=read-write"
	for _, tt := range []struct {
		name, text string
		want       []shardSettings
	}{
		{"none", "", nil},
		{"one", "s1 " + p, []shardSettings{{"s1", p, []string{}}}},
		{"replicas", "s1 " + p + " " + r1 + "\t" + r2, []shardSettings{{"s1", p, []string{r1, r2}}}},
		{"semicolons", "s1 " + p + ";s-2 " + r1 + ";", []shardSettings{{"s1", p, []string{}}, {"s-2", r1, []string{}}}},
		{"lines", "\ns1 " + p + "\r\n\n  s2 " + r1 + "\n", []shardSettings{{"s1", p, []string{}}, {"s2", r1, []string{}}}},
	} {
		got, err := parseShards(tt.text)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: parseShards(%q) = %+v, %v, want %+v", tt.name, tt.text, got, err, tt.want)
		}
	}
}

// TestWrongShards checks that parseShards reports every problem, and never a password.
func TestWrongShards(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want []string
	}{
		{" ; ", []string{"names no shard"}},
		{"s1", []string{"shard 1: s1 needs the URL of its primary"}},
		{"postgres://u:hunter2@a/x", []string{"shard 1: must begin with a name"}},
		{"S1 postgres://a/x; s_2 postgres://b/x", []string{"shard 1: must begin with a name", "shard 2: must begin with a name"}},
		{"s1 postgres://a/x; s1 postgres://b/x", []string{"shard 2: another shard is named s1 too"}},
		{"s1 postgres://a/x; s2 postgres://b/x postgres://a/x", []string{"shard 2: replica 1 has the same URL as shard s1's primary"}},
		{"s1 host=a", []string{"shard 1: primary: must be a URL"}},
		{"s1 mysql://u:hunter2@a/x", []string{"shard 1: primary: must be a URL"}},
		{"s1 postgres://u:hunter2%zz@a/x", []string{"shard 1: primary: is not a valid connection URL"}},
		{"s1 postgres://u:hunter2@a:port/x", []string{"shard 1: primary: is not a valid connection URL"}},
		{"s1 postgres://a/x postgres://u:hunter2@a/x?sslmode=nonsense", []string{"shard 1: replica 1: is not a valid connection URL"}},
		{"s1 postgres://u:p@hunter2/w@h/db", []string{"shard 1: primary: is not a valid connection URL"}},
		{"s1 postgres://u:12/hunter2@h/db", []string{"shard 1: primary: is not a valid connection URL"}},
		{"s1 postgres://u:abc@a/x postgres://u:abcabcabc@b/x postgres://u:hunter2@c/x", []string{
			"shard 1: primary: is too short", "shard 1: replica 1: follows a pattern", "shard 1: replica 2: contains a password from an example",
		}},
		{strings.Repeat("s1;", maxShards+1), []string{"names 65 shards"}},
	} {
		_, err := parseShards(tt.text)
		if err == nil {
			t.Errorf("parseShards(%q) = nil, want an error", tt.text)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("parseShards(%q) = %v, want %q", tt.text, err, want)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("parseShards(%q) contains a password: %v", tt.text, err)
		}
	}
}

package cache

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/terse/terse/store"
)

// BenchmarkLink reads the link of BenchmarkDecode in package remote.
func BenchmarkLink(b *testing.B) {
	at := time.UnixMicro(1_790_000_000_000_000)
	e := pack(&store.Link{
		Code: "code12345", URL: "https://example.com/" + strings.Repeat("p", 80), Owner: "key_0123456789ab", Status: 302,
		CreatedAt: at, UpdatedAt: at, Version: 1,
	})
	b.ReportAllocs()
	for b.Loop() {
		_ = e.link()
	}
}

// TestEntrySize checks that a link without rules needs no more memory in L1 than before rules existed.
func TestEntrySize(t *testing.T) {
	t.Parallel()
	if got := unsafe.Sizeof(entry{}); got != 192 {
		t.Errorf("an entry has %d bytes, want 192, which is an allocation class", got)
	}
	l := store.Link{Code: "code12345", URL: "https://example.com/", Tags: []string{"a", "b"}, Version: 1}
	without := pack(&l).size()
	l.Rules = strings.Repeat("r", 160)
	if got := pack(&l).size() - without; got != 160 {
		t.Errorf("160 bytes of rules take %d bytes, want 160", got)
	}
}

package cache

import (
	"strings"
	"testing"
	"time"

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

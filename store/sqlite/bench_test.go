package sqlite_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/terse/terse/store"
)

func BenchmarkCreate(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := open(b, b.TempDir())
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(callers) // a multiple of GOMAXPROCS
			if callers == 1 {
				for b.Loop() {
					if _, err := s.Create(b.Context(), childLink(fmt.Sprint(n.Add(1)))); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Create(b.Context(), childLink(fmt.Sprint(n.Add(1)))); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func BenchmarkResolve(b *testing.B) {
	s := open(b, b.TempDir())
	const links = 1000
	for i := range links {
		if _, err := s.Create(b.Context(), childLink(fmt.Sprint(i))); err != nil {
			b.Fatal(err)
		}
	}
	var n atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Resolve(b.Context(), fmt.Sprint(n.Add(1)%links)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkList(b *testing.B) {
	s := open(b, b.TempDir())
	for i := range 1000 {
		if _, err := s.Create(b.Context(), childLink(fmt.Sprint(i))); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		page, err := s.List(b.Context(), store.Query{Limit: 20})
		if err != nil || len(page.Links) != 20 {
			b.Fatal(len(page.Links), err)
		}
	}
}

package day_test

import (
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/internal/testenv/traffic"
)

// BenchmarkBytes reports how much one day of clicks takes.
func BenchmarkBytes(b *testing.B) {
	for _, clicks := range []int{10_000, 200_000, 1_000_000} {
		b.Run(fmt.Sprint(clicks), func(b *testing.B) {
			for b.Loop() {
				t := traffic.New(1, 1<<24)
				days := map[uint64]*day.Day{}
				for range clicks {
					link, c := t.Click()
					if days[link] == nil {
						days[link] = new(day.Day)
					}
					days[link].Add(c)
				}
				var bytes, largest int
				for _, d := range days {
					n := len(d.Append(nil))
					bytes += n
					largest = max(largest, n)
				}
				b.ReportMetric(float64(bytes)/float64(clicks), "B/click")
				b.ReportMetric(float64(bytes)/float64(len(days)), "B/link-day")
				b.ReportMetric(float64(len(days)), "link-days")
				b.ReportMetric(float64(largest), "B/largest")
			}
		})
	}
}

// BenchmarkBatch reports how much the days of one second of 2000 clicks take.
func BenchmarkBatch(b *testing.B) {
	for b.Loop() {
		const clicks = 2000
		t := traffic.New(1, 1<<24)
		days := map[uint64]*day.Day{}
		for range clicks {
			link, c := t.Click()
			c.Quarter = 50
			if days[link] == nil {
				days[link] = new(day.Day)
			}
			days[link].Add(c)
		}
		var all []byte
		for _, d := range days {
			all = d.Append(all)
		}
		encoder, err := zstd.NewWriter(nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(all))/clicks, "B/click")
		b.ReportMetric(float64(len(encoder.EncodeAll(all, nil)))/clicks, "zstd-B/click")
	}
}

// BenchmarkAdd measures a click on a link that had clicks before, and the first click on a link.
func BenchmarkAdd(b *testing.B) {
	t := traffic.New(1, 2)
	clicks := make([]day.Click, 1<<14)
	for i := range clicks {
		_, clicks[i] = t.Click()
		clicks[i].Quarter = 50
	}
	b.Run("hot", func(b *testing.B) {
		b.ReportAllocs()
		d := new(day.Day)
		i := 0
		for b.Loop() {
			if i++; i%4096 == 0 { // one flush
				d = new(day.Day)
			}
			d.Add(clicks[i%len(clicks)])
		}
	})
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			new(day.Day).Add(clicks[i%len(clicks)])
		}
	})
}

// BenchmarkRead measures a day of a link with 100,000 clicks, and of one with 1,000: parsing it, and
// all breakdowns.
func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		t := traffic.New(1, 2)
		var d day.Day
		for range n {
			_, c := t.Click()
			d.Add(c)
		}
		packed := d.Append(nil)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			b.ReportMetric(float64(len(packed)), "B")
			for b.Loop() {
				d, err := day.Parse(packed)
				if err != nil {
					b.Fatal(err)
				}
				var sum int64
				for dim := range day.Dimension(day.Dimensions) {
					for _, s := range d.Values(dim) {
						sum += s.Sum().All()
					}
				}
				if sum != int64(n)*day.Dimensions {
					b.Fatal(sum)
				}
			}
		})
	}
}

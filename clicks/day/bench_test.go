package day_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/terse/terse/clicks/day"
)

// traffic makes synthetic clicks: links, countries, referrers and so on by Zipf's law; a tenth of
// the clicks are of robots, 60 % have a referrer, a quarter have UTM values.
type traffic struct {
	rand *rand.Rand
	link *rand.Zipf
	of   [day.Dimensions]*rand.Zipf
}

func newTraffic(links uint64) *traffic {
	t := &traffic{rand: rand.New(rand.NewPCG(1, 2))}
	t.link = rand.NewZipf(t.rand, 1.1, 1, links)
	for dim, n := range map[day.Dimension]uint64{
		day.Country: 200, day.Referrer: 5000, day.Device: 2, day.Browser: 12, day.OS: 6, day.Language: 40,
		day.UTMSource: 30, day.UTMMedium: 6, day.UTMCampaign: 300, day.UTMTerm: 300, day.UTMContent: 50,
	} {
		t.of[dim] = rand.NewZipf(t.rand, 1.3, 1, n)
	}
	return t
}

func (t *traffic) click() (link uint64, c day.Click) {
	link = t.link.Uint64()
	c.N = 1
	c.Quarter = min(day.Quarters-1, int(math.Abs(t.rand.NormFloat64()*20+60)))
	set := func(dim day.Dimension, names ...string) {
		i := t.of[dim].Uint64()
		if i < uint64(len(names)) {
			c.Values[dim] = names[i]
			return
		}
		c.Values[dim] = fmt.Sprintf("%s-%d", strings.TrimPrefix(dim.String(), "utm_"), i)
	}
	c.Values[day.Class] = day.Person
	if t.rand.IntN(10) == 0 {
		c.Values[day.Class] = "crawler"
	}
	c.Visitor = mix(link<<20 | t.rand.Uint64N(1+1<<19))
	c.Values[day.Country] = string([]byte{'A' + byte(t.of[day.Country].Uint64()%26), 'A' + byte(t.of[day.Country].Uint64()%26)})
	set(day.Device, "mobile", "desktop", "tablet")
	set(day.Browser, "Chrome", "Safari", "Firefox", "Edge", "Samsung Internet", "Opera")
	set(day.OS, "Android", "Windows", "iOS", "macOS", "Linux", "ChromeOS")
	set(day.Language, "en", "de", "fr", "es", "pt", "ja", "zh", "ru")
	c.Values[day.Source] = "link"
	if t.rand.IntN(10) < 6 {
		set(day.Referrer, "Google", "Facebook", "Instagram", "X", "LinkedIn")
	}
	if t.rand.IntN(4) == 0 {
		set(day.UTMSource, "newsletter", "google", "facebook")
		set(day.UTMMedium, "email", "social", "cpc")
		set(day.UTMCampaign)
		if t.rand.IntN(3) == 0 {
			set(day.UTMTerm)
			set(day.UTMContent)
		}
	}
	return link, c
}

// BenchmarkBytes reports how much one day of clicks takes.
func BenchmarkBytes(b *testing.B) {
	for _, clicks := range []int{10_000, 200_000, 1_000_000} {
		b.Run(fmt.Sprint(clicks), func(b *testing.B) {
			for b.Loop() {
				t := newTraffic(1 << 24)
				days := map[uint64]*day.Day{}
				for range clicks {
					link, c := t.click()
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
		t := newTraffic(1 << 24)
		days := map[uint64]*day.Day{}
		for range clicks {
			link, c := t.click()
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
	t := newTraffic(1)
	clicks := make([]day.Click, 1<<14)
	for i := range clicks {
		_, clicks[i] = t.click()
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
		t := newTraffic(1)
		var d day.Day
		for range n {
			_, c := t.click()
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

// Package traffic makes clicks for benchmarks.
package traffic

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/terse/terse/clicks/day"
)

// Traffic makes the clicks of one day: links, countries, referrers and so on by Zipf's law. A tenth
// of the clicks are of robots, 60 % have a referrer, a quarter have UTM values. Not safe for
// concurrent use.
type Traffic struct {
	rand *rand.Rand
	link *rand.Zipf
	of   [day.Dimensions]*rand.Zipf
	hash maphash.Seed
}

// New returns the traffic of this many links. The same seed makes the same clicks, except for the
// hashes of the visitors.
func New(seed, links uint64) *Traffic {
	t := &Traffic{rand: rand.New(rand.NewPCG(seed, 2)), hash: maphash.MakeSeed()} //nolint:gosec // nobody has to guess it
	t.link = rand.NewZipf(t.rand, 1.1, 1, links-1)
	for dim, n := range map[day.Dimension]uint64{
		day.Country: 200, day.Referrer: 5000, day.Device: 2, day.Browser: 12, day.OS: 6, day.Language: 40,
		day.UTMSource: 30, day.UTMMedium: 6, day.UTMCampaign: 300, day.UTMTerm: 300, day.UTMContent: 50,
	} {
		t.of[dim] = rand.NewZipf(t.rand, 1.3, 1, n)
	}
	return t
}

// Click returns the next click, and the number of its link, from 0. Link 0 has the most clicks.
func (t *Traffic) Click() (link uint64, c day.Click) {
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
	c.Visitor = maphash.Comparable(t.hash, [2]uint64{link, t.rand.Uint64N(1 << 19)})
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

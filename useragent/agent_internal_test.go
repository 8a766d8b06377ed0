package useragent

import "testing"

// TestNamesFit checks that the cache can hold the number of every name.
func TestNamesFit(t *testing.T) {
	t.Parallel()
	c := newCoder()
	for _, tt := range []struct {
		what  string
		names []string
		bits  int
	}{
		{"devices", c.devices.names, deviceBits},
		{"browsers", c.browsers.names, browserBits},
		{"systems", c.systems.names, systemBits},
	} {
		if len(tt.names) > 1<<tt.bits {
			t.Errorf("%d %s do not fit into %d bits", len(tt.names), tt.what, tt.bits)
		}
	}
	for class := Person; class <= Scanner; class++ {
		for i := range c.browsers.names {
			a := Agent{class, c.devices.names[i%len(c.devices.names)], c.browsers.names[i], c.systems.names[i%len(c.systems.names)]}
			if v := c.encode(a); c.decode(v) != a || v>>agentBits != 0 {
				t.Errorf("decode(encode(%+v)) = %+v", a, c.decode(v))
			}
		}
	}
}

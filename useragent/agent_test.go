package useragent_test

import (
	"strings"
	"testing"

	"github.com/terse/terse/useragent"
)

func TestAgents(t *testing.T) {
	t.Parallel()
	c := newClassifier(t)
	for _, line := range readLines(t, "agents.tsv") {
		f := strings.Split(line, "\t")
		want := useragent.Agent{Device: f[0], Browser: f[1], OS: f[2]}
		for range 2 { // computed, then from memory
			if got := c.Agent(f[3]); got != want {
				t.Errorf("Agent(%q) = %+v, want %+v", f[3], got, want)
			}
		}
	}
}

// TestAgentsOfRobots checks that robots have no device, browser and operating system.
func TestAgentsOfRobots(t *testing.T) {
	t.Parallel()
	c := newClassifier(t)
	for _, line := range readLines(t, "named.tsv") {
		_, ua, _ := strings.Cut(line, "\t")
		got := c.Agent(ua)
		if named := got.Device != "" || got.Browser != "" || got.OS != ""; named && got.Class != useragent.Person {
			t.Errorf("Agent(%q) = %+v, want only the class", ua, got)
		}
	}
}

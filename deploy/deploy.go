// Package deploy holds the configuration that Terse ships for the programs around
// it, as operators find it, so that what they run is what the tests and the stack
// on one machine run. It is not where Terse's own settings are read.
package deploy

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
)

//go:embed varnish/terse.vcl nginx/terse.conf prometheus/prometheus.yml prometheus/rules.yml
var files embed.FS

// Edited returns a file, such as "varnish/terse.vcl", with changes that an
// operator makes to it: from what is there to what takes its place, everywhere.
// Something that is not there is an error.
func Edited(name string, changes map[string]string) (string, error) {
	shipped, err := files.ReadFile(name)
	if err != nil {
		return "", err
	}
	text := string(shipped)
	for _, old := range slices.Sorted(maps.Keys(changes)) {
		if !strings.Contains(text, old) {
			return "", fmt.Errorf("deploy/%s lacks %q", name, old)
		}
		text = strings.ReplaceAll(text, old, changes[old])
	}
	return text, nil
}

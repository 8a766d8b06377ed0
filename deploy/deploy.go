// Package deploy contains the configuration files that Terse ships for other programs.
// Operators, tests and the local stack all use these files. Terse's own settings are
// not here.
package deploy

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
)

//go:embed varnish/terse.vcl varnish/clicks.format nginx/terse.conf nginx/clicks.conf fastly/clicks.format fastly/rules.vcl prometheus/prometheus.yml prometheus/rules.yml
var files embed.FS

// Edited returns a shipped file, such as "varnish/terse.vcl", with an operator's changes.
// Each key of changes is replaced by its value everywhere. It returns an error when the
// file lacks a key.
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

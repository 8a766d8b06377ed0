package api

import (
	"slices"
	"strings"
)

// Routes returns what the handlers serve, each as a method and a pattern, without
// the HEAD of what has a GET.
func (a *API) Routes() []string {
	var all []string
	for _, r := range slices.Concat(a.site.Routes(), a.resources.Routes()) {
		all = append(all, r.Method+" "+r.Path)
	}
	return slices.DeleteFunc(all, func(route string) bool {
		pattern, isHead := strings.CutPrefix(route, "HEAD ")
		return isHead && slices.Contains(all, "GET "+pattern)
	})
}

package api

import (
	"slices"
	"strings"
)

// Routes returns the routes of the handlers, each as a method and a pattern. HEAD is left
// out if the pattern has GET.
func (a *API) Routes() []string {
	var all []string
	for _, r := range slices.Concat(a.visitors.Routes(), a.resources.Routes()) {
		all = append(all, r.Method+" "+r.Path)
	}
	return slices.DeleteFunc(all, func(route string) bool {
		pattern, isHead := strings.CutPrefix(route, "HEAD ")
		return isHead && slices.Contains(all, "GET "+pattern)
	})
}

//go:build unix

package main

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

var (
	spans = regexp.MustCompile("`([^`\n]+)`")
	// Statements and queries that somebody copies out of the runbook.
	statement = regexp.MustCompile(`^(select|update|show|alter|create) `)
	promQL    = regexp.MustCompile(`^(sum|count) |^(terse_|process_|up\b)[a-z_]*(\{.*\})?|^terse:`)
	name      = regexp.MustCompile(`^[a-z_]+$`)
	// The labels of a selector, whose values may be those of trouble.
	matchers = regexp.MustCompile(`([a-z_]+)(=|!=|=~)"[^"]*"`)
)

// wantRunbook holds that the databases understand each statement of the runbook, that
// Prometheus understands each query and has its metrics and labels, and that the commands
// that look do.
func (s *stack) wantRunbook(path, binary string) {
	s.t.Helper()
	content, err := os.ReadFile(path)
	must(s.t, err)
	conn, err := pgx.Connect(s.t.Context(), s.Shards[0].DSN)
	must(s.t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(s.t.Context())) }()
	statements, queries := 0, 0
	for _, m := range spans.FindAllStringSubmatch(string(content), -1) {
		span := strings.ReplaceAll(m[1], "bucket = N", "bucket = 1")
		switch {
		case statement.MatchString(span):
			for one := range strings.SplitSeq(span, ";") {
				statements++
				if _, err := conn.Prepare(s.t.Context(), "", one); err != nil {
					s.t.Errorf("the runbook's %q: %v", one, err)
				}
			}
		case promQL.MatchString(span) && !elsewhere.MatchString(span):
			queries++
			s.wantQuery(span)
		}
	}
	if statements < 10 || queries < 50 {
		s.t.Errorf("of the runbook %d statements and %d queries were tried", statements, queries)
	}
	for _, args := range [][]string{{"shard", "status"}, {"migrate", "status"}, {"block", "list"}, {"key", "list"}} {
		cmd := exec.CommandContext(s.t.Context(), binary, args...)
		cmd.Env = append(os.Environ(), "TERSE_SHARDS="+s.Setting, "TERSE_REDIS_URL="+s.Redis)
		if out, err := cmd.CombinedOutput(); err != nil {
			s.t.Errorf("terse %v = %v: %s", args, err, out)
		}
	}
}

// wantQuery holds that Prometheus takes a query, and has something by its labels.
func (s *stack) wantQuery(query string) {
	s.t.Helper()
	if status, _, text := s.ask(http.MethodGet, s.Prometheus+"/api/v1/query?query="+url.QueryEscape(query), ""); status != http.StatusOK {
		s.t.Errorf("the runbook's %q: %s", query, text)
		return
	}
	present := matchers.ReplaceAllString(strings.TrimSuffix(query, " == 0"), `$1=~".+"`)
	if name.MatchString(present) { // that of a histogram stands for its series
		present = `{__name__=~"` + present + `(_count)?"}`
	}
	s.await("the runbook's "+present+" to show something", func() bool { return s.holds(present) })
}

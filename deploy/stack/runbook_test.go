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
	// Statements and queries of the runbook that an operator copies.
	statement = regexp.MustCompile(`^(select|update|show|alter|create) `)
	promQL    = regexp.MustCompile(`^(sum|count) |^(terse_|process_|up\b)[a-z_]*(\{.*\})?|^terse:`)
	name      = regexp.MustCompile(`^[a-z_]+$`)
	// The placeholders of statements, and values for them.
	placeholders = strings.NewReplacer("bucket = N", "bucket = 1", "'TIME OF THE PROMOTION'", "'2026-11-25 14:03:00+00'")
	// Labels of a selector. In the runbook their values may exist only during a failure.
	matchers = regexp.MustCompile(`([a-z_]+)(=|!=|=~)"[^"]*"`)
)

// wantRunbook checks that the databases accept each statement of the runbook, that
// Prometheus accepts each query and has its metrics and labels, and that the read-only
// commands succeed.
func (s *stack) wantRunbook(path, binary string) {
	s.t.Helper()
	content, err := os.ReadFile(path)
	must(s.t, err)
	conn, err := pgx.Connect(s.t.Context(), s.Shards[0].DSN)
	must(s.t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(s.t.Context())) }()
	statements, queries := 0, 0
	for _, m := range spans.FindAllStringSubmatch(string(content), -1) {
		span := placeholders.Replace(m[1])
		switch {
		case statement.MatchString(span):
			for one := range strings.SplitSeq(span, ";") {
				statements++
				if _, err := conn.Prepare(s.t.Context(), "", one); err != nil {
					s.t.Errorf("statement of the runbook %q: %v", one, err)
				}
			}
		case promQL.MatchString(span) && !elsewhere.MatchString(span):
			queries++
			s.wantQuery(span)
		}
	}
	if statements < 10 || queries < 50 {
		s.t.Errorf("%d statements and %d queries in the runbook, want at least 10 and 50", statements, queries)
	}
	for _, args := range [][]string{{"shard", "status"}, {"migrate", "status"}, {"block", "list"}, {"key", "list"}} {
		cmd := exec.CommandContext(s.t.Context(), binary, args...)
		cmd.Env = append(os.Environ(), "TERSE_SHARDS="+s.Setting, "TERSE_REDIS_URL="+s.Redis)
		if out, err := cmd.CombinedOutput(); err != nil {
			s.t.Errorf("terse %v = %v: %s", args, err, out)
		}
	}
}

// wantQuery checks that Prometheus accepts a query, and has a series with its labels.
func (s *stack) wantQuery(query string) {
	s.t.Helper()
	if status, _, text := s.ask(http.MethodGet, s.Prometheus+"/api/v1/query?query="+url.QueryEscape(query), ""); status != http.StatusOK {
		s.t.Errorf("query of the runbook %q: %s", query, text)
		return
	}
	present := matchers.ReplaceAllString(strings.TrimSuffix(query, " == 0"), `$1=~".+"`)
	if name.MatchString(present) { // the name of a histogram means its series
		present = `{__name__=~"` + present + `(_count)?"}`
	}
	s.await("a series for the runbook's "+present, func() bool { return s.holds(present) })
}

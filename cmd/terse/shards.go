package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// shardSettings is one shard of TERSE_SHARDS.
type shardSettings struct {
	name     string
	primary  string
	replicas []string
}

// shardName matches valid names of shards. A name is a label of metrics and an argument of
// commands.
var shardName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// maxShards bounds the number of shards, because every node connects to all of them.
const maxShards = 64

// parseShards parses shards separated by semicolons or newlines. A shard is a name, the URL
// of its primary and the URLs of its replicas. Errors never contain a URL, because URLs
// contain passwords.
func parseShards(text string) ([]shardSettings, error) {
	var shards []shardSettings
	var problems []error
	names, servers := map[string]bool{}, map[string]string{}
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		fields := strings.Fields(part)
		if len(fields) == 0 {
			continue
		}
		s := shardSettings{name: fields[0]}
		problem := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("shard %d: %w", len(shards)+1, fmt.Errorf(format, args...)))
		}
		switch {
		case !shardName.MatchString(s.name):
			problem("must begin with a name of up to 32 characters: a-z, 0-9 and -")
		case names[s.name]:
			problem("another shard is named %s too", s.name)
		case len(fields) == 1:
			problem("%s needs the URL of its primary", s.name)
		}
		names[s.name] = true
		for i, dsn := range fields[1:] {
			what := serverName(i)
			if err := checkDSN(dsn); err != nil {
				problem("%s: %w", what, err)
			} else if other := servers[dsn]; other != "" {
				problem("%s has the same URL as %s", what, other)
			}
			servers[dsn] = "shard " + s.name + "'s " + what
		}
		if len(fields) > 1 {
			s.primary, s.replicas = fields[1], fields[2:]
		}
		shards = append(shards, s)
	}
	if len(shards) == 0 && strings.TrimSpace(text) != "" {
		problems = append(problems, errors.New("names no shard"))
	}
	if len(shards) > maxShards {
		problems = append(problems, fmt.Errorf("names %d shards; the limit is %d", len(shards), maxShards))
	}
	return shards, errors.Join(problems...)
}

// serverName returns the name of the i-th server of a shard: "primary", "replica 1", ….
func serverName(i int) string {
	if i == 0 {
		return "primary"
	}
	return fmt.Sprintf("replica %d", i)
}

// checkDSN rejects text that is not a connection URL. Its error does not repeat the text.
func checkDSN(dsn string) error {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return errors.New("must be a URL such as postgres://user:password@host:5432/database")
	}
	// An unescaped / or @ in a password moves part of the password into the host or the
	// database name, which errors and status output show.
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil || strings.Count(dsn, "@") > 1 || strings.ContainsAny(config.ConnConfig.Database, "/@") {
		return errors.New("is not a valid connection URL. Special characters in a password must be percent-encoded")
	}
	return checkSecret(config.ConnConfig.Password)
}

package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// shardSettings is one shard as TERSE_SHARDS names it.
type shardSettings struct {
	name     string
	primary  string
	replicas []string
}

// shardName is what a shard may be called: its name is a label of metrics and an
// argument of commands.
var shardName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// maxShards is the most shards: each needs a bucket, and each node connects to
// all of them.
const maxShards = 64

// parseShards reads shards separated by semicolons or newlines, each a name, the
// URL of its primary and those of its replicas. URLs carry passwords: they are
// never part of an error.
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
			problem("its name must be up to 32 of a-z, 0-9 and -, and come before its URLs")
		case names[s.name]:
			problem("there is another shard named %s", s.name)
		case len(fields) == 1:
			problem("%s has no URL of a primary", s.name)
		}
		names[s.name] = true
		for i, dsn := range fields[1:] {
			what := serverName(i)
			if err := checkDSN(dsn); err != nil {
				problem("%s: %w", what, err)
			} else if other := servers[dsn]; other != "" {
				problem("%s has the URL of %s", what, other)
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
		problems = append(problems, fmt.Errorf("names %d shards, %d at most", len(shards), maxShards))
	}
	return shards, errors.Join(problems...)
}

// serverName names the servers of a shard in the order of their URLs.
func serverName(i int) string {
	if i == 0 {
		return "primary"
	}
	return fmt.Sprintf("replica %d", i)
}

// checkDSN refuses what is no connection URL, without repeating it.
func checkDSN(dsn string) error {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return errors.New("must be a URL such as postgres://user:password@host:5432/database")
	}
	// A password with a bare / or @ reads as a part of another field, which is shown.
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil || strings.Count(dsn, "@") > 1 || strings.ContainsAny(config.ConnConfig.Database, "/@") {
		return errors.New("is no connection URL that can be read; special characters in a password must be percent-encoded")
	}
	return checkSecret(config.ConnConfig.Password)
}

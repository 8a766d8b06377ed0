package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/store/postgres"
	"github.com/terse/terse/store/postgres/schema"
)

type shardCommand struct {
	Status shardStatus `cmd:"" help:"Show the shards and their servers: state, lag, buckets, links, schema version."`
}

// statusTimeout bounds the status of all shards together, unreachable ones included.
const statusTimeout = 5 * time.Second

type shardStatus struct {
	dataFlags
	JSON bool `name:"json" help:"Print JSON, for programs."`
}

// Run shows the shards. It prints every shard first, and then returns an error when a
// server is unusable.
func (c *shardStatus) Run(ctx context.Context, out output) error {
	shards, err := c.readShards()
	switch {
	case err != nil:
		return err
	case len(shards) == 0:
		return settingsError{fmt.Errorf("%sSHARDS: is required to show shards", envPrefix)}
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	statuses := make([]shardJSON, len(shards))
	var group errgroup.Group
	for i, s := range shards {
		group.Go(func() (err error) {
			statuses[i], err = statusOf(ctx, s)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if c.JSON {
		err = printStatusJSON(out, statuses)
	} else {
		err = printStatus(out, statuses)
	}
	return errors.Join(err, unhealthy(statuses))
}

// shardJSON is the status of one shard, as --json prints it.
type shardJSON struct {
	Name          string       `json:"name"`
	SchemaVersion int          `json:"schema_version"`
	SchemaLatest  int          `json:"schema_latest"`
	Dirty         bool         `json:"dirty"`
	MapVersion    int64        `json:"map_version"`
	Buckets       int          `json:"buckets"`
	Links         int64        `json:"links_estimated"`
	counted       bool         // Links is exact
	Error         string       `json:"error,omitempty"`
	Servers       []serverJSON `json:"servers"`
}

// serverJSON is the status of one server. A missing lag is unknown.
type serverJSON struct {
	Server     string   `json:"server"`
	Address    string   `json:"address"`
	State      string   `json:"state"`
	LagBytes   *int64   `json:"lag_bytes,omitempty"`
	LagSeconds *float64 `json:"lag_seconds,omitempty"`
	Error      string   `json:"error,omitempty"`
}

// statusOf connects to one shard and reads its status.
func statusOf(ctx context.Context, s shardSettings) (shardJSON, error) {
	one, err := postgres.Open(ctx, postgres.Options{
		Name: s.name, Primary: s.primary, Replicas: s.replicas, SchemaVersion: schema.Latest(),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return shardJSON{}, err
	}
	status := one.Status(ctx)
	j := shardJSON{
		Name: status.Name, SchemaVersion: status.SchemaVersion, SchemaLatest: schema.Latest(), Dirty: status.Dirty,
		MapVersion: status.MapVersion, Buckets: status.Buckets, Links: status.Links, counted: status.Counted, Error: errorText(status.Err),
	}
	for _, server := range status.Servers {
		sj := serverJSON{Server: server.Name, Address: server.Address, State: stateOf(server), Error: errorText(server.Err)}
		if server.Lag.Known {
			seconds := server.Lag.Time.Seconds()
			sj.LagBytes, sj.LagSeconds = &server.Lag.Bytes, &seconds
		}
		j.Servers = append(j.Servers, sj)
	}
	return j, one.Close()
}

// stateOf names the state of a server.
func stateOf(s postgres.ServerStatus) string {
	switch {
	case s.Err != nil:
		return "unusable"
	case s.InRecovery:
		return "replica"
	}
	return "primary"
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func printStatusJSON(out output, statuses []shardJSON) error {
	encoder := json.NewEncoder(out.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(map[string]any{"shards": statuses})
}

func printStatus(out output, statuses []shardJSON) error {
	w := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHARD\tSERVER\tADDRESS\tSTATE\tLAG\tBUCKETS\tLINKS\tSCHEMA")
	for _, s := range statuses {
		for i, server := range s.Servers {
			lag, rest := "-", "\t\t"
			if server.LagBytes != nil {
				lag = fmt.Sprintf("%d B, %.1f s", *server.LagBytes, *server.LagSeconds)
			}
			if i == 0 {
				rest = fmt.Sprintf("%d\t%s\t%d of %d", s.Buckets, s.links(), s.SchemaVersion, s.SchemaLatest)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, server.Server, server.Address, server.State, lag, rest)
		}
	}
	return w.Flush()
}

// links formats the number of links. An estimate begins with "~".
func (s *shardJSON) links() string {
	switch {
	case s.Error != "":
		return "unknown"
	case s.counted:
		return strconv.FormatInt(s.Links, 10)
	}
	return fmt.Sprintf("~%d", s.Links)
}

// unhealthy returns an error with every problem of the shards and servers, or nil.
func unhealthy(statuses []shardJSON) error {
	var problems []error
	for _, s := range statuses {
		if s.Error != "" {
			problems = append(problems, fmt.Errorf("shard %s: %s", s.Name, s.Error))
		}
		if s.Dirty || s.SchemaVersion < s.SchemaLatest && s.Error == "" {
			problems = append(problems, fmt.Errorf("shard %s: the schema is not ready. Show it with: terse migrate status", s.Name))
		}
		for _, server := range s.Servers {
			if server.Error != "" && server.Error != s.Error {
				problems = append(problems, fmt.Errorf("shard %s: %s: %s", s.Name, server.Server, server.Error))
			}
		}
	}
	return errors.Join(problems...)
}

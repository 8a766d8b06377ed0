//go:build unix

package topology

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// DefaultShards and DefaultNodes are the smallest numbers that behave like many.
const (
	DefaultShards = 2
	DefaultNodes  = 3
)

// maxPart is the most shards or nodes, for the sake of the machine.
const maxPart = 16

// Options configures a Topology.
type Options struct {
	// Dir is the parent folder of all files. It must exist, and the account that runs the
	// servers must be able to write to it. Default: the system's temporary folder.
	Dir string

	// Binary is the path of terse. The account that runs the servers must be able to
	// execute it. Required.
	Binary string

	Shards int // default DefaultShards
	Nodes  int // default DefaultNodes

	// NodeProcs is GOMAXPROCS of each node. Default: the number of cores.
	NodeProcs int

	// Settings are added to the nodes' JSON settings and override the topology's own
	// settings. Rate limits are off unless set here, because all visitors of one machine
	// have the same address.
	Settings Settings

	// Durable makes acknowledged links survive a power failure of the machine. Without it,
	// they survive the failure of any one server.
	Durable bool
}

// Settings are settings of nodes, with the names of the JSON file.
type Settings map[string]string

// Set adds a setting in the form NAME=VALUE of a command line.
func (s Settings) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("must be NAME=VALUE")
	}
	s[name] = value
	return nil
}

func (o *Options) setDefaults() {
	if o.Shards == 0 {
		o.Shards = DefaultShards
	}
	if o.Nodes == 0 {
		o.Nodes = DefaultNodes
	}
}

func (o *Options) validate() error {
	var errs []error
	if o.Binary == "" {
		errs = append(errs, errors.New("option Binary is required"))
	}
	for name, n := range map[string]int{"Shards": o.Shards, "Nodes": o.Nodes} {
		if n < 1 || n > maxPart {
			errs = append(errs, fmt.Errorf("option %s = %d, must be from 1 to %d", name, n, maxPart))
		}
	}
	return errors.Join(errs...)
}

// settings returns the settings of a node: the defaults, then of, then o.Settings.
func (o *Options) settings(of map[string]string) map[string]string {
	all := map[string]string{
		"limit_create_anonymous": "off", "limit_create_total": "off", "limit_create_key": "off", "limit_unknown": "off",
		"trusted_proxies": "127.0.0.1/32", "log_format": "json", "log_level": "warn",
	}
	maps.Copy(all, of)
	maps.Copy(all, o.Settings)
	return all
}

// postgres returns the settings of the database servers. They are small, because all
// servers share one machine. A replica must not allow fewer connections than the cluster
// that it is copied from, which allows 100.
func (o *Options) postgres() map[string]string {
	return map[string]string{
		"max_connections": strconv.Itoa(100 + 16*o.Nodes), "max_locks_per_transaction": "256", "shared_buffers": "128MB",
		"max_wal_size": "2GB", "wal_sender_timeout": "2s", "checkpoint_timeout": "15min",
	}
}

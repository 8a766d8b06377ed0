//go:build unix

package topology

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// DefaultShards and DefaultNodes are the smallest numbers that show what many do.
const (
	DefaultShards = 2
	DefaultNodes  = 3
)

// maxPart bounds a number of shards or nodes to what one machine can bear.
const maxPart = 16

// Options say what to start.
type Options struct {
	// Dir is where everything keeps its files: a folder that exists and is open to
	// the account that the servers run as. Default: the system's for temporary files.
	Dir string

	// Binary is terse, which that account may run. Required.
	Binary string

	Shards int // default DefaultShards
	Nodes  int // default DefaultNodes

	// NodeProcs is how many threads of a node may run Go at once. Default: as many as
	// there are cores.
	NodeProcs int

	// Settings are of the nodes, as members of their JSON file, beyond and before
	// those that the topology needs. Limits are off by default: all visitors of one
	// machine have one address.
	Settings Settings

	// Durable makes links survive the loss of the machine's power. Default: they
	// survive that of any server.
	Durable bool
}

// Settings are of nodes, by the names that they have in their JSON file.
type Settings map[string]string

// Set adds one that is given as NAME=VALUE, as on a command line.
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

// settings returns those of a node.
func (o *Options) settings(of map[string]string) map[string]string {
	all := map[string]string{
		"limit_create_anonymous": "off", "limit_create_key": "off", "limit_unknown": "off",
		"trusted_proxies": "127.0.0.1/32", "log_format": "json", "log_level": "warn",
	}
	maps.Copy(all, of)
	maps.Copy(all, o.Settings)
	return all
}

// postgres returns the settings of the database servers, which are small: two
// shards, their replicas and everything else share one machine. A replica must not
// have fewer connections than the empty cluster that it is made from, 100.
func (o *Options) postgres() map[string]string {
	return map[string]string{
		"max_connections": strconv.Itoa(100 + 16*o.Nodes), "max_locks_per_transaction": "256", "shared_buffers": "128MB",
		"max_wal_size": "2GB", "wal_sender_timeout": "2s", "checkpoint_timeout": "15min",
	}
}

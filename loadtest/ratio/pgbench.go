//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// pgbench is a yardstick: prepared statements from the load generator of Postgres.
type pgbench struct {
	program string
	script  string // path of its file
	dsn     string
	clients int
	turn    time.Duration
}

// newPgbench returns a pgbench that repeats a script. The caller must close it.
func newPgbench(ctx context.Context, s *shard, script string, clients int, turn time.Duration) (*pgbench, error) {
	program, err := testenv.Program(ctx, "pgbench")
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp("", "terse-ratio-*.sql")
	if err != nil {
		return nil, err
	}
	_, err = file.WriteString(script)
	p := &pgbench{program: program, script: file.Name(), dsn: s.dsn(), clients: clients, turn: turn}
	if err := errors.Join(err, file.Close()); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *pgbench) close() { _ = os.Remove(p.script) }

// run returns the transactions per second of one turn, without the time to connect.
func (p *pgbench) run(ctx context.Context) (float64, error) {
	cmd := exec.CommandContext(ctx, p.program, "--no-vacuum", "--protocol=prepared", "--file="+p.script, //nolint:gosec // Postgres' own
		"--client="+strconv.Itoa(p.clients), "--jobs="+strconv.Itoa(min(p.clients, runtime.NumCPU())),
		"--time="+strconv.Itoa(max(1, int(p.turn.Seconds()))), p.dsn)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	for _, unwanted := range []string{"number of failed transactions: [^0]", "aborted"} {
		if regexp.MustCompile(unwanted).Match(out) {
			return 0, fmt.Errorf("some transactions failed: %s", out)
		}
	}
	found := regexp.MustCompile(`(?m)^tps = ([0-9.]+)`).FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("no rate in %s", out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

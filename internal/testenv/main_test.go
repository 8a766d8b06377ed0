//go:build unix

package testenv_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/terse/terse/internal/testenv"
)

// childOf is the environment variable that makes this test binary a child process. Its
// value says what the child does before it waits to be killed.
const childOf = "SERVERS_TEST_CHILD"

const (
	startsServers = "servers"
	claimsPorts   = "ports"

	// claimedPorts is so many that two processes that chose at random would have some ports
	// in common.
	claimedPorts = 500
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(childOf) {
	case startsServers:
		err = serversOfChild()
	case claimsPorts:
		err = portsOfChild()
	default:
		goleak.VerifyTestMain(m)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// portsOfChild writes the ports that it claims to stdout.
func portsOfChild() error {
	for range claimedPorts {
		port, err := testenv.FreePort(context.Background())
		if err != nil {
			return err
		}
		fmt.Println(port)
	}
	bufio.NewScanner(os.Stdin).Scan()
	return nil
}

// serversOfChild writes the process id and address of each of its servers to stdout.
func serversOfChild() error {
	ctx := context.Background()
	c, err := testenv.StartCluster(ctx, testenv.ClusterOptions{Replicas: 1})
	if err != nil {
		return err
	}
	b, err := testenv.StartPgBouncer(ctx, c.Primary())
	if err != nil {
		return err
	}
	// A frozen server reacts to SIGKILL only.
	if err := c.Replicas()[0].Freeze(); err != nil {
		return err
	}
	fmt.Println(c.Primary().Pid(), c.Primary().Addr())
	fmt.Println(c.Replicas()[0].Pid(), c.Replicas()[0].Addr())
	fmt.Println(b.Pid(), b.Addr())
	bufio.NewScanner(os.Stdin).Scan()
	return nil
}

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

// childOf is the environment variable that makes this test binary a child process.
// The child starts servers and waits to be killed.
const childOf = "SERVERS_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childOf) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// child writes the process id and address of each of its servers to stdout.
func child() error {
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

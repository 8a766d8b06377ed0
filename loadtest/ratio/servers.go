package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is a server that this command started.
type process struct {
	url    string
	cmd    *exec.Cmd
	folder string // removed when it stops; may be empty
}

// start runs a server that prints a line ending in its URL when it is ready.
func start(cmd *exec.Cmd, folder string) (*process, error) {
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, folder: folder}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s said no address: %w", cmd.Path, err)
	}
	_, address, found := strings.Cut(strings.TrimSpace(line), "http://")
	if !found {
		p.stop()
		return nil, fmt.Errorf("%s said no address: %q", cmd.Path, line)
	}
	p.url = "http://" + address
	return p, nil
}

// stop ends the server and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	if p.folder != "" {
		_ = os.RemoveAll(p.folder)
	}
}

// startTerse runs the product with everything on and its log kept to warnings.
func startTerse(ctx context.Context, binary string) (*process, error) {
	folder, err := os.MkdirTemp("", "terse-ratio-")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", //nolint:gosec // the operator names the binary
		"--data-dir", folder, "--log-level", "warn")
	return start(cmd, folder)
}

// link is what was created, and the headers of its redirect.
type link struct {
	code    string
	headers http.Header
}

// createLink creates the link that is measured and reads its redirect.
func createLink(ctx context.Context, url string) (link, error) {
	body := strings.NewReader(`{"url":"https://example.com/catalogue/spring?utm_source=letter&utm_campaign=2026-spring&page=12#section"}`)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/links", body)
	if err != nil {
		return link{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return link{}, err
	}
	defer func() { _ = response.Body.Close() }()
	var created struct {
		Code string `json:"code"`
	}
	if response.StatusCode != http.StatusCreated {
		return link{}, fmt.Errorf("create answered %s, want 201", response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&created); err != nil {
		return link{}, fmt.Errorf("read the created link: %w", err)
	}
	headers, err := newLoad("terse", url, "/"+created.Code).first()
	return link{created.Code, headers}, err
}

// startBare runs this command as the yardstick.
func startBare(ctx context.Context, l link) (*process, error) {
	headers := l.headers.Clone()
	headers.Del("Date")
	encoded, err := json.Marshal(headers)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(exec.CommandContext(ctx, self, "-bare", string(encoded)), "") //nolint:gosec // it runs itself
}

// serveBare serves the yardstick: a handler that does nothing but answer, in a
// server with the timeouts of the product's, which each cost a timer a request
// and which no public server goes without.
func serveBare(ctx context.Context, encoded string) error {
	headers := http.Header{}
	if err := json.Unmarshal([]byte(encoded), &headers); err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), headers)
		w.WriteHeader(http.StatusFound)
	})
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "http://%s\n", listener.Addr())
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       75 * time.Second,
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// startTerse starts the product with its defaults and these settings, each TERSE_NAME=VALUE.
// It logs only warnings and errors.
func startTerse(ctx context.Context, binary string, settings ...string) (*process, error) {
	folder, err := os.MkdirTemp("", "terse-ratio-")
	if err != nil {
		return nil, err
	}
	return startTerseIn(ctx, binary, folder, settings...)
}

// startTerseIn is startTerse on a data folder, which stop removes.
func startTerseIn(ctx context.Context, binary, folder string, settings ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, binary, "serve")
	cmd.Env = slices.Concat(os.Environ(), []string{
		"TERSE_LISTEN=127.0.0.1:0", "TERSE_ADMIN_LISTEN=127.0.0.1:0", "TERSE_DATA_DIR=" + folder, "TERSE_LOG_LEVEL=warn",
	}, settings) // the last value of a variable counts
	return start(cmd, folder)
}

// link is a created link and the headers of its redirect.
type link struct {
	code    string
	headers http.Header
}

// createLink creates a link and reads its redirect.
func createLink(ctx context.Context, url string) (link, error) {
	body := strings.NewReader(`{"url":"https://example.com/catalogue/spring?utm_source=letter&utm_campaign=2026-spring&page=12#section"}`)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/links", body)
	if err != nil {
		return link{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: anyCertificate()}}
	defer client.CloseIdleConnections()
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
	headers, err := newRepeated(url, created.Code).first()
	return link{created.Code, headers}, err
}

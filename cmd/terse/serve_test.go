package main

import (
	"net/http"
	"strings"
	"testing"
)

func TestSecondServeIsRefused(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first := start(t, dir)
	environ := []string{"TERSE_DATA_DIR=" + dir, "TERSE_LISTEN=127.0.0.1:0", "TERSE_ADMIN_LISTEN=127.0.0.1:0"}
	if got := terse(t, environ, "serve"); got.status != 1 || !strings.Contains(got.stderr, dir) {
		t.Errorf("second serve = %+v, want an error that names %s", got, dir)
	}
	if got := terse(t, environ[:1], "key", "create", "--name", "beside"); got.status != 0 {
		t.Errorf("key create beside the server = %+v", got)
	}
	response, err := http.Get(first.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("first server = %d, want 200", response.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestWrongCodeKeyIsRefused(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	start(t, dir).stop()
	got := terse(t, []string{"TERSE_DATA_DIR=" + dir, "TERSE_ADMIN_LISTEN=127.0.0.1:0", "TERSE_CODE_KEY=8owXEt2q4PbWuLzRoC+eigADsww+xtyOLjAsSLrMSrc="}, "serve")
	if got.status != 2 || !strings.Contains(got.stderr, "TERSE_CODE_KEY") {
		t.Errorf("serve with another code key = %+v, want status 2 naming TERSE_CODE_KEY", got)
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	t.Parallel()
	first := start(t, dataDir(t))
	address := strings.TrimPrefix(strings.Replace(first.url, "localhost", "127.0.0.1", 1), "http://")
	got := terse(t, []string{"TERSE_LISTEN=" + address, "TERSE_ADMIN_LISTEN=127.0.0.1:0"}, "serve", "--data-dir", dataDir(t))
	if got.status != 1 || !strings.Contains(got.stderr, "TERSE_LISTEN") || !strings.Contains(got.stderr, address) {
		t.Errorf("serve on a taken port = %+v, want status 1 naming it", got)
	}
}

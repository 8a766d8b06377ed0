package api_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"testing"
)

// TestPackedFiles checks that large files are served as they are in memory, compressed only for
// clients that accept gzip, and with the same content for all clients.
func TestPackedFiles(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.Client().Transport.(*http.Transport).DisableCompression = true
	for _, path := range []string{"/api/openapi.json", "/api/openapi-3.0.json", "/api/docs/swagger-ui.css", "/api/docs/swagger-ui-bundle.js"} {
		want := s.get(path)
		if len(want.body) < 10_000 || want.header.Get("Content-Encoding") != "" {
			t.Errorf("%s = %d bytes, Content-Encoding %q, want a large file that is not compressed", path, len(want.body), want.header.Get("Content-Encoding"))
		}
		for accept, compressed := range map[string]bool{
			"gzip": true, "br, GZIP;q=0.5, zstd": true, "*": true, "gzip ; q=1.0": true, "identity;q=0.5, gzip;q=0.1": true,
			"zstd": false, "br": false, "gzip;q=0": false, "*, gzip;q=0": false, "gzip;q=0, *": false, "*;q=0": false, "identity": false, "xgzip": false, "": false, "gzip;q=x": false,
		} {
			a := s.get(path, "Accept-Encoding", accept)
			body := a.body
			if compressed {
				z, err := gzip.NewReader(bytes.NewReader(body))
				must(t, err)
				body, err = io.ReadAll(z)
				must(t, err)
			}
			if encoding := a.header.Get("Content-Encoding"); (encoding == "gzip") != compressed || !compressed && encoding != "" {
				t.Errorf("%s for %q has Content-Encoding %q, want gzip = %v", path, accept, encoding, compressed)
			}
			if !bytes.Equal(body, want.body) {
				t.Errorf("%s for %q has another content", path, accept)
			}
			if got := a.header.Get("Content-Length"); got != strconv.Itoa(len(a.body)) {
				t.Errorf("%s for %q has Content-Length %q, want %d: the file is in memory", path, accept, got, len(a.body))
			}
			if a.header.Get("No-Gzip-Compression") != "" || a.header.Get("Vary") == "" {
				t.Errorf("%s for %q has the headers %v", path, accept, a.header)
			}
		}
		if a := s.do(http.MethodHead, path, nil, "Accept-Encoding", "gzip"); a.status != http.StatusOK || len(a.body) != 0 {
			t.Errorf("HEAD %s = %d with %d bytes", path, a.status, len(a.body))
		}
	}
}

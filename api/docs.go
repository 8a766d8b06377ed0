package api

import (
	"embed"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui/v5/static"
)

//go:embed docs
var docsFiles embed.FS

// docsPolicy is the Content-Security-Policy of the documentation. Swagger UI needs inline
// styles, and data URLs for its icons.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"

// serveDocs serves Swagger UI from the binary.
func serveDocs(e *echo.Echo) error {
	page := func(name string) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Response().Header().Set("Content-Security-Policy", docsPolicy)
			http.ServeFileFS(c.Response(), c.Request(), docsFiles, "docs/"+name)
			return nil
		}
	}
	e.GET("/api/docs", page("page.html"))
	e.GET("/api/docs/init.js", page("init.js"))
	for name, contentType := range map[string]string{
		"swagger-ui.css":       "text/css; charset=utf-8",
		"swagger-ui-bundle.js": "text/javascript; charset=utf-8",
	} {
		file, err := static.FS.ReadFile(name + ".gz")
		if err != nil {
			return fmt.Errorf("api: read Swagger UI: %w", err)
		}
		e.GET("/api/docs/"+name, packedAlready(contentType, "public, max-age=3600", file).serve)
	}
	return nil
}

package api

import (
	"embed"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui/v5/static"
	"github.com/vearutop/statigz"
)

//go:embed docs
var docsFiles embed.FS

// docsPolicy is the Content-Security-Policy of the documentation. Swagger UI needs inline
// styles, and data URLs for its icons.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"

// serveDocs serves Swagger UI from the binary.
func serveDocs(e *echo.Echo) {
	page := func(name string) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Response().Header().Set("Content-Security-Policy", docsPolicy)
			http.ServeFileFS(c.Response(), c.Request(), docsFiles, "docs/"+name)
			return nil
		}
	}
	e.GET("/api/docs", page("page.html"))
	e.GET("/api/docs/init.js", page("init.js"))
	files := http.StripPrefix("/api/docs", statigz.FileServer(static.FS))
	for _, name := range []string{"swagger-ui.css", "swagger-ui-bundle.js"} {
		e.GET("/api/docs/"+name, func(c echo.Context) error {
			c.Response().Header().Set("Cache-Control", "public, max-age=3600")
			files.ServeHTTP(c.Response(), c.Request())
			return nil
		})
	}
}

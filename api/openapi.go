package api

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/terse/terse/store"
)

// describe registers the link resources, the OpenAPI document that they make
// and the page over it.
func (a *API) describe(e *echo.Echo) error {
	h := humaecho.New(e, a.humaConfig())
	a.schemas = h.OpenAPI().Components.Schemas
	a.registerLinks(h)
	a.registerArchive(h)
	a.registerAbuse(h)
	complete(h.OpenAPI())
	document, err := write(h.OpenAPI())
	if err != nil {
		return fmt.Errorf("api: write the OpenAPI document: %w", err)
	}
	older, err := downgrade(h.OpenAPI())
	if err != nil {
		return fmt.Errorf("api: write the OpenAPI document for older tools: %w", err)
	}
	for path, text := range map[string][]byte{"/api/openapi.json": document, "/api/openapi-3.0.json": older} {
		e.GET(path, func(c echo.Context) error {
			return c.Blob(http.StatusOK, "application/openapi+json", text)
		})
	}
	serveDocs(e)
	return nil
}

// humaConfig is huma without what it would serve by itself: its pages load from
// elsewhere. Bodies are read strictly: a duplicate name or invalid UTF-8 is an
// error (RFC 7493, I-JSON).
func (a *API) humaConfig() huma.Config {
	config := huma.DefaultConfig("Terse", a.opts.Version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.Transformers = []huma.Transformer{tidyProblem}
	strict := huma.Format{
		Marshal:   writeJSON,
		Unmarshal: readJSON,
	}
	config.RejectUnknownQueryParameters = true
	config.Formats = map[string]huma.Format{"application/json": strict, "json": strict}
	config.Info.Description = "Short links that redirect, whatever else is broken."
	config.Servers = []*huma.Server{{URL: a.opts.BaseURL}}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key": {Type: "http", Scheme: "bearer", Description: "An API key, made by `terse key create`."},
	}
	return config
}

// readJSON reads a body strictly. Its errors are worded for the client, who knows
// nothing of our types.
func readJSON(data []byte, v any) error {
	err := jsonv2.Unmarshal(data, v, jsonv2.RejectUnknownMembers(true))
	if wrong, ok := errors.AsType[*jsonv2.SemanticError](err); ok {
		if errors.Is(wrong.Err, jsonv2.ErrUnknownName) {
			return fmt.Errorf("%s: there is no such field", wrong.JSONPointer)
		}
		return fmt.Errorf("%s: the value has the wrong type", wrong.JSONPointer)
	}
	if wrong, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("no valid JSON at byte %d: %w", wrong.ByteOffset, wrong.Err)
	}
	return err
}

// Who may call an operation: the owner of a key, or everybody.
var (
	keyed  = []map[string][]string{{"key": {}}}
	public = []map[string][]string{{"key": {}}, {}}
)

// admin is the door of what administrators alone may call.
var admin = needs(store.ScopeAdmin)

// operation returns an operation under a tag, with the errors that it may answer
// beside those of all operations.
func operation(tag, id, method, path, summary string, security []map[string][]string, errors ...int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary,
		Tags: []string{tag}, Security: security,
		// readBody has bounded the body and read it in time. A deadline for reading that
		// passes afterwards would end the request as if its client had left.
		MaxBodyBytes: -1, BodyReadTimeout: -1,
		Errors: append(errors, 400, 429, 503),
	}
}

func (a *API) registerArchive(h huma.API) {
	huma.Register(h, operation("Archive", "exportLinks", http.MethodGet, archivePath,
		"Take out everybody's links, whole, with an admin key", keyed, 401, 403, 422), a.exportLinks)
	put := operation("Archive", "importLinks", http.MethodPost, archivePath,
		"Put in up to 1000 links as they are, with an admin key; repeating it changes nothing", keyed, 401, 403, 408, 413, 415, 422)
	put.SkipValidateBody = true // every item is validated by itself
	huma.Register(h, a.behind(door{may: admin.may, list: true}, put), a.importLinks)
}

func (a *API) registerLinks(h huma.API) {
	op := func(id, method, path, summary string, security []map[string][]string, errors ...int) huma.Operation {
		return operation("Links", id, method, path, summary, security, errors...)
	}
	create := op("createLink", http.MethodPost, linksPath, "Create a link", public, 401, 403, 408, 409, 410, 413, 415, 422)
	create.DefaultStatus = http.StatusCreated
	huma.Register(h, a.behind(door{may: a.mayCreate, creates: true}, create), a.createLink)
	batch := op("createLinks", http.MethodPost, linksPath+"/batch", "Create up to 1000 links", public, 401, 403, 408, 413, 415, 422)
	batch.SkipValidateBody = true // every item is validated by itself
	huma.Register(h, a.behind(door{may: a.mayCreate, creates: true, list: true}, batch), a.createBatch)
	huma.Register(h, op("listLinks", http.MethodGet, linksPath, "List your links, newest first", keyed, 401, 403, 422), a.listLinks)
	huma.Register(h, op("getLink", http.MethodGet, linkPath, "Read a link", keyed, 401, 403, 404, 410), a.getLink)
	huma.Register(h, a.behind(needs(store.ScopeLinksWrite), op("editLink", http.MethodPatch, linkPath, "Edit a link", keyed, 401, 403, 404, 408, 410, 412, 413, 415, 422)), a.editLink)
	remove := op("deleteLink", http.MethodDelete, linkPath, "Delete a link; its code is never given to another", keyed, 401, 403, 404, 410, 412)
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(h, remove, a.deleteLink)
	picture := op("drawLink", http.MethodGet, linkPath+"/qr", "Draw the short URL as a QR code", public, 401, 404, 410, 422)
	picture.Responses = map[string]*huma.Response{"200": {
		Description: "The picture",
		Content: map[string]*huma.MediaType{
			"image/svg+xml": {Schema: &huma.Schema{Type: huma.TypeString}},
			"image/png":     {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
		},
	}}
	huma.Register(h, picture, a.qrCode)
	huma.Register(h, a.behind(admin, op("disableLink", http.MethodPost, linkPath+"/disable", "Take a link down for abuse", keyed, 401, 403, 404, 408, 410, 413, 415, 422)), a.disableLink)
	huma.Register(h, a.behind(admin, op("enableLink", http.MethodPost, linkPath+"/enable", "Undo a takedown", keyed, 401, 403, 404, 408, 410, 413, 415, 422)), a.enableLink)
	huma.Register(h, op("readHistory", http.MethodGet, linkPath+"/history", "Read who changed a link, newest first; deleted links have a history too", keyed, 401, 403, 404, 422), a.linkHistory)
	huma.Register(h, a.behind(needs(store.ScopeLinksWrite), op("rollBackLink", http.MethodPost, linkPath+"/rollback", "Give a link the target of an earlier version", keyed, 401, 403, 404, 408, 410, 412, 413, 415, 422)), a.rollBack)
}

// registerAbuse registers what admins need against abuse.
func (a *API) registerAbuse(h huma.API) {
	op := func(id, method, path, summary string, errors ...int) huma.Operation {
		return operation("Abuse", id, method, path, summary, keyed, errors...)
	}
	block := op("blockHost", http.MethodPost, blocklistPath, "Block a host: no link may lead there", 401, 403, 408, 413, 415, 422)
	block.DefaultStatus = http.StatusCreated
	huma.Register(h, a.behind(admin, block), a.blockHost)
	huma.Register(h, op("listBlockedHosts", http.MethodGet, blocklistPath, "List the blocked hosts of the database, sorted", 401, 403, 422), a.listBlocked)
	unblock := op("unblockHost", http.MethodDelete, blocklistPath+"/{host}", "Take a host off the list", 401, 403, 404)
	unblock.DefaultStatus = http.StatusNoContent
	huma.Register(h, unblock, a.unblockHost)
	huma.Register(h, op("listReports", http.MethodGet, reportsPath, "List what visitors have reported, newest first", 401, 403, 422), a.listReports)
	huma.Register(h, a.behind(admin, op("resolveReport", http.MethodPost, reportsPath+"/{id}/resolve", "Close a report", 401, 403, 404, 408, 413, 415, 422)), a.resolveReport)
}

package api

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// describe registers the resources, the OpenAPI document that describes them, and the
// documentation page.
func (a *API) describe(e *echo.Echo) error {
	h := humaecho.New(e, a.humaConfig())
	a.schemas = h.OpenAPI().Components.Schemas
	a.registerLinks(h)
	a.registerStats(h)
	a.registerShares(h)
	a.registerArchive(h)
	a.registerDomains(h)
	a.registerMembers(h)
	a.registerAbuse(h)
	complete(h.OpenAPI())
	for path, write := range map[string]func(*huma.OpenAPI) ([]byte, error){
		"/api/openapi.json":     write,
		"/api/openapi-3.0.json": downgrade,
	} {
		e.GET(path, pack("application/openapi+json", "no-store", func() ([]byte, error) { return write(h.OpenAPI()) }).serve)
	}
	return serveDocs(e)
}

// humaConfig returns the configuration of huma. Huma's own pages are off, because they
// load files from other servers. Bodies are read strictly: a duplicate name or invalid
// UTF-8 is an error (RFC 7493, I-JSON).
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
	config.Info.Description = infoText()
	config.Info.License = &huma.License{Name: "MIT", URL: "https://opensource.org/license/mit"}
	// The documentation page calls the address that it was loaded from. Its policy allows no other.
	config.Servers = []*huma.Server{{URL: "/", Description: "The server of this document"}}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key": {Type: "http", Scheme: "bearer", Description: "An API key: `Authorization: Bearer tk_…`. An administrator creates keys with `terse key create`."},
	}
	return config
}

// readJSON reads a body strictly. Its errors are for the client and name no Go types.
func readJSON(data []byte, v any) error {
	err := jsonv2.Unmarshal(data, v, jsonv2.RejectUnknownMembers(true))
	if wrong, ok := errors.AsType[*jsonv2.SemanticError](err); ok {
		field := fieldAt(wrong.JSONPointer)
		switch {
		case errors.Is(wrong.Err, jsonv2.ErrUnknownName):
			return &store.FieldError{Field: field, Reason: "unknown field"}
		case field == "":
			return errors.New(notObject(reflect.TypeOf(v).Elem()))
		}
		return &store.FieldError{Field: field, Reason: "the value has the wrong type"}
	}
	if wrong, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("invalid JSON at byte %d: %w", wrong.ByteOffset, wrong.Err)
	}
	return err
}

// fieldAt returns the field at a JSON pointer, such as rules[0].to.
func fieldAt(pointer jsontext.Pointer) (field string) {
	for token := range pointer.Tokens() {
		_, err := strconv.ParseUint(token, 10, 32)
		switch {
		case field == "":
			field = token
		case err == nil:
			field += "[" + token + "]"
		default:
			field += "." + token
		}
	}
	return field
}

// Security of an operation: a key is required, or optional.
var (
	keyed  = []map[string][]string{{"key": {}}}
	public = []map[string][]string{{"key": {}}, {}}
)

// operation returns an operation under a tag. errors are its possible error statuses, in
// addition to 400, 429 and 503.
func operation(tag, id, method, path, summary string, security []map[string][]string, errors ...int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary,
		Tags: []string{tag}, Security: security,
		// takeBody already bounds the size and the time of the body. A second read deadline
		// that passes later would cancel the request as if the client had disconnected.
		MaxBodyBytes: -1, BodyReadTimeout: -1,
		Errors: append(errors, 400, 429, 503),
	}
}

func (a *API) registerArchive(h huma.API) {
	huma.Register(h, operation("Archive", "exportLinks", http.MethodGet, archivePath,
		"Export the links of all owners", keyed, 401, 403, 422), a.exportLinks)
	put := withBody[importInputBody](a.schemas, operation("Archive", "importLinks", http.MethodPost, archivePath,
		"Import up to 1000 links with every field", keyed, 401, 403, 408, 413, 415, 422))
	huma.Register(h, a.withPrecheck(precheck{may: a.may(links.Archiving), list: true}, put), a.importLinks)
}

func (a *API) registerLinks(h huma.API) {
	op := func(id, method, path, summary string, security []map[string][]string, errors ...int) huma.Operation {
		return operation("Links", id, method, path, summary, security, errors...)
	}
	editing, moderating := precheck{may: a.may(links.Editing), writes: true}, precheck{may: a.may(links.Moderating)}
	create := op("createLink", http.MethodPost, linksPath, "Create a link", public, 401, 403, 408, 409, 410, 413, 415, 422)
	create.DefaultStatus = http.StatusCreated
	create = withBody[CreateInput](a.schemas, create)
	huma.Register(h, a.withPrecheck(precheck{may: a.may(links.Creating), writes: true}, create), a.createLink)
	batch := withBody[createBatchInputBody](a.schemas, op("createLinks", http.MethodPost, linksPath+"/batch", "Create up to 1000 links", public, 401, 403, 408, 413, 415, 422))
	huma.Register(h, a.withPrecheck(precheck{may: a.may(links.Creating), writes: true, list: true}, batch), a.createBatch)
	huma.Register(h, op("listLinks", http.MethodGet, linksPath, "List your links, newest first", keyed, 401, 403, 422), a.listLinks)
	huma.Register(h, op("getLink", http.MethodGet, linkPath, "Read a link", keyed, 401, 403, 404, 410), a.getLink)
	huma.Register(h, a.withPrecheck(editing, withBody[editInput](a.schemas, op("editLink", http.MethodPatch, linkPath, "Edit or rename a link", keyed, 401, 403, 404, 408, 409, 410, 412, 413, 415, 422))), a.editLink)
	remove := op("deleteLink", http.MethodDelete, linkPath, "Delete a link", keyed, 401, 403, 404, 410, 412)
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
	huma.Register(h, a.withPrecheck(moderating, withBody[disableInputBody](a.schemas, op("disableLink", http.MethodPost, linkPath+"/disable", "Disable a link because of abuse", keyed, 401, 403, 404, 408, 410, 412, 413, 415, 422))), a.disableLink)
	huma.Register(h, a.withPrecheck(moderating, withOptionalBody[enableInputBody](a.schemas, op("enableLink", http.MethodPost, linkPath+"/enable", "Enable a disabled link", keyed, 401, 403, 404, 408, 410, 412, 413, 415, 422))), a.enableLink)
	explain := withOptionalBody[explainInputBody](a.schemas, op("explainLink", http.MethodPost, linkPath+"/explain", "Explain which rule applies to a visit", keyed, 401, 403, 404, 408, 410, 413, 415, 422))
	huma.Register(h, a.withPrecheck(precheck{may: a.may(links.Reading)}, explain), a.explainLink)
	huma.Register(h, op("readHistory", http.MethodGet, linkPath+"/history", "Read the changes of a link and their authors", keyed, 401, 403, 404, 422), a.linkHistory)
	huma.Register(h, a.withPrecheck(editing, withBody[rollbackInputBody](a.schemas, op("rollBackLink", http.MethodPost, linkPath+"/rollback", "Restore the target of an earlier version", keyed, 401, 403, 404, 408, 410, 412, 413, 415, 422))), a.rollBack)
}

// registerAbuse registers the operations that administrators use against abuse.
func (a *API) registerAbuse(h huma.API) {
	admin := precheck{may: a.mayFightAbuse} // before the body is decoded
	op := func(id, method, path, summary string, errors ...int) huma.Operation {
		return operation("Abuse", id, method, path, summary, keyed, errors...)
	}
	block := withBody[blockInputBody](a.schemas, op("blockHost", http.MethodPost, blocklistPath, "Block a host", 401, 403, 408, 413, 415, 422))
	block.DefaultStatus = http.StatusCreated
	huma.Register(h, a.withPrecheck(admin, block), a.blockHost)
	huma.Register(h, op("listBlockedHosts", http.MethodGet, blocklistPath, "List the blocked hosts", 401, 403, 422), a.listBlocked)
	unblock := op("unblockHost", http.MethodDelete, blocklistPath+"/{host}", "Unblock a host", 401, 403, 404)
	unblock.DefaultStatus = http.StatusNoContent
	huma.Register(h, unblock, a.unblockHost)
	huma.Register(h, op("listReports", http.MethodGet, reportsPath, "List the reports of visitors", 401, 403, 422), a.listReports)
	huma.Register(h, a.withPrecheck(admin, withOptionalBody[resolveReportInputBody](a.schemas, op("resolveReport", http.MethodPost, reportsPath+"/{id}/resolve", "Close a report", 401, 403, 404, 408, 413, 415, 422))), a.resolveReport)
}

package api_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// generator generates a Go client from the document. The generated code needs the runtime.
const (
	generator        = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"
	generatorRuntime = "github.com/oapi-codegen/runtime@v1.9.0"
)

// generatedProgram calls a server with the generated client.
const generatedProgram = `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
)

func main() {
	ctx := context.Background()
	c, err := NewClientWithResponses(os.Args[1], WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+os.Args[2])
		return nil
	}))
	check(err)
	alias, title, tags := "generated", "Made by a generated client", []string{"a", "b"}
	status, forward := CreateInputStatus(307), CreateInputForwardQuery("append")
	created, err := c.CreateLinkWithResponse(ctx, &CreateLinkParams{}, CreateInput{Url: "https://example.com/1", Alias: &alias, Title: &title, Tags: &tags, Status: &status, ForwardQuery: &forward})
	check(err)
	if created.JSON201 == nil || created.JSON201.Code != alias || len(created.JSON201.Tags) != 2 || created.JSON201.Status != 307 || created.JSON201.CreatedAt.IsZero() {
		fail("create", created.Status(), string(created.Body))
	}
	url := "https://example.com/2"
	edited, err := c.EditLinkWithResponse(ctx, alias, &EditLinkParams{}, EditInput{Url: &url})
	check(err)
	if edited.JSON200 == nil || edited.JSON200.Url != url || edited.JSON200.Version != 2 {
		fail("edit", edited.Status(), string(edited.Body))
	}
	listed, err := c.ListLinksWithResponse(ctx, &ListLinksParams{})
	check(err)
	if listed.JSON200 == nil || len(listed.JSON200.Links) != 1 || listed.JSON200.Links[0].Code != alias {
		fail("list", listed.Status(), string(listed.Body))
	}
	refused, err := c.CreateLinkWithResponse(ctx, &CreateLinkParams{}, CreateInput{Url: "javascript:alert(1)"})
	check(err)
	if p := refused.ApplicationproblemJSON422; p == nil || p.Errors == nil || *(*p.Errors)[0].Location != "body.url" {
		fail("refusal", refused.Status(), string(refused.Body))
	}
	exported, err := c.ExportLinksWithResponse(ctx, &ExportLinksParams{})
	check(err)
	if exported.JSON200 == nil || len(exported.JSON200.Links) != 1 {
		fail("export", exported.Status(), string(exported.Body))
	}
	deleted, err := c.DeleteLinkWithResponse(ctx, alias, &DeleteLinkParams{})
	check(err)
	if deleted.StatusCode() != http.StatusNoContent {
		fail("delete", deleted.Status(), string(deleted.Body))
	}
	fmt.Println("all is well")
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(what ...any) {
	fmt.Println(what...)
	os.Exit(1)
}
`

// TestGeneratedClient generates a client from each version of the document, with a common
// generator. The client then calls the server.
func TestGeneratedClient(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	for _, document := range []string{"/api/openapi.json", "/api/openapi-3.0.json"} {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			generateClient(t, document)
		})
	}
}

func generateClient(t *testing.T, document string) {
	s := newServer(t)
	token := strings.TrimPrefix(s.key("admin", store.ScopeAdmin)[1], "Bearer ")
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"openapi.json": s.get(document).body,
		"main.go":      []byte(generatedProgram),
		"go.mod":       []byte("module generated\n\ngo 1.26\n"),
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	for _, args := range [][]string{
		{"run", generator, "-generate", "types,client", "-package", "main", "-o", "client.go", "openapi.json"},
		{"get", generatorRuntime},
		{"mod", "tidy"},
		{"run", ".", s.URL, token},
	} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
		said, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %.80v = %v: %s", args, err, said)
		}
	}
}

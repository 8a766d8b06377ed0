package storetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Statements returns the constant SQL statements in the source of the package in a
// folder, so that a test fails for a statement that it does not know. The constant
// beginning of a statement that a function completes is among them.
func Statements(tb testing.TB, folder string) (all []string) {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		tb.Fatal(err)
	}
	constants := constants{}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			tb.Fatal(err)
		}
		files = append(files, file)
		constants.read(file)
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, ok := constants.text(e)
			if ok && isStatement(text) && !slices.Contains(all, text) {
				all = append(all, text)
			}
			return !ok // a part of a constant is no statement
		})
	}
	if len(all) == 0 {
		tb.Fatalf("there are no statements in %s", folder)
	}
	return all
}

// isStatement reports whether a text begins as SQL does.
func isStatement(text string) bool {
	verb, _, more := strings.Cut(strings.TrimSpace(text), " ")
	return more && slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "EXPLAIN"}, verb)
}

// constants are the values of constants by their names.
type constants map[string]ast.Expr

func (c constants) read(file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST {
			for _, spec := range d.Specs {
				for i, value := range spec.(*ast.ValueSpec).Values {
					c[spec.(*ast.ValueSpec).Names[i].Name] = value
				}
			}
		}
		return true
	})
}

// text returns the text that an expression stands for, and false when that is no
// constant text.
func (c constants) text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, e.Kind == token.STRING && err == nil
	case *ast.Ident:
		value, ok := c[e.Name]
		if !ok {
			return "", false
		}
		return c.text(value)
	case *ast.BinaryExpr:
		x, isX := c.text(e.X)
		y, isY := c.text(e.Y)
		return x + y, isX && isY
	}
	return "", false
}

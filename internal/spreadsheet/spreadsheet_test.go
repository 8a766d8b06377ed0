package spreadsheet_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/terse/terse/internal/spreadsheet"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"":               "",
		"plain":          "plain",
		"a=b":            "a=b",
		"=1+1":           "'=1+1",
		"'=1":            "''=1",
		"-1":             "'-1",
		"+1":             "'+1",
		"@SUM(A1)":       "'@SUM(A1)",
		"\t=1":           "'\t'=1",
		"\r":             "'\r",
		"＝1":             "'＝1",
		"a;=cmd()":       "a;'=cmd()",
		"a; \"@x":        "a; \"'@x",
		"'quoted; plain": "'quoted; plain",
	} {
		if got := spreadsheet.Escape(cell); got != want {
			t.Errorf("Escape(%q) = %q, want %q", cell, got, want)
		}
	}
}

// TestUnescape checks that Unescape gives the cell back.
func TestUnescape(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.StringOfN(rapid.RuneFrom([]rune("='+-@;\t\r\n＝\"a ")), 0, 8, -1).Draw(t, "cell")
		if got := spreadsheet.Unescape(spreadsheet.Escape(cell)); spreadsheet.Escape(cell) != cell && got != cell {
			t.Fatalf("Unescape(Escape(%q)) = %q", cell, got)
		}
	})
}

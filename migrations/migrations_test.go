package migrations_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/terse/terse/migrations"
)

// stepName matches the file names of a step.
var stepName = regexp.MustCompile(`^(\d{4})_([a-z_]+)\.(up|down)\.sql$`)

func TestEveryStepGoesUpAndDown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		steps fs.FS
	}{
		{"sqlite", migrations.SQLite()},
		{"postgres", migrations.Postgres()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files, err := fs.Glob(tt.steps, "*")
			if err != nil || len(files) == 0 {
				t.Fatalf("Glob(*) = %v, %v, want files", files, err)
			}
			names := make(map[string]bool)
			numbers := make(map[string]string)
			for _, file := range files {
				parts := stepName.FindStringSubmatch(file)
				if parts == nil {
					t.Errorf("%s is not named NUMBER_NAME.up.sql or .down.sql", file)
					continue
				}
				names[file] = true
				if other, ok := numbers[parts[1]]; ok && other != parts[2] {
					t.Errorf("step %s is both %s and %s", parts[1], other, parts[2])
				}
				numbers[parts[1]] = parts[2]
			}
			for i := range len(numbers) {
				number := fmt.Sprintf("%04d", i+1)
				for _, way := range []string{"up", "down"} {
					if file := number + "_" + numbers[number] + "." + way + ".sql"; !names[file] {
						t.Errorf("%s is missing", file)
					}
				}
			}
		})
	}
}

// TestSQLiteStepsSetTheirVersion checks that each step sets the schema version as its
// last statement, so that both are committed together.
func TestSQLiteStepsSetTheirVersion(t *testing.T) {
	t.Parallel()
	steps := migrations.SQLite()
	files, err := fs.Glob(steps, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		version, err := strconv.Atoi(file[:4])
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".down.sql") {
			version--
		}
		content, err := fs.ReadFile(steps, file)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("\nPRAGMA user_version = %d;\n", version); !strings.HasSuffix(string(content), want) {
			t.Errorf("%s does not end in %q", file, want)
		}
	}
}

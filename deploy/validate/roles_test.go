package validate_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestDatabaseRoles checks that each shard has the roles of deploy/postgres/roles.sql, that the
// migration owns the tables and the nodes do not. TestComposePostgres runs that file.
func TestDatabaseRoles(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../postgres/roles.sql")
	if err != nil {
		t.Fatal(err)
	}
	var statements []string
	for s := range strings.SplitSeq(regexp.MustCompile(`(?m)^--.*$`).ReplaceAllString(string(content), ""), ";") {
		if s = strings.TrimSpace(s); s != "" {
			statements = append(statements, s)
		}
	}
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		nodes := containerOf(t, find(t, objects, "Deployment", "terse"))
		_, tag, _ := strings.Cut(nodes.Image, ":")
		migration := containerOf(t, find(t, objects, "Job", "terse-migrate-"+tag))
		for _, cluster := range ofKind(objects, "Cluster") {
			name := cluster.GetName()
			if got := text(t, cluster, "spec", "bootstrap", "initdb", "owner"); got != "terse_schema" {
				t.Errorf("%s: owner of %s = %s, want terse_schema", overlay, cluster, got)
			}
			if got := texts(t, cluster, "spec", "bootstrap", "initdb", "postInitApplicationSQL"); !slices.Equal(got, statements) {
				t.Errorf("%s: %s runs %q, want roles.sql: %q", overlay, cluster, got, statements)
			}
			roles, _, err := unstructured.NestedSlice(cluster.Object, "spec", "managed", "roles")
			if err != nil || len(roles) != 1 {
				t.Fatalf("%s: managed roles of %s = %v, %v, want one", overlay, cluster, roles, err)
			}
			role := roles[0].(map[string]any)
			secret := role["passwordSecret"].(map[string]any)["name"]
			if role["name"] != "terse_data" || role["login"] != true || role["superuser"] != nil || role["inRoles"] != nil || secret != name+"-data" {
				t.Errorf("%s: managed role of %s = %v, want terse_data with the password in %s-data", overlay, cluster, role, name)
			}
			if _, found, _ := unstructured.NestedBool(cluster.Object, "spec", "enableSuperuserAccess"); found {
				t.Errorf("%s: the superuser of %s has a password", overlay, cluster)
			}
			for c, want := range map[*corev1.Container]string{nodes: name + "-data", migration: name + "-app"} {
				for variable, key := range map[string]string{"_USER": "username", "_PASSWORD": "password"} {
					got := reference(c, strings.ToUpper(name)+variable)
					if got == nil || got.Name != want || got.Key != key {
						t.Errorf("%s: %v reads %s%s from %v, want %s of %s", overlay, c.Args, name, variable, got, key, want)
					}
				}
			}
		}
	}
}

// reference returns the secret that a variable comes from, or nil.
func reference(c *corev1.Container, variable string) *corev1.SecretKeySelector {
	for _, e := range c.Env {
		if e.Name == variable && e.ValueFrom != nil {
			return e.ValueFrom.SecretKeyRef
		}
	}
	return nil
}

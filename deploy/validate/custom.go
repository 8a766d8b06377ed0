package validate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	_ "github.com/cloudnative-pg/cloudnative-pg/pkg/versions"              // the module contains the definitions
	_ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil" // the module contains the definitions
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// definitions are the folders of the operators' CustomResourceDefinitions by API group.
// Each folder is in a module of go.mod.
var definitions = map[string]struct{ module, folder string }{
	"postgresql.cnpg.io":    {"github.com/cloudnative-pg/cloudnative-pg", "config/crd/bases"},
	"monitoring.coreos.com": {"github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd"},
}

// checkCustom checks a manifest against its CustomResourceDefinition, like the API server
// does. Unknown fields are errors.
func checkCustom(o *Object) error {
	properties, err := definition(o)
	if err != nil {
		return err
	}
	validator, _, err := validation.NewSchemaValidator(properties)
	if err != nil {
		return err
	}
	structural, err := schema.NewStructural(properties)
	if err != nil {
		return err
	}
	problems := validation.ValidateCustomResource(nil, o.Object, validator)
	if rules := cel.NewValidator(structural, true, math.MaxInt64); rules != nil {
		broken, _ := rules.Validate(context.Background(), nil, structural, o.Object, nil, math.MaxInt64)
		problems = append(problems, broken...)
	}
	unknown := pruning.PruneWithOptions(runtime.DeepCopyJSON(o.Object), structural, true,
		schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	var errs []error
	for _, path := range unknown {
		errs = append(errs, fmt.Errorf("unknown field %q", path))
	}
	return errors.Join(problems.ToAggregate(), errors.Join(errs...))
}

// definition returns the schema of an object's kind and version.
func definition(o *Object) (*apiextensions.JSONSchemaProps, error) {
	gvk := o.GroupVersionKind()
	from := definitions[gvk.Group]
	folder, err := moduleFolder(from.module)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, from.folder, fmt.Sprintf("%s_%ss.yaml", gvk.Group, strings.ToLower(gvk.Kind)))
	text, err := os.ReadFile(file) //nolint:gosec // in a module that go.sum verifies
	if err != nil {
		return nil, err
	}
	var external apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &external); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var crd apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&external, &crd, nil); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if crd.Spec.Names.Kind == gvk.Kind && crd.Spec.Validation != nil { // one schema for all versions
		return crd.Spec.Validation.OpenAPIV3Schema, nil
	}
	for _, v := range crd.Spec.Versions {
		if v.Name == gvk.Version && v.Served && v.Schema != nil && crd.Spec.Names.Kind == gvk.Kind {
			return v.Schema.OpenAPIV3Schema, nil
		}
	}
	return nil, fmt.Errorf("%s does not define %s", file, gvk)
}

// moduleFolder returns the folder of a module in the module cache.
func moduleFolder(module string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output() //nolint:gosec // the name comes from definitions
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Check checks a manifest like the API server and the operators do.
func Check(o *Object) error {
	check := checkBuiltin
	if _, custom := definitions[o.GroupVersionKind().Group]; custom {
		check = checkCustom
	}
	if err := check(o); err != nil {
		return fmt.Errorf("%s: %w", o, err)
	}
	return nil
}

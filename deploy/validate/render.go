// Package validate checks the files in deploy/ against the schemas and rules of
// Kubernetes, its operators, Docker Compose and Grafana. It is a separate module, so that
// Terse does not depend on them.
package validate

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Object is one rendered manifest.
type Object struct {
	unstructured.Unstructured

	// YAML is the rendered text.
	YAML []byte
}

// String returns the kind and the name of the object.
func (o *Object) String() string { return o.GetKind() + " " + o.GetName() }

// Render returns the manifests that `kubectl kustomize FOLDER` would print.
func Render(folder string) ([]*Object, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", folder, err)
	}
	var objects []*Object
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("render %s: %w", folder, err)
		}
		o, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("render %s: %w", folder, err)
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// Parse reads one manifest.
func Parse(text []byte) (*Object, error) {
	document, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	o := &Object{YAML: text}
	return o, o.UnmarshalJSON(document)
}

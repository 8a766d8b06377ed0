// Package validate holds what deploy/ gives to Kubernetes and to Docker Compose to the
// schemas and rules of those who will read it. It is a module of its own, so that
// Terse itself depends on none of them.
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

	// YAML is what was rendered.
	YAML []byte
}

// String returns the kind and the name.
func (o *Object) String() string { return o.GetKind() + " " + o.GetName() }

// Render returns the manifests that `kubectl kustomize FOLDER` prints.
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

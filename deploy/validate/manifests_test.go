package validate_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terse/terse/deploy/validate"
)

// overlays are the overlays for operators to apply.
var overlays = []string{"small", "production"}

// render returns the manifests of a folder below deploy/k8s.
func render(t *testing.T, folder string) []*validate.Object {
	t.Helper()
	objects, err := validate.Render(filepath.Join("../k8s", folder))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// TestManifests checks every manifest against the schemas and rules of the API server and
// the operators.
func TestManifests(t *testing.T) {
	t.Parallel()
	kinds := map[string]int{}
	for _, folder := range []string{"base", "overlays/small", "overlays/production"} {
		for _, o := range render(t, folder) {
			kinds[o.GetKind()]++
			if err := validate.Check(o); err != nil {
				t.Errorf("%s: %v", folder, err)
			}
		}
	}
	for _, kind := range []string{
		"Deployment", "Job", "Service", "Ingress", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy",
		"StatefulSet", "ServiceMonitor", "PodMonitor", "PrometheusRule", "Cluster", "ScheduledBackup",
	} {
		if kinds[kind] == 0 {
			t.Errorf("no %s was rendered", kind)
		}
	}
}

// TestCheckRefuses checks that Check reports errors.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ kind, name, old, with, want string }{
		{"Deployment", "terse", "periodSeconds: 10", "periodSecond: 10", "unknown field"},
		{"Deployment", "terse", "drop:\n            - ALL", "drop: []", "not restricted"},
		{"Deployment", "terse", "port: admin", "port: Admin_", "port"},
		{"Job", "terse-migrate-0.1.0", "restartPolicy: OnFailure", "restartPolicy: Always", "restartPolicy"},
		{"Service", "terse", "targetPort: http", "targetPort: 70000", "targetPort"},
		{"Ingress", "terse", "pathType: Prefix", "pathType: Prefixed", "pathType"},
		{"NetworkPolicy", "terse", "port: 5432", "port: 0", "port"},
		{"HorizontalPodAutoscaler", "terse", "maxReplicas: 12", "maxReplicas: 2", "maxReplicas"},
		{"PodDisruptionBudget", "terse", "maxUnavailable: 1", "maxUnavailable: -1", "maxUnavailable"},
		{"Cluster", "s1", "instances: 3", "instances: 0", "instances"},
		{"Cluster", "s1", "dataDurability: required", "dataDurability: certain", "dataDurability"},
		{"Cluster", "s1", "retentionPolicy: 30d", "retention: 30d", "unknown field"},
		{"ScheduledBackup", "s1", "target: prefer-standby", "target: standby", "target"},
		{"ServiceMonitor", "terse", "interval: 15s", "interval: soon", "interval"},
	} {
		t.Run(tt.kind+" "+tt.with, func(t *testing.T) {
			t.Parallel()
			o := find(t, render(t, "overlays/production"), tt.kind, tt.name)
			text := strings.Replace(string(o.YAML), tt.old, tt.with, 1)
			if text == string(o.YAML) {
				t.Fatalf("%s lacks %q", o, tt.old)
			}
			broken, err := validate.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Check(broken); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check with %s = %v, want an error about %s", tt.with, err, tt.want)
			}
		})
	}
}

// find returns the manifest with the given kind and name.
func find(t *testing.T, objects []*validate.Object, kind, name string) *validate.Object {
	t.Helper()
	for _, o := range objects {
		if o.GetKind() == kind && o.GetName() == name {
			return o
		}
	}
	t.Fatalf("no %s %s was rendered", kind, name)
	return nil
}

// ofKind returns all manifests of a kind.
func ofKind(objects []*validate.Object, kind string) (all []*validate.Object) {
	for _, o := range objects {
		if o.GetKind() == kind {
			all = append(all, o)
		}
	}
	return all
}

// TestReleases checks that each release has its own migration Job, with the image and the
// shards of the nodes.
func TestReleases(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		node := containerOf(t, find(t, objects, "Deployment", "terse"))
		_, tag, _ := strings.Cut(node.Image, ":")
		migration := containerOf(t, find(t, objects, "Job", "terse-migrate-"+tag))
		if migration.Image != node.Image {
			t.Errorf("%s: image of the migration = %s, want the nodes' %s", overlay, migration.Image, node.Image)
		}
		if got, want := environment(t, migration)["TERSE_SHARDS"], environment(t, node)["TERSE_SHARDS"]; got != want || got == "" {
			t.Errorf("%s: shards of the migration = %q, want the nodes' %q", overlay, got, want)
		}
		for _, o := range objects {
			if strings.Contains(string(o.YAML), ":latest") || strings.Contains(string(o.YAML), "release\n") {
				t.Errorf("%s: the image of %s has no release tag", overlay, o)
			}
		}
	}
}

// TestSecrets checks that the manifests contain references to secrets, but no secret.
func TestSecrets(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		if secrets := ofKind(objects, "Secret"); len(secrets) > 0 {
			t.Errorf("%s: the manifests contain the secrets %v", overlay, secrets)
		}
		for _, kind := range []string{"Deployment", "Job", "StatefulSet"} {
			for _, o := range ofKind(objects, kind) {
				for _, c := range podOf(t, o).Spec.Containers {
					for _, e := range c.Env {
						secret := strings.Contains(e.Name, "PASSWORD") || strings.Contains(e.Name, "AUTH")
						if secret && e.ValueFrom == nil && !strings.HasPrefix(e.Value, "$(") {
							t.Errorf("%s: %s contains the value of %s", overlay, o, e.Name)
						}
						if strings.Contains(e.Value, "://") && !strings.Contains(e.Value, "_PASSWORD)@") {
							t.Errorf("%s: %s of %s lacks a reference to a password", overlay, e.Name, o)
						}
					}
				}
			}
		}
	}
}

// TestShards checks that the nodes have the address of each server of each shard, and that
// the certificate of the server is valid for its host name.
func TestShards(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		node := podOf(t, find(t, objects, "Deployment", "terse"))
		shards := environment(t, &node.Spec.Containers[0])["TERSE_SHARDS"]
		clusters := ofKind(objects, "Cluster")
		if got := strings.Count(shards, ";") + 1; got != len(clusters) {
			t.Errorf("%s: the nodes have %d shards, want %d", overlay, got, len(clusters))
		}
		for _, cluster := range clusters {
			name := cluster.GetName()
			instances := number(t, cluster, "spec", "instances")
			if synchronous := number(t, cluster, "spec", "postgresql", "synchronous", "number"); synchronous >= instances-1 {
				t.Errorf("%s: %s waits for %d of %d standbys: the loss of one standby would stop writes", overlay, cluster, synchronous, instances-1)
			}
			hosts := []string{name + "-rw"}
			for i := range instances {
				server := fmt.Sprintf("%s-%d", name, i+1)
				hosts = append(hosts, server)
				if !contains(texts(t, cluster, "spec", "certificates", "serverAltDNSNames"), server) {
					t.Errorf("%s: the certificate of %s is not valid for %s", overlay, cluster, server)
				}
				selector := serviceOf(t, find(t, objects, "Service", server)).Spec.Selector
				if selector["cnpg.io/instanceName"] != server || selector["cnpg.io/cluster"] != name {
					t.Errorf("%s: Service %s selects %v", overlay, server, selector)
				}
			}
			for _, host := range hosts {
				if want := fmt.Sprintf("$(%[1]s_USER):$(%[1]s_PASSWORD)@%[2]s/terse?sslmode=verify-full&sslrootcert=/run/secrets/terse/%[3]s.crt",
					strings.ToUpper(name), host, name); !strings.Contains(shards, want) {
					t.Errorf("%s: TERSE_SHARDS lacks %s: %s", overlay, want, shards)
				}
			}
			if !mounts(node, name+"-ca", name+".crt") {
				t.Errorf("%s: the nodes lack the CA certificate of %s", overlay, name)
			}
			if got := find(t, objects, "ScheduledBackup", name); text(t, got, "spec", "cluster", "name") != name {
				t.Errorf("%s: %s backs up another cluster", overlay, got)
			}
		}
	}
}

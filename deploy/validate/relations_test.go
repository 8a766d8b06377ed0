package validate_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/terse/terse/deploy/validate"
)

// decode reads a manifest into the Go type of its kind.
func decode[T any](t *testing.T, o *validate.Object) (typed T) {
	t.Helper()
	if err := yaml.UnmarshalStrict(o.YAML, &typed); err != nil {
		t.Fatalf("%s: %v", o, err)
	}
	return typed
}

func serviceOf(t *testing.T, o *validate.Object) corev1.Service { return decode[corev1.Service](t, o) }

// podOf returns the pod template of a Deployment, Job or StatefulSet.
func podOf(t *testing.T, o *validate.Object) corev1.PodTemplateSpec {
	t.Helper()
	return decode[struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`

		Spec   appsv1.DeploymentSpec   `json:"spec"`
		Status appsv1.DeploymentStatus `json:"status"`
	}](t, loose(t, o)).Spec.Template
}

// loose returns a copy of a manifest that contains only the pod template.
func loose(t *testing.T, o *validate.Object) *validate.Object {
	t.Helper()
	template, _, err := unstructured.NestedMap(o.Object, "spec", "template")
	if err != nil {
		t.Fatalf("%s: %v", o, err)
	}
	text, err := yaml.Marshal(map[string]any{"spec": map[string]any{"template": template}})
	if err != nil {
		t.Fatal(err)
	}
	return &validate.Object{Unstructured: o.Unstructured, YAML: text}
}

func containerOf(t *testing.T, o *validate.Object) *corev1.Container {
	t.Helper()
	return &podOf(t, o).Spec.Containers[0]
}

// environment returns the environment variables of a container, without those of
// ConfigMaps.
func environment(t *testing.T, c *corev1.Container) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, e := range c.Env {
		all[e.Name] = e.Value
	}
	return all
}

func mounts(pod corev1.PodTemplateSpec, secret, path string) bool {
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.Secret != nil && s.Secret.Name == secret && s.Secret.Items[0].Path == path {
				return true
			}
		}
	}
	return false
}

func contains(all []string, one string) bool { return slices.Contains(all, one) }

func number(t *testing.T, o *validate.Object, fields ...string) int {
	t.Helper()
	n, found, err := unstructured.NestedInt64(o.Object, fields...)
	if !found || err != nil {
		t.Fatalf("%s: no %v: %v", o, fields, err)
	}
	return int(n)
}

func text(t *testing.T, o *validate.Object, fields ...string) string {
	t.Helper()
	value, found, err := unstructured.NestedString(o.Object, fields...)
	if !found || err != nil {
		t.Fatalf("%s: no %v: %v", o, fields, err)
	}
	return value
}

func texts(t *testing.T, o *validate.Object, fields ...string) []string {
	t.Helper()
	value, _, err := unstructured.NestedStringSlice(o.Object, fields...)
	if err != nil {
		t.Fatalf("%s: %v: %v", o, fields, err)
	}
	return value
}

// settings returns the environment variables of the nodes, including those of ConfigMaps.
func settings(t *testing.T, objects []*validate.Object) map[string]string {
	t.Helper()
	node := containerOf(t, find(t, objects, "Deployment", "terse"))
	all := environment(t, node)
	for _, from := range node.EnvFrom {
		maps.Copy(all, decode[corev1.ConfigMap](t, find(t, objects, "ConfigMap", from.ConfigMapRef.Name)).Data)
	}
	return all
}

// TestDrain checks that a pod has enough time to stop.
func TestDrain(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		pod := podOf(t, find(t, objects, "Deployment", "terse"))
		told := settings(t, objects)
		takes := time.Duration(pod.Spec.Containers[0].Lifecycle.PreStop.Sleep.Seconds) * time.Second
		drain, err := time.ParseDuration(told["TERSE_DRAIN_TIMEOUT"])
		if err != nil {
			t.Fatalf("%s: TERSE_DRAIN_TIMEOUT: %v", overlay, err)
		}
		takes += drain + reserve
		delay, err := time.ParseDuration(told["TERSE_DRAIN_DELAY"])
		if unready := readinessTakes(pod.Spec.Containers[0].ReadinessProbe); err != nil || delay < unready {
			t.Errorf("%s: drain delay = %v, %v, want at least the %v until the pod counts as not ready", overlay, delay, err, unready)
		}
		if grace := time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second; grace < takes {
			t.Errorf("%s: termination grace period = %v, want at least the %v that a pod needs to stop", overlay, grace, takes)
		}
	}
}

// reserve is extra time to stop on a busy machine.
const reserve = 15 * time.Second

// readinessTakes returns the time until Kubernetes notices that a pod is not ready.
func readinessTakes(p *corev1.Probe) time.Duration {
	return time.Duration(p.PeriodSeconds*p.FailureThreshold) * time.Second
}

// TestSettings checks that the binary accepts all settings of the manifests. The test adds
// an invalid log level, and this must be the only error.
func TestSettings(t *testing.T) {
	t.Parallel()
	binary := newTerse(t)
	told := map[string]map[string]string{}
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		told[overlay] = settings(t, objects)
		pod := podOf(t, find(t, objects, "Deployment", "terse"))
		if pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks {
			t.Errorf("%s: enableServiceLinks must be false, or Services add variables with the prefix TERSE_", overlay)
		}
	}
	told["compose"] = map[string]string{}
	for name, value := range composed(t).Services["node1"].Environment {
		told["compose"][name] = *value
	}
	out, _ := exec.Command(binary, "serve", "--trusted-proxies", shippedProxies, "--log-level", "nonsense").CombinedOutput()
	if !strings.Contains(string(out), "TERSE_TRUSTED_PROXIES: ") {
		t.Errorf("the binary accepts TERSE_TRUSTED_PROXIES=%s: %s", shippedProxies, out)
	}
	authority := newAuthority(t)
	for name, variables := range told {
		cmd := exec.Command(binary, "serve", "--log-level", "nonsense")
		for variable, value := range variables {
			if variable == "TERSE_TRUSTED_PROXIES" && name != "compose" {
				if value != shippedProxies {
					t.Errorf("%s: TERSE_TRUSTED_PROXIES = %s, want %s, which the operator must change", name, value, shippedProxies)
				}
				value = "10.20.30.0/28"
			}
			value = regexp.MustCompile(`\$\([A-Z0-9_]+\)`).ReplaceAllString(value, "9f86d081884c7d65")
			value = regexp.MustCompile(`/run/secrets/terse/s\d\.crt`).ReplaceAllString(value, authority)
			if strings.HasSuffix(variable, "_FILE") || variable == "TERSE_CODE_KEY" {
				variable, value = "TERSE_CODE_KEY", "aSC7FmA0I5+1teXYpwy1758w8yPDIjOUQKEAJRrNWUA="
			}
			cmd.Env = append(cmd.Env, variable+"="+value)
		}
		out, _ := cmd.CombinedOutput()
		if said := strings.TrimSpace(string(out)); strings.Count(said, "\n") > 0 || !strings.Contains(said, "TERSE_LOG_LEVEL") {
			t.Errorf("%s: the binary rejects its settings: %s", name, said)
		}
	}
}

// shippedProxies is TERSE_TRUSTED_PROXIES in the overlays. No default can be right, and a wide
// network would let its pods choose the address of a client, so the binary must reject it.
const shippedProxies = "ingress.invalid"

// newAuthority writes a CA certificate to a file and returns its path.
func newAuthority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// newTerse builds the terse binary of this checkout.
func newTerse(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "terse")
	build := exec.Command("go", "build", "-C", "../..", "-o", binary, "./cmd/terse")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build = %v: %s", err, out)
	}
	return binary
}

// TestMemory checks that a pod has memory for its cache and for requests. The garbage
// collector may let the memory grow to five times the cache size.
func TestMemory(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		cache := quantity(t, settings(t, objects)["TERSE_CACHE_SIZE"]+"Mi")
		resources := containerOf(t, find(t, objects, "Deployment", "terse")).Resources
		limit := resources.Limits.Memory().Value()
		if limit < 5*cache || resources.Requests.Memory().Value() != limit {
			t.Errorf("%s: memory limit %d, request %v, cache %d, want a limit of five caches and an equal request", overlay, limit, resources.Requests.Memory(), cache)
		}
	}
}

func quantity(t *testing.T, s string) int64 {
	t.Helper()
	q, err := resource.ParseQuantity(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return q.Value()
}

// TestReplicas checks that only the autoscaler sets the number of nodes, and that each
// disruption budget keeps enough pods and still lets machines be drained.
func TestReplicas(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		node := decode[appsv1.Deployment](t, find(t, objects, "Deployment", "terse"))
		scaler := decode[autoscalingv2.HorizontalPodAutoscaler](t, find(t, objects, "HorizontalPodAutoscaler", "terse"))
		if node.Spec.Replicas != nil || scaler.Spec.ScaleTargetRef.Kind != "Deployment" || scaler.Spec.ScaleTargetRef.Name != node.Name {
			t.Errorf("%s: the number of nodes must be set by an autoscaler of the Deployment, and only by it", overlay)
		}
		if node.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 {
			t.Errorf("%s: a rollout removes nodes before it adds new ones", overlay)
		}
		if _, ok := containerOf(t, find(t, objects, "Deployment", "terse")).Resources.Requests[corev1.ResourceCPU]; !ok {
			t.Errorf("%s: the nodes have no CPU request, which the autoscaler needs", overlay)
		}
		replicas := map[string]int{"terse": int(*scaler.Spec.MinReplicas)}
		for _, o := range ofKind(objects, "StatefulSet") {
			replicas[o.GetName()] = number(t, o, "spec", "replicas")
		}
		for _, o := range ofKind(objects, "PodDisruptionBudget") {
			budget := decode[policyv1.PodDisruptionBudget](t, o)
			if n := replicas[budget.Name]; budget.Spec.MinAvailable != nil || budget.Spec.MaxUnavailable.IntValue() < 1 || budget.Spec.MaxUnavailable.IntValue() >= n {
				t.Errorf("%s: %s allows %v of %d pods to be unavailable", overlay, o, budget.Spec.MaxUnavailable, n)
			}
			delete(replicas, budget.Name)
		}
		if len(replicas) > 0 {
			t.Errorf("%s: no disruption budget for %v", overlay, replicas)
		}
	}
}

// TestSelectors checks that every selector finds pods, and that the pods have the ports.
func TestSelectors(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		var pods []corev1.PodTemplateSpec
		for _, kind := range []string{"Deployment", "Job", "StatefulSet"} {
			for _, o := range ofKind(objects, kind) {
				pods = append(pods, podOf(t, o))
			}
		}
		selected := func(s *metav1.LabelSelector) (found []corev1.PodTemplateSpec) {
			selector, err := metav1.LabelSelectorAsSelector(s)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range pods {
				if selector.Matches(labels.Set(p.Labels)) {
					found = append(found, p)
				}
			}
			return found
		}
		for _, o := range ofKind(objects, "Service") {
			service := serviceOf(t, o)
			if service.Spec.Selector["cnpg.io/cluster"] != "" {
				continue // its pods are made by the operator; TestShards checks it
			}
			found := selected(&metav1.LabelSelector{MatchLabels: service.Spec.Selector})
			if len(found) != 1 {
				t.Errorf("%s: %s selects %d kinds of pods, want 1", overlay, o, len(found))
				continue
			}
			for _, port := range service.Spec.Ports {
				target := port.TargetPort.StrVal
				if target == "" {
					target = port.Name
				}
				if _, ok := ports(found[0])[target]; !ok {
					t.Errorf("%s: %s needs port %s, which the pods do not have", overlay, o, target)
				}
			}
		}
		for _, o := range ofKind(objects, "PodDisruptionBudget") {
			if len(selected(decode[policyv1.PodDisruptionBudget](t, o).Spec.Selector)) != 1 {
				t.Errorf("%s: %s does not select exactly one kind of pods", overlay, o)
			}
		}
		for _, o := range ofKind(objects, "NetworkPolicy") {
			policy := decode[networkingv1.NetworkPolicy](t, o)
			found := selected(&policy.Spec.PodSelector)
			if len(found) == 0 && policy.Spec.PodSelector.MatchLabels["cnpg.io/cluster"] == "" {
				t.Errorf("%s: %s selects no pods", overlay, o)
			}
		}
	}
}

// ports returns the ports of a pod by name.
func ports(pod corev1.PodTemplateSpec) map[string]int32 {
	all := map[string]int32{}
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			all[p.Name] = p.ContainerPort
		}
	}
	return all
}

// TestListeners checks that probes and monitors use the admin listener, that visitors reach
// the public listener, and that only Prometheus may reach the admin listener.
func TestListeners(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		pod := podOf(t, find(t, objects, "Deployment", "terse"))
		c, told := pod.Spec.Containers[0], settings(t, objects)
		if got := ports(pod); told["TERSE_ADMIN_LISTEN"] != ":9090" || got["admin"] != 9090 || got["http"] != 8080 || told["TERSE_LISTEN"] != "" {
			t.Errorf("%s: ports %v, listeners %q and %q, want 8080 by default and :9090 for admin", overlay, got, told["TERSE_LISTEN"], told["TERSE_ADMIN_LISTEN"])
		}
		for path, probes := range map[string][]*corev1.Probe{"/livez": {c.LivenessProbe, c.StartupProbe}, "/readyz": {c.ReadinessProbe}} {
			for _, p := range probes {
				if p.HTTPGet.Path != path || p.HTTPGet.Port.StrVal != "admin" {
					t.Errorf("%s: probe = %+v, want %s on the admin port", overlay, p.HTTPGet, path)
				}
			}
		}
		if port := serviceOf(t, find(t, objects, "Service", "terse")).Spec.Ports; len(port) != 1 || port[0].TargetPort.StrVal != "http" {
			t.Errorf("%s: ports of the public Service = %+v, want http alone", overlay, port)
		}
		policy := decode[networkingv1.NetworkPolicy](t, find(t, objects, "NetworkPolicy", "terse"))
		for _, rule := range policy.Spec.Ingress {
			if len(rule.Ports) != 1 || len(rule.From) != 1 || rule.From[0].PodSelector == nil || rule.From[0].NamespaceSelector == nil {
				t.Errorf("%s: a rule of the network policy allows more than one kind of pods or more than one port: %+v", overlay, rule)
				continue
			}
			want := map[string]string{"http": "ingress-nginx", "admin": "prometheus"}[rule.Ports[0].Port.StrVal]
			if got := rule.From[0].PodSelector.MatchLabels["app.kubernetes.io/name"]; got != want || want == "" {
				t.Errorf("%s: port %v allows %s, want %s", overlay, rule.Ports[0].Port, got, want)
			}
		}
		ingress := decode[networkingv1.Ingress](t, find(t, objects, "Ingress", "terse"))
		if want := "https://" + ingress.Spec.Rules[0].Host; told["TERSE_BASE_URL"] != want || ingress.Spec.TLS[0].Hosts[0] != ingress.Spec.Rules[0].Host {
			t.Errorf("%s: TERSE_BASE_URL = %s, want the host of the Ingress, %s", overlay, told["TERSE_BASE_URL"], want)
		}
	}
}

// TestMonitors checks that Prometheus scrapes the admin listeners.
func TestMonitors(t *testing.T) {
	t.Parallel()
	objects := render(t, "overlays/production")
	monitor := find(t, objects, "ServiceMonitor", "terse")
	wanted, _, err := unstructured.NestedStringMap(monitor.Object, "spec", "selector", "matchLabels")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, o := range ofKind(objects, "Service") {
		if labels.SelectorFromSet(wanted).Matches(labels.Set(o.GetLabels())) {
			found = append(found, o.GetName())
		}
	}
	if !slices.Equal(found, []string{"terse-admin"}) {
		t.Fatalf("the ServiceMonitor selects %v, want terse-admin", found)
	}
	job := find(t, objects, "Service", "terse-admin").GetLabels()[text(t, monitor, "spec", "jobLabel")]
	if job != "terse" {
		t.Errorf("job = %q, want terse, as in the alerts", job)
	}
}

package validate_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/terse/terse/deploy/validate"
)

// peer is a kind of pods in Terse's namespace.
type peer struct {
	name   string
	labels map[string]string
	ports  map[string]int32 // by name
}

// network is the set of network policies of a namespace.
type network struct {
	t        *testing.T
	policies []networkingv1.NetworkPolicy
}

// passes reports whether the policies allow a connection between two kinds of pods. Pods
// that no policy selects may connect freely.
func (n *network) passes(from, to peer, port int32) bool {
	n.t.Helper()
	var out, in verdict
	for _, p := range n.policies {
		for _, direction := range p.Spec.PolicyTypes {
			switch {
			case direction == networkingv1.PolicyTypeEgress && selects(n.t, &p.Spec.PodSelector, from.labels):
				out.selected = true
				for _, rule := range p.Spec.Egress {
					out.allowed = out.allowed || n.matches(rule.To, to) && hasPort(rule.Ports, to, port)
				}
			case direction == networkingv1.PolicyTypeIngress && selects(n.t, &p.Spec.PodSelector, to.labels):
				in.selected = true
				for _, rule := range p.Spec.Ingress {
					in.allowed = in.allowed || n.matches(rule.From, from) && hasPort(rule.Ports, to, port)
				}
			}
		}
	}
	return out.passes() && in.passes()
}

// verdict is the result of the policies of one direction.
type verdict struct{ selected, allowed bool }

func (v verdict) passes() bool { return !v.selected || v.allowed }

// matches reports whether a rule selects a kind of pods of the same namespace.
func (n *network) matches(peers []networkingv1.NetworkPolicyPeer, of peer) bool {
	for _, p := range peers {
		if p.NamespaceSelector == nil && p.PodSelector != nil && selects(n.t, p.PodSelector, of.labels) {
			return true
		}
	}
	return len(peers) == 0
}

func hasPort(ports []networkingv1.NetworkPolicyPort, of peer, want int32) bool {
	for _, p := range ports {
		if p.Port.Type == intstr.Int && p.Port.IntVal == want || p.Port.Type == intstr.String && of.ports[p.Port.StrVal] == want {
			return p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP
		}
	}
	return len(ports) == 0
}

// peers returns the kinds of pods of an overlay by name. Pods of shards have the labels
// that CloudNativePG sets.
func peers(t *testing.T, objects []*validate.Object) map[string]peer {
	t.Helper()
	all := map[string]peer{"stranger": {name: "stranger", labels: map[string]string{"app.kubernetes.io/part-of": "terse"}}}
	for _, kind := range []string{"Deployment", "Job", "StatefulSet"} {
		for _, o := range ofKind(objects, kind) {
			pod := podOf(t, o)
			all[kind] = peer{o.String(), pod.Labels, ports(pod)}
		}
	}
	for _, cluster := range ofKind(objects, "Cluster") {
		inherited, _, err := unstructured.NestedStringMap(cluster.Object, "spec", "inheritedMetadata", "labels")
		if err != nil {
			t.Fatal(err)
		}
		inherited["cnpg.io/cluster"] = cluster.GetName()
		all[cluster.GetName()] = peer{cluster.String(), inherited, nil}
	}
	return all
}

// TestPaths checks that the network policies allow the connections that Terse needs, and
// no others.
func TestPaths(t *testing.T) {
	t.Parallel()
	const postgres, redis, sentinel = 5432, 6379, 26379
	type path struct {
		from, to string
		port     int32
		want     bool
	}
	paths := map[string][]path{
		"small": {{"Deployment", "s1", postgres, true}, {"Job", "s1", postgres, true}, {"stranger", "s1", postgres, false}, {"s1", "s1", postgres, true}, {"stranger", "stranger", 80, false}},
	}
	paths["production"] = append([]path{
		{"Deployment", "s2", postgres, true},
		{"Job", "s2", postgres, true},
		{"s2", "s2", postgres, true},
		{"s1", "s2", postgres, false},
		{"Deployment", "StatefulSet", redis, true},
		{"Deployment", "StatefulSet", sentinel, true},
		{"StatefulSet", "StatefulSet", redis, true},
		{"StatefulSet", "StatefulSet", sentinel, true},
		{"Job", "StatefulSet", redis, false},
		{"stranger", "StatefulSet", redis, false},
		{"s1", "StatefulSet", redis, false},
		{"StatefulSet", "s1", postgres, false},
		{"stranger", "Deployment", 8080, false},
		{"stranger", "Deployment", 9090, false},
	}, paths["small"]...)
	for overlay, all := range paths {
		objects := render(t, "overlays/"+overlay)
		n, known := &network{t: t}, peers(t, objects)
		for _, o := range ofKind(objects, "NetworkPolicy") {
			n.policies = append(n.policies, decode[networkingv1.NetworkPolicy](t, o))
		}
		for _, p := range all {
			from, to := known[p.from], known[p.to]
			if from.name == "" || to.name == "" {
				t.Fatalf("%s has no %s or no %s", overlay, p.from, p.to)
			}
			if got := n.passes(from, to, p.port); got != p.want {
				t.Errorf("%s: connection from %s to port %d of %s allowed: %t, want %t", overlay, from.name, p.port, to.name, got, p.want)
			}
		}
	}
}

// TestDefaultDeny checks that a policy denies everything to all pods, and that each kind of
// pods may still ask DNS. The servers of a shard must reach the API of Kubernetes and the
// object store for backups, and no other pods may leave the namespace.
func TestDefaultDeny(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		deny := decode[networkingv1.NetworkPolicy](t, find(t, objects, "NetworkPolicy", "default-deny")).Spec
		if len(deny.PodSelector.MatchLabels)+len(deny.PodSelector.MatchExpressions)+len(deny.Ingress)+len(deny.Egress) > 0 || len(deny.PolicyTypes) != 2 {
			t.Errorf("%s: default-deny = %+v, want an empty policy for both directions", overlay, deny)
		}
		for name, pod := range peers(t, objects) {
			if name == "stranger" {
				continue
			}
			var dns bool
			var anywhere []int32
			for _, o := range ofKind(objects, "NetworkPolicy") {
				policy := decode[networkingv1.NetworkPolicy](t, o)
				if !selects(t, &policy.Spec.PodSelector, pod.labels) {
					continue
				}
				for _, rule := range policy.Spec.Egress {
					for _, p := range rule.Ports {
						dns = dns || p.Port.IntVal == 53 && p.Protocol != nil && *p.Protocol == corev1.ProtocolUDP
						if len(rule.To) == 0 {
							anywhere = append(anywhere, p.Port.IntVal)
						}
					}
				}
			}
			var want []int32
			if pod.labels["cnpg.io/cluster"] != "" {
				want = []int32{443, 6443}
			}
			if !dns || !slices.Equal(anywhere, want) {
				t.Errorf("%s: %s may ask DNS: %t, and connect to any address at %v, want true and %v", overlay, pod.name, dns, anywhere, want)
			}
		}
	}
}

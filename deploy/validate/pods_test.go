package validate_test

import (
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/terse/terse/deploy/validate"
)

// TestConfinement holds that no container may write to its image, or be root. What else
// the restricted standard of Kubernetes asks is held by TestManifests.
func TestConfinement(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		for _, kind := range []string{"Deployment", "Job", "StatefulSet"} {
			for _, o := range ofKind(render(t, "overlays/"+overlay), kind) {
				pod := podOf(t, o).Spec
				if root := pod.SecurityContext.RunAsNonRoot; root == nil || !*root || *pod.SecurityContext.RunAsUser == 0 {
					t.Errorf("%s: %s runs as root", overlay, o)
				}
				for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
					if readOnly := c.SecurityContext.ReadOnlyRootFilesystem; readOnly == nil || !*readOnly {
						t.Errorf("%s: container %s of %s may write to its image", overlay, c.Name, o)
					}
				}
			}
		}
	}
}

// TestSpread holds that what may be lost at once, a machine or a zone, has neither all
// nodes nor two servers of a shard or of Redis.
func TestSpread(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		pod := podOf(t, find(t, objects, "Deployment", "terse"))
		var over []string
		for _, c := range pod.Spec.TopologySpreadConstraints {
			if selects(t, c.LabelSelector, pod.Labels) && c.MaxSkew == 1 {
				over = append(over, c.TopologyKey)
			}
		}
		if !slices.Contains(over, corev1.LabelHostname) || !slices.Contains(over, corev1.LabelTopologyZone) {
			t.Errorf("%s: nodes are spread over %v, want machines and zones", overlay, over)
		}
		for _, cluster := range ofKind(objects, "Cluster") {
			if text(t, cluster, "spec", "affinity", "podAntiAffinityType") != "required" || text(t, cluster, "spec", "affinity", "topologyKey") != corev1.LabelHostname {
				t.Errorf("%s: servers of %s may share a machine", overlay, cluster)
			}
		}
		for _, o := range ofKind(objects, "StatefulSet") {
			pod := podOf(t, o)
			apart := pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
			if len(apart) == 0 || apart[0].TopologyKey != corev1.LabelHostname || !selects(t, apart[0].LabelSelector, pod.Labels) {
				t.Errorf("%s: pods of %s may share a machine", overlay, o)
			}
		}
	}
}

func selects(t *testing.T, s *metav1.LabelSelector, of map[string]string) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(labels.Set(of))
}

// TestDurability holds that an acknowledged commit is on two servers, that a shard can be
// brought back to a moment, and that it has connections for all nodes.
func TestDurability(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		objects := render(t, "overlays/"+overlay)
		scaler := decode[autoscalingv2.HorizontalPodAutoscaler](t, find(t, objects, "HorizontalPodAutoscaler", "terse"))
		surge := decode[appsv1.Deployment](t, find(t, objects, "Deployment", "terse")).Spec.Strategy.RollingUpdate.MaxSurge.IntValue()
		for _, cluster := range ofKind(objects, "Cluster") {
			if number(t, cluster, "spec", "postgresql", "synchronous", "number") < 1 ||
				text(t, cluster, "spec", "postgresql", "synchronous", "dataDurability") != "required" ||
				parameter(t, cluster, "synchronous_commit") != "on" {
				t.Errorf("%s: a commit of %s is acknowledged by one server alone", overlay, cluster)
			}
			if to := text(t, cluster, "spec", "backup", "barmanObjectStore", "destinationPath"); to == "" || text(t, cluster, "spec", "backup", "retentionPolicy") == "" {
				t.Errorf("%s: %s is backed up to %q", overlay, cluster, to)
			}
			if schedule := text(t, find(t, objects, "ScheduledBackup", cluster.GetName()), "spec", "schedule"); !regexp.MustCompile(`^\d+ \d+ \d+ \* \* \*$`).MatchString(schedule) {
				t.Errorf("%s: a base backup of %s is taken at %q, want once a day", overlay, cluster, schedule)
			}
			nodes := int(scaler.Spec.MaxReplicas) + surge
			connections, err := strconv.Atoi(parameter(t, cluster, "max_connections"))
			if needed := nodes*connectionsOfNode + 50; err != nil || connections < needed {
				t.Errorf("%s: %s has %d connections, and %d nodes and the operator want %d", overlay, cluster, connections, nodes, needed)
			}
			if locks, err := strconv.Atoi(parameter(t, cluster, "max_locks_per_transaction")); err != nil || locks < 256 && nodes > 10 {
				t.Errorf("%s: %s has %d locks for each transaction, want 256 with %d nodes", overlay, cluster, locks, nodes)
			}
		}
	}
}

// connectionsOfNode is how many a node opens to a primary.
const connectionsOfNode = 13

func parameter(t *testing.T, cluster *validate.Object, name string) string {
	t.Helper()
	return text(t, cluster, "spec", "postgresql", "parameters", name)
}

// TestComposeDrain holds that a container is given the time that a node takes to stop when
// nothing else is said.
func TestComposeDrain(t *testing.T) {
	t.Parallel()
	help, err := exec.Command(newTerse(t), "serve", "--help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`--drain-timeout=TIME .*? Default: (\S+)\.`).FindStringSubmatch(strings.Join(strings.Fields(string(help)), " "))
	if found == nil {
		t.Fatalf("terse serve --help tells no default of --drain-timeout: %s", help)
	}
	takes, err := time.ParseDuration(found[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"node1", "node2", "node3"} {
		grace := composed(t).Services[name].StopGracePeriod
		if grace == nil || time.Duration(*grace) < takes+reserve {
			t.Errorf("%s, which takes %v to stop, is killed after %v", name, takes, grace)
		}
	}
}

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

// TestConfinement checks that no container runs as root or can write to its image.
// TestManifests checks the rest of the restricted Pod Security Standard.
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
						t.Errorf("%s: container %s of %s can write to its image", overlay, c.Name, o)
					}
				}
			}
		}
	}
}

// TestSpread checks that the loss of one machine or zone never takes all nodes, and that
// the loss of one machine never takes two servers of a shard or of Redis.
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

// TestDurability checks that an acknowledged commit is on two servers, that each shard has
// the backups for a restore to a point in time, and that it has connections for all nodes.
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
				t.Errorf("%s: one server alone acknowledges a commit of %s", overlay, cluster)
			}
			if to := text(t, cluster, "spec", "backup", "barmanObjectStore", "destinationPath"); to == "" || text(t, cluster, "spec", "backup", "retentionPolicy") == "" {
				t.Errorf("%s: backup destination of %s = %q, want one with a retention policy", overlay, cluster, to)
			}
			if schedule := text(t, find(t, objects, "ScheduledBackup", cluster.GetName()), "spec", "schedule"); !regexp.MustCompile(`^\d+ \d+ \d+ \* \* \*$`).MatchString(schedule) {
				t.Errorf("%s: backup schedule of %s = %q, want once a day", overlay, cluster, schedule)
			}
			nodes := int(scaler.Spec.MaxReplicas) + surge
			connections, err := strconv.Atoi(parameter(t, cluster, "max_connections"))
			if needed := nodes*connectionsOfNode + 50; err != nil || connections < needed {
				t.Errorf("%s: %s allows %d connections, but %d nodes and the operator need %d", overlay, cluster, connections, nodes, needed)
			}
			if locks, err := strconv.Atoi(parameter(t, cluster, "max_locks_per_transaction")); err != nil || locks < 256 && nodes > 10 {
				t.Errorf("%s: %s has %d locks for each transaction, want 256 for %d nodes", overlay, cluster, locks, nodes)
			}
		}
	}
}

// connectionsOfNode is the number of connections of a node to a primary.
const connectionsOfNode = 13

func parameter(t *testing.T, cluster *validate.Object, name string) string {
	t.Helper()
	return text(t, cluster, "spec", "postgresql", "parameters", name)
}

// TestComposeDrain checks that a container has enough time to stop with the default drain
// timeout.
func TestComposeDrain(t *testing.T) {
	t.Parallel()
	help, err := exec.Command(newTerse(t), "serve", "--help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`--drain-timeout=TIME .*? Default: (\S+)\.`).FindStringSubmatch(strings.Join(strings.Fields(string(help)), " "))
	if found == nil {
		t.Fatalf("terse serve --help shows no default of --drain-timeout: %s", help)
	}
	takes, err := time.ParseDuration(found[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"node1", "node2", "node3"} {
		grace := composed(t).Services[name].StopGracePeriod
		if grace == nil || time.Duration(*grace) < takes+reserve {
			t.Errorf("stop_grace_period of %s = %v, want at least %v", name, grace, takes+reserve)
		}
	}
}

package validate

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/autoscaling"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	autoscalingvalidation "k8s.io/kubernetes/pkg/apis/autoscaling/validation"
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	batchvalidation "k8s.io/kubernetes/pkg/apis/batch/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corev1conversion "k8s.io/kubernetes/pkg/apis/core/v1"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	"k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"
)

// builtin decodes like the API server: unknown and repeated fields are errors, and missing
// fields get their defaults.
var builtin = serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDecoder()

// checkBuiltin validates a manifest of one of Kubernetes' own kinds like the API server.
// Warnings are errors too, and so is a pod that violates the restricted Pod Security
// Standard.
func checkBuiltin(o *Object) error {
	decoded, _, err := builtin.Decode(o.YAML, nil, nil)
	if err != nil {
		return err
	}
	if meta, ok := decoded.(metav1.Object); ok && meta.GetNamespace() == "" && o.GetKind() != "Namespace" {
		meta.SetNamespace("default")
	}
	problems, template, err := validateBuiltin(decoded)
	if err != nil {
		return err
	}
	if template == nil {
		return problems.ToAggregate()
	}
	var warnings []error
	for _, warning := range pod.GetWarningsForPodTemplate(context.Background(), field.NewPath("template"), template, nil) {
		warnings = append(warnings, errors.New(warning))
	}
	return errors.Join(problems.ToAggregate(), errors.Join(warnings...), checkRestricted(template))
}

// validateBuiltin returns the problems of an object, and its pod template if it has one.
func validateBuiltin(decoded runtime.Object) (field.ErrorList, *core.PodTemplateSpec, error) {
	options := func(t *core.PodTemplateSpec) corevalidation.PodValidationOptions {
		return pod.GetValidationOptionsFromPodTemplate(t, nil)
	}
	switch o := decoded.(type) {
	case *apps.Deployment:
		t := &o.Spec.Template
		return appsvalidation.ValidateDeployment(o, options(t)), t, nil
	case *apps.StatefulSet:
		t := &o.Spec.Template
		return appsvalidation.ValidateStatefulSet(o, options(t)), t, nil
	case *batch.Job:
		t := &o.Spec.Template
		selectJob(o)
		return batchvalidation.ValidateJob(o, batchvalidation.JobValidationOptions{
			PodValidationOptions: options(t), RequirePrefixedLabels: true,
		}), t, nil
	case *autoscaling.HorizontalPodAutoscaler:
		return autoscalingvalidation.ValidateHorizontalPodAutoscaler(o,
			autoscalingvalidation.HorizontalPodAutoscalerSpecValidationOptions{MinReplicasLowerBound: 1}), nil, nil
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(o, policyvalidation.PodDisruptionBudgetValidationOptions{}), nil, nil
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(o, networkingvalidation.NetworkPolicyValidationOptions{}), nil, nil
	case *networking.Ingress:
		return networkingvalidation.ValidateIngressCreate(o), nil, nil
	case *core.Service:
		return corevalidation.ValidateServiceCreate(giveAddress(o)), nil, nil
	case *core.ConfigMap:
		return corevalidation.ValidateConfigMap(o), nil, nil
	case *core.ServiceAccount:
		return corevalidation.ValidateServiceAccount(o), nil, nil
	case *core.Namespace:
		return corevalidation.ValidateNamespace(o), nil, nil
	}
	return nil, nil, fmt.Errorf("%T cannot be checked", decoded)
}

// selectJob gives a Job the selector that the API server would generate.
func selectJob(o *batch.Job) {
	o.UID = "00000000-0000-0000-0000-000000000000"
	labels := map[string]string{
		batch.ControllerUidLabel: string(o.UID), batch.LegacyControllerUidLabel: string(o.UID),
		batch.JobNameLabel: o.Name, batch.LegacyJobNameLabel: o.Name,
	}
	for name, value := range labels {
		metav1.SetMetaDataLabel(&o.Spec.Template.ObjectMeta, name, value)
	}
	o.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{batch.ControllerUidLabel: string(o.UID)}}
}

// giveAddress gives a Service the cluster IP that the API server would assign.
func giveAddress(o *core.Service) *core.Service {
	single := core.IPFamilyPolicySingleStack
	o.Spec.IPFamilyPolicy, o.Spec.IPFamilies = &single, []core.IPFamily{core.IPv4Protocol}
	if o.Spec.ClusterIP == "" {
		o.Spec.ClusterIP = "10.96.0.10"
	}
	o.Spec.ClusterIPs = []string{o.Spec.ClusterIP}
	return o
}

// checkRestricted checks pods against the restricted Pod Security Standard.
func checkRestricted(template *core.PodTemplateSpec) error {
	var external corev1.PodTemplateSpec
	if err := corev1conversion.Convert_core_PodTemplateSpec_To_v1_PodTemplateSpec(template, &external, nil); err != nil {
		return err
	}
	evaluator, err := podsecurity.NewEvaluator(podsecurity.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	result := podsecurity.AggregateCheckResults(evaluator.EvaluatePod(level, &external.ObjectMeta, &external.Spec))
	if !result.Allowed {
		return fmt.Errorf("not restricted: %s", result.ForbiddenDetail())
	}
	return nil
}

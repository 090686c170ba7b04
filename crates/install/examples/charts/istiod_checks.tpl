{{- with .Values.global.istioNamespace }}{{ if ne . $.Release.Namespace }}
{{- fail (printf "global.istioNamespace is %s: install into it, with --namespace %s" . .) }}
{{- end }}{{ end }}
{{- $pilot := .Values.pilot }}
{{- if $pilot.autoscaleEnabled }}
{{- include "istiod.bounds" (list "pilot.autoscaleMin" $pilot.autoscaleMin "pilot.autoscaleMax" $pilot.autoscaleMax) }}
{{- end }}
{{- include "istiod.shares" (list "pilot.rollingMaxSurge" $pilot.rollingMaxSurge "pilot.rollingMaxUnavailable" $pilot.rollingMaxUnavailable) }}
{{- include "istiod.pod" (list "pilot." $pilot OUR_VOLUMES OUR_MOUNTS OUR_CONTAINERS) }}
{{- include "istiod.resources" (list "global.proxy.resources" .Values.global.proxy.resources) }}
{{- include "istiod.resources" (list "global.proxy_init.resources" .Values.global.proxy_init.resources) }}
{{- $selected := dict "app" "istiod" }}
{{- if not (include "istiod.revision" .) }}{{ $_ := set $selected "istio" "pilot" }}{{ end }}
{{- range $name := list "deploymentLabels" "podLabels" }}
{{- range $label, $value := $selected }}
{{- if ne (get (get $pilot $name | default dict) $label | default $value) $value }}
{{- fail (printf "pilot.%s.%s: pods are selected by %s=%s and would be lost, leave it out" $name $label $label $value) }}
{{- end }}
{{- end }}
{{- end }}
{{- with get TAKEN_PORTS (toString .Values.global.proxy.statusPort) }}
{{- fail (printf "global.proxy.statusPort: %s" .) }}
{{- end }}
{{- $hook := .Values.sidecarInjectorWebhook }}
{{- $aliases := $hook.aliases | default dict }}
{{- $named := list }}
{{- range $hook.defaultTemplates }}
{{- $named = concat $named (ternary (get $aliases . | default list) (list .) (hasKey $aliases .)) }}
{{- end }}
{{- $templates := concat (list "sidecar" "gateway") (keys ($hook.templates | default dict)) }}
{{- range $named }}
{{- if not (has . $templates) }}
{{- fail (printf "sidecarInjectorWebhook.defaultTemplates: there is no template %q: there are %s" . (join ", " $templates)) }}
{{- end }}
{{- end }}
{{- if and (has "sidecar" $named) (has "gateway" $named) }}
{{- fail "sidecarInjectorWebhook.defaultTemplates: sidecar and gateway exclude each other: name one of them" }}
{{- end }}
{{- if .Values.istiodRemote }}{{ if .Values.istiodRemote.enabled }}
{{- fail "istiodRemote.enabled: a control plane outside of the cluster is not offered, leave it out" }}
{{- end }}{{ end }}

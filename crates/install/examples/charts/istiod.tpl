{{- define "istiod.elsewhere" -}}
{{- if ne .Release.Namespace "istio-system" -}}-{{ .Release.Namespace }}{{- end -}}
{{- end -}}

{{- /* What a disruption budget says beside its selector. Istio's value has both numbers, of which the first counts. */ -}}
{{- define "istiod.budget" -}}
{{- $own := .Values.pilot.podDisruptionBudget | default .Values.pilot.pdb | default (dict "minAvailable" 1) -}}
{{- if not (kindIs "invalid" $own.maxUnavailable) -}}{{- $own = omit $own "minAvailable" -}}{{- end -}}
{{- if not $own.unhealthyPodEvictionPolicy -}}{{- $own = omit $own "unhealthyPodEvictionPolicy" -}}{{- end -}}
{{- toJson $own -}}
{{- end -}}

{{- /* The settings of the injector. */ -}}
{{- define "istiod.injectorConfig" -}}
{{- $hook := .Values.sidecarInjectorWebhook -}}
{{- toYaml (dict
  "policy" (.Values.global.proxy.autoInject | default "enabled")
  "alwaysInjectSelector" ($hook.alwaysInjectSelector | default list)
  "neverInjectSelector" ($hook.neverInjectSelector | default list)
  "injectedAnnotations" ($hook.injectedAnnotations | default dict)
  "defaultTemplates" ($hook.defaultTemplates | default (list "sidecar"))
  "templates" ($hook.templates | default dict)) -}}
{{- end -}}

{{- /* Its values: those of the chart that it reads, with image and namespace written out. */ -}}
{{- define "istiod.injectorValues" -}}
{{- $values := dict "global" (deepCopy .Plain.global) "sidecarInjectorWebhook" (deepCopy .Plain.sidecarInjectorWebhook) -}}
{{- $pilot := dict -}}
{{- with pick (.Plain.pilot.cni | default dict) "enabled" "provider" -}}{{- $_ := set $pilot "cni" . -}}{{- end -}}
{{- with .Plain.pilot.env -}}{{- $_ := set $pilot "env" . -}}{{- end -}}
{{- with $pilot -}}{{- $_ := set $values "pilot" . -}}{{- end -}}
{{- with pick (.Plain.gateways | default dict) "securityContext" "seccompProfile" -}}{{- $_ := set $values "gateways" . -}}{{- end -}}
{{- with .Plain.revisionTags -}}{{- $_ := set $values "revisionTags" . -}}{{- end -}}
{{- $image := include "istiod.image" (list . .Values.global.proxy) -}}
{{- $init := include "istiod.ownImage" (.Values.global.proxy_init | default dict).image | default $image -}}
{{- $fixed := dict
  "revision" (include "istiod.revision" .)
  "global" (dict
    "hub" (toString .Values.global.hub) "tag" (toString .Values.global.tag) "istioNamespace" .Release.Namespace
    "proxy" (dict "image" $image) "proxy_init" (dict "image" $init)) -}}
{{- toPrettyJson (mustMergeOverwrite $values $fixed) -}}
{{- end -}}

{{- /* Where webhooks are called. In: the root, a URL or nothing, a path of the Service, a bundle or nothing. */ -}}
{{- define "istiod.client" -}}
{{- $root := index . 0 -}}
{{- $service := dict "name" (printf "istiod%s" (include "istiod.suffix" $root)) "namespace" $root.Release.Namespace
  "path" (index . 2) "port" 443 -}}
{{- $client := dict "service" $service -}}
{{- with index . 1 -}}{{- $client = dict "url" . -}}{{- end -}}
{{- with index . 3 -}}{{- $_ := set $client "caBundle" . -}}{{- end -}}
{{- toJson $client -}}
{{- end -}}

{{- define "istiod.injector" -}}
{{- $hook := .Values.sidecarInjectorWebhook -}}
{{- include "istiod.client" (list . $hook.injectionURL ($hook.injectionPath | default "/inject") $hook.caBundle) -}}
{{- end -}}

{{- define "istiod.validator" -}}
{{- include "istiod.client" (list . .Values.base.validationURL "/validate" .Values.base.validationCABundle) -}}
{{- end -}}

{{- define "istiod.reinvocation" -}}
{{- .Values.sidecarInjectorWebhook.reinvocationPolicy | default "Never" | toJson -}}
{{- end -}}

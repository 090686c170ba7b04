{{- define "istiod.revision" -}}
{{- if and .Values.revision (ne .Values.revision "default") -}}{{ .Values.revision }}{{- end -}}
{{- end -}}

{{- define "istiod.suffix" -}}
{{- if and .Values.revision (ne .Values.revision "default") -}}-{{ .Values.revision }}{{- end -}}
{{- end -}}

{{- /* An image that is named in full and none of Istio's; or nothing. */ -}}
{{- define "istiod.ownImage" -}}
{{- $image := . | default "" -}}
{{- $name := regexFind "^[^:@]*" (last (splitList "/" $image)) -}}
{{- $isNamed := has $name (list "pilot" "proxyv2" "proxyv2-default" "proxy_init" "proxy" "install-cni") -}}
{{- $isThere := regexMatch "^((docker\\.[^/]*/|([^/]*/)*[^/]*\\.docker\\.io/)?istio|(.*/)?istio-(release|testing)|(.*/)?[^/]*istio\\.io(/.*)?)/[^/]*$" $image -}}
{{- if and (contains "/" $image) (not (and $isNamed $isThere)) -}}
{{- $image -}}
{{- end -}}
{{- end -}}

{{- /* A whole image name. In: the root, and a part that may have image, hub and tag. */ -}}
{{- define "istiod.image" -}}
{{- $global := (index . 0).Values.global -}}
{{- $part := index . 1 | default dict -}}
{{- $whole := printf "%v/lateen:%v" ($part.hub | default $global.hub) ($part.tag | default $global.tag) -}}
{{- include "istiod.ownImage" $part.image | default $whole -}}
{{- end -}}

{{- /* Whether a value asks for nothing at all: of its JSON, nothing but brackets is left. */ -}}
{{- define "istiod.isEmpty" -}}
{{- $values := regexReplaceAll "\"(\\\\.|[^\"\\\\])*\":" (toJson .) "" -}}
{{- if not (regexReplaceAll "null|\"\"|\\[\\]|[{},]" $values "") -}}yes{{- end -}}
{{- end -}}

{{- /* A null takes a default back. In: what a user sets, and the defaults. */ -}}
{{- define "istiod.forget" -}}
{{- $own := index . 0 -}}
{{- $defaults := index . 1 -}}
{{- range $name, $value := $own -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $own $name -}}
{{- $_ := unset $defaults $name -}}
{{- else if kindIs "map" $value -}}
{{- $inner := get $defaults $name -}}
{{- include "istiod.forget" (list $value (ternary $inner dict (kindIs "map" $inner))) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Puts a value where it belongs today. In: the tree, the old steps, the new ones, whether what is there gives way. */ -}}
{{- define "istiod.move" -}}
{{- $tree := index . 0 -}}
{{- $from := splitList "." (index . 1) -}}
{{- $to := splitList "." (index . 2) -}}
{{- $holder := $tree -}}
{{- range initial $from -}}
{{- $holder = ternary (get (ternary $holder dict (kindIs "map" $holder)) .) dict (kindIs "map" $holder) -}}
{{- end -}}
{{- if kindIs "map" $holder -}}{{- if hasKey $holder (last $from) -}}
{{- $value := get $holder (last $from) -}}
{{- $_ := unset $holder (last $from) -}}
{{- if not (include "istiod.isEmpty" $value) -}}
{{- $place := $tree -}}
{{- range initial $to -}}
{{- if not (kindIs "map" (get $place .)) -}}{{- $_ := set $place . dict -}}{{- end -}}
{{- $place = get $place . -}}
{{- end -}}
{{- $there := get $place (last $to) -}}
{{- if and (kindIs "map" $value) (kindIs "map" $there) -}}
{{- $_ := set $place (last $to) (mustMergeOverwrite (deepCopy $value) $there) -}}
{{- else if or (index . 3) (not (hasKey $place (last $to))) -}}
{{- $_ := set $place (last $to) $value -}}
{{- end -}}
{{- end -}}
{{- end -}}{{- end -}}
{{- end -}}

{{- /* Istio's registries hold no image of Lateen. In: the values. Out: what is said of that. */ -}}
{{- define "istiod.hubs" -}}
{{- $values := . -}}
{{- range $at := list "global" "pilot" -}}
{{- $part := ternary $values (get $values $at) (eq $at "") -}}
{{- if kindIs "map" $part -}}
{{- if regexMatch "^(docker\\.(.*/)?|(.*\\.)?docker\\.io/)?istio$|^docker\\.[^/]*/istio$|(^|/)istio-(release|testing)$|(^|/)[^/]*istio\\.io(/|$)" (toString $part.hub) -}}
{{- $_ := unset $part "hub" -}}
{{- $_ := unset $part "tag" -}}
{{ prepend (list "hub") $at | compact | join "." }}: it is a registry of Istio's, which holds no image of Lateen: HUB/lateen:TAG is taken; name the registry that holds yours
{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* What is said of values that change nothing, or have another name today. In: the root, trees of values. */ -}}
{{- define "istiod.words" -}}
{{- $trees := index . 1 -}}
{{- range $path, $word := (index . 0).Files.Get "files/words.yaml" | fromYaml -}}
{{- $said := false -}}
{{- range $value := $trees -}}
{{- $found := true -}}
{{- range splitList "." $path -}}
{{- if not (kindIs "map" $value) -}}{{- $found = false -}}
{{- else if not (hasKey $value .) -}}{{- $found = false -}}
{{- else -}}{{- $value = get $value . -}}
{{- end -}}
{{- end -}}
{{- if $found -}}{{- if not (include "istiod.isEmpty" $value) -}}{{- $said = true -}}{{- end -}}{{- end -}}
{{- end -}}
{{- if $said }}
{{ $path }}: {{ $word }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The same as comments, for who renders and does not install. */ -}}
{{- define "istiod.comments" -}}
{{- with .Said }}
# Of the values that are set:
{{- range splitList "\n" . }}
# {{ . }}
{{- end }}
{{- end -}}
{{- end -}}

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

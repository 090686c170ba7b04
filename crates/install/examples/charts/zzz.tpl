{{- /* Helm renders this first. Defaults are apart from what the user sets, as in Istio's charts, so that a value at
the top is told from a default; what is worked out here is what all other templates see. */ -}}
{{- $own := deepCopy (omit .Values "_internal_defaults_do_not_set" "defaults") -}}
{{- include "CHART.forget" $own -}}
{{- /* Helm takes a default back where a user's file has null: they are in a file, too. */ -}}
{{- $defaults := .Files.Get "files/defaults.yaml" | fromYaml -}}
{{- range $name := list "_internal_defaults_do_not_set" "defaults" -}}
{{- with get $.Values $name -}}
{{- $layer := deepCopy . -}}
{{- include "CHART.forget" $layer -}}
{{- $defaults = mustMergeOverwrite $defaults $layer -}}
{{- end -}}
{{- end -}}
{{- $said := include "CHART.words" (list . (list $own $defaults)) -}}
MOVES{{- with include "CHART.forms" (list . (list $own $defaults)) | trim }}{{ fail . }}{{ end -}}
{{- $plain := mustMergeOverwrite (deepCopy $defaults) (deepCopy $own) -}}
NESTING{{- $said = regexReplaceAll "\\n+" (printf "%s\n%s" (include "CHART.hubs" $plain) $said | trim) "\n" -}}
{{- if not (kindIs "map" $plain.global) -}}{{- $_ := set $plain "global" dict -}}{{- end -}}
{{- $global := $plain.global -}}
{{- if not $global.hub -}}{{- $_ := set $global "hub" "HUB" -}}{{- end -}}
{{- if not $global.tag -}}{{- $_ := set $global "tag" "TAG" -}}{{- end -}}
{{- $_ := set $ "Said" $said -}}
{{- $_ := set $ "Plain" (deepCopy $plain) -}}
{{- $_ := set $ "Values" (mustMergeOverwrite SKELETON $plain) -}}

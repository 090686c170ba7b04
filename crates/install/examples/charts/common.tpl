{{- /* An image that is named in full and none of Istio's; or nothing. */ -}}
{{- define "CHART.ownImage" -}}
{{- $image := . | default "" -}}
{{- $name := regexFind "^[^:@]*" (last (splitList "/" $image)) -}}
{{- $isNamed := has $name (list "pilot" "proxyv2" "proxyv2-default" "proxy_init" "proxy" "install-cni") -}}
{{- $isThere := regexMatch "^((docker\\.[^/]*/|([^/]*/)*[^/]*\\.docker\\.io/)?istio|(.*/)?istio-(release|testing)|(.*/)?[^/]*istio\\.io(/.*)?)/[^/]*$" $image -}}
{{- if and (contains "/" $image) (not (and $isNamed $isThere)) -}}
{{- $image -}}
{{- end -}}
{{- end -}}

{{- /* A whole image name. In: the root, and a part that may have image, hub and tag. */ -}}
{{- define "CHART.image" -}}
{{- $global := (index . 0).Values.global -}}
{{- $part := index . 1 | default dict -}}
{{- $whole := printf "%v/lateen:%v" ($part.hub | default $global.hub) ($part.tag | default $global.tag) -}}
{{- include "CHART.ownImage" $part.image | default $whole -}}
{{- end -}}

{{- /* Whether a value asks for nothing at all: of its JSON, nothing but brackets is left. */ -}}
{{- define "CHART.isEmpty" -}}
{{- $values := regexReplaceAll "\"(\\\\.|[^\"\\\\])*\":" (toJson .) "" -}}
{{- if not (regexReplaceAll "null|\"\"|\\[\\]|[{},]" $values "") -}}yes{{- end -}}
{{- end -}}

{{- /* A null is nothing that is set, wherever it is. In: values, or a list of them. */ -}}
{{- define "CHART.forget" -}}
{{- $tree := . -}}
{{- range $name, $value := $tree -}}
{{- if or (kindIs "map" $value) (kindIs "slice" $value) -}}
{{- include "CHART.forget" $value -}}
{{- else if and (kindIs "invalid" $value) (kindIs "map" $tree) -}}
{{- $_ := unset $tree $name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Puts a value where it belongs today. In: the tree, the old steps, the new ones, whether what is there gives way. */ -}}
{{- define "CHART.move" -}}
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
{{- if not (include "CHART.isEmpty" $value) -}}
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
{{- define "CHART.hubs" -}}
{{- $values := . -}}
{{- range $at := list PLACES -}}
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
{{- define "CHART.words" -}}
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
{{- if $found -}}{{- if not (include "CHART.isEmpty" $value) -}}{{- $said = true -}}{{- end -}}{{- end -}}
{{- end -}}
{{- if $said }}
{{ $path }}: {{ $word }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The same as comments, for who renders and does not install. */ -}}
{{- define "CHART.comments" -}}
{{- with .Said }}
# Of the values that are set:
{{- range splitList "\n" . }}
# {{ . }}
{{- end }}
{{- end -}}
{{- end -}}

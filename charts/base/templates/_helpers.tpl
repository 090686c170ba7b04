{{- define "base.revision" -}}
{{- if and .Values.revision (ne .Values.revision "default") -}}{{ .Values.revision }}{{- end -}}
{{- end -}}

{{- define "base.suffix" -}}
{{- if and .Values.revision (ne .Values.revision "default") -}}-{{ .Values.revision }}{{- end -}}
{{- end -}}

{{- /* An image that is named in full and none of Istio's; or nothing. */ -}}
{{- define "base.ownImage" -}}
{{- $image := . | default "" -}}
{{- $name := regexFind "^[^:@]*" (last (splitList "/" $image)) -}}
{{- $isNamed := has $name (list "pilot" "proxyv2" "proxyv2-default" "proxy_init" "proxy" "install-cni") -}}
{{- $isThere := regexMatch "^((docker\\.[^/]*/|([^/]*/)*[^/]*\\.docker\\.io/)?istio|(.*/)?istio-(release|testing)|(.*/)?[^/]*istio\\.io(/.*)?)/[^/]*$" $image -}}
{{- if and (contains "/" $image) (not (and $isNamed $isThere)) -}}
{{- $image -}}
{{- end -}}
{{- end -}}

{{- /* A whole image name. In: the root, and a part that may have image, hub and tag. */ -}}
{{- define "base.image" -}}
{{- $global := (index . 0).Values.global -}}
{{- $part := index . 1 | default dict -}}
{{- $whole := printf "%v/lateen:%v" ($part.hub | default $global.hub) ($part.tag | default $global.tag) -}}
{{- include "base.ownImage" $part.image | default $whole -}}
{{- end -}}

{{- /* Whether a value asks for nothing at all: of its JSON, nothing but brackets is left. */ -}}
{{- define "base.isEmpty" -}}
{{- $values := regexReplaceAll "\"(\\\\.|[^\"\\\\])*\":" (toJson .) "" -}}
{{- if not (regexReplaceAll "null|\"\"|\\[\\]|[{},]" $values "") -}}yes{{- end -}}
{{- end -}}

{{- /* A null is nothing that is set, wherever it is. In: values, or a list of them. */ -}}
{{- define "base.forget" -}}
{{- $tree := . -}}
{{- range $name, $value := $tree -}}
{{- if or (kindIs "map" $value) (kindIs "slice" $value) -}}
{{- include "base.forget" $value -}}
{{- else if and (kindIs "invalid" $value) (kindIs "map" $tree) -}}
{{- $_ := unset $tree $name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Puts a value where it belongs today. In: the tree, the old steps, the new ones, whether what is there gives way. */ -}}
{{- define "base.move" -}}
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
{{- if not (include "base.isEmpty" $value) -}}
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
{{- define "base.hubs" -}}
{{- $values := . -}}
{{- range $at := list "global" -}}
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
{{- define "base.words" -}}
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
{{- if $found -}}{{- if not (include "base.isEmpty" $value) -}}{{- $said = true -}}{{- end -}}{{- end -}}
{{- end -}}
{{- if $said }}
{{ $path }}: {{ $word }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The same as comments, for who renders and does not install. */ -}}
{{- define "base.comments" -}}
{{- with .Said }}
# Of the values that are set:
{{- range splitList "\n" . }}
# {{ . }}
{{- end }}
{{- end -}}
{{- end -}}

{{- /* What is wrong with texts that have a form. In: the root, trees of values. */ -}}
{{- define "base.forms" -}}
{{- $trees := index . 1 -}}
{{- range $form := (index . 0).Files.Get "files/forms.yaml" | fromYamlArray -}}
{{- range $value := $trees -}}
{{- range splitList "." $form.path -}}
{{- if not (kindIs "map" $value) -}}{{- $value = dict -}}
{{- else if hasKey $value . -}}{{- $value = get $value . -}}
{{- else -}}{{- $value = dict -}}{{- end -}}
{{- end -}}
{{- range $text := ternary $value (list $value) (kindIs "slice" $value) -}}
{{- if kindIs "string" $text -}}
{{- $isForbidden := and $form.not (regexMatch ($form.not | default "") $text) -}}
{{- if or $isForbidden (not (regexMatch $form.pattern $text)) (and $form.longest (gt (len $text) (int $form.longest))) }}
{{ $form.path }}: {{ printf $form.message (trunc 100 $text) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Refuses bounds of an autoscaler that do not go together. In: the name of the lower one, its value, the same of the upper one. */ -}}
{{- define "base.bounds" -}}
{{- range list (list (index . 0) (index . 1)) (list (index . 2) (index . 3)) -}}
{{- if eq (toString (index . 1)) "0" -}}{{- fail (printf "%s is 0: it is at least 1" (index . 0)) -}}{{- end -}}
{{- end -}}
{{- if and (index . 1) (index . 3) -}}{{- if gt (int (index . 1)) (int (index . 3)) -}}
{{- fail (printf "%s is %v and %s is %v: it is at least as much" (index . 0) (index . 1) (index . 2) (index . 3)) -}}
{{- end -}}{{- end -}}
{{- end -}}

{{- /* Refuses an update that replaces no pod. In: the same of the two shares. */ -}}
{{- define "base.shares" -}}
{{- if and (has (toString (index . 1)) (list "0" "0%")) (has (toString (index . 3)) (list "0" "0%")) -}}
{{- fail (printf "%s and %s are both 0: no pod could be replaced, set one of them" (index . 0) (index . 2)) -}}
{{- end -}}
{{- end -}}

{{- /* How much a quantity is. */ -}}
{{- define "base.amount" -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[+]?[0-9.]+([eE][+-]?[0-9]+)?" $text -}}
{{- $units := dict "n" 1e-9 "u" 1e-6 "m" 1e-3 "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0
  "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- mulf (float64 $number) (get $units (trimPrefix $number $text)) -}}
{{- end -}}

{{- /* Refuses a request above its limit. In: the name of a container's resources, and those. */ -}}
{{- define "base.resources" -}}
{{- $name := index . 0 -}}
{{- $resources := index . 1 | default dict -}}
{{- range $of, $request := $resources.requests -}}
{{- $limit := get ($resources.limits | default dict) $of -}}
{{- if not (or (kindIs "invalid" $request) (kindIs "invalid" $limit) (eq (toString $limit) "")) -}}
{{- if gt (include "base.amount" $request | float64) (mulf 1.000000000001 (include "base.amount" $limit | float64)) -}}
{{- fail (printf "%s.requests.%s is %v, which is more than the limit, %v: raise %s.limits.%s" $name $of $request $limit $name $of) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Refuses a name that is there twice. In: the name of a list, the list, names that are taken. */ -}}
{{- define "base.once" -}}
{{- $list := index . 0 -}}
{{- $taken := index . 2 -}}
{{- range index . 1 -}}
{{- if has .name $taken -}}{{- fail (printf "%s: the name %v is there twice, or is the chart's own: take another" $list .name) -}}{{- end -}}
{{- $taken = append $taken .name -}}
{{- end -}}
{{- end -}}

{{- /* Refuses mounts of volumes that there are not, and two at one place. In: the name of a list, the list, volumes' names, places that are taken. */ -}}
{{- define "base.mounts" -}}
{{- $list := index . 0 -}}
{{- $volumes := index . 2 -}}
{{- $taken := index . 3 -}}
{{- range index . 1 -}}
{{- if not (has .name $volumes) -}}{{- fail (printf "%s: there is no volume %s in the pod: add it to volumes" $list .name) -}}{{- end -}}
{{- if has .mountPath $taken -}}{{- fail (printf "%s: something else is mounted at %s already: take another place" $list .mountPath) -}}{{- end -}}
{{- $taken = append $taken .mountPath -}}
{{- end -}}
{{- end -}}

{{- /* Refuses volumes and containers that do not go together. In: how names of values begin, the values, the chart's own volumes, mounts and containers. */ -}}
{{- define "base.pod" -}}
{{- $prefix := index . 0 -}}
{{- $values := index . 1 -}}
{{- $volumes := index . 2 -}}
{{- $containers := index . 4 -}}
{{- include "base.once" (list (printf "%svolumes" $prefix) $values.volumes $volumes) -}}
{{- range $values.volumes -}}{{- $volumes = append $volumes .name -}}{{- end -}}
{{- include "base.mounts" (list (printf "%svolumeMounts" $prefix) $values.volumeMounts $volumes (index . 3)) -}}
{{- include "base.resources" (list (printf "%sresources" $prefix) $values.resources) -}}
{{- include "base.once" (list (printf "%sinitContainers" $prefix) $values.initContainers $containers) -}}
{{- range $values.initContainers -}}{{- $containers = append $containers .name -}}{{- end -}}
{{- include "base.once" (list (printf "%sadditionalContainers" $prefix) $values.additionalContainers $containers) -}}
{{- range $list := list "initContainers" "additionalContainers" -}}
{{- range get $values $list | default list -}}
{{- $name := printf "%s%s: %s" $prefix $list .name -}}
{{- include "base.mounts" (list (printf "%s.volumeMounts" $name) .volumeMounts $volumes list) -}}
{{- include "base.resources" (list (printf "%s.resources" $name) .resources) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Variables that the user names, which take the place of the chart's. */ -}}
{{- define "base.variables" -}}
{{- $names := dict -}}
{{- range $name, $_ := .Values.env -}}{{- $_ := set $names $name true -}}{{- end -}}
{{- range .Values.envVarFrom -}}{{- $_ := set $names .name true -}}{{- end -}}
{{- toJson $names -}}
{{- end -}}


{{- if ne (toString .Values.base.enableIstioConfigCRDs) "false" }}
{{- $excluded := .Values.base.excludedCRDs | default list }}
{{- $comments := include "base.comments" . }}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" }}
{{- if not (has (trimSuffix ".yaml" (base $path)) $excluded) }}
---
{{- with $comments }}{{ . }}{{ end }}
{{- $comments = "" }}
{{ $.Files.Get $path }}
{{- end }}
{{- end }}
{{- end }}

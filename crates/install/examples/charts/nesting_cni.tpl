{{- $plain = dict -}}
{{- range $layer := list $defaults $own -}}
{{- $plain = mustMergeOverwrite $plain (deepCopy (omit $layer "cni")) (deepCopy (get $layer "cni" | default dict)) -}}
{{- end -}}

{{- $nested := dict -}}
{{- range $layer := list $defaults $own -}}
{{- $nested = mustMergeOverwrite $nested (deepCopy (pick $layer NAMES)) (deepCopy (get $layer "NESTED" | default dict)) -}}
{{- end -}}
{{- $_ := set $plain "NESTED" $nested -}}

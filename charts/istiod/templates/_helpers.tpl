{{- define "istiod.revision" -}}
{{- if and .Values.revision (ne .Values.revision "default") -}}{{ .Values.revision }}{{- end -}}
{{- end -}}

{{- define "istiod.suffix" -}}
{{- if and .Values.revision (ne .Values.revision "default") -}}-{{ .Values.revision }}{{- end -}}
{{- end -}}

{{- define "istiod.elsewhere" -}}
{{- if ne .Release.Namespace "istio-system" -}}-{{ .Release.Namespace }}{{- end -}}
{{- end -}}

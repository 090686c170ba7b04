{{- with .Values.global.istioNamespace }}{{ if ne . $.Release.Namespace }}
{{- fail (printf "global.istioNamespace is %s: install into it, with --namespace %s" . .) }}
{{- end }}{{ end }}
{{- if and .Values.pilot.autoscaleEnabled .Values.pilot.autoscaleMax (gt (int .Values.pilot.autoscaleMin) (int .Values.pilot.autoscaleMax)) }}
{{- fail (printf "pilot.autoscaleMin is %v and pilot.autoscaleMax is %v: it is at least as much" .Values.pilot.autoscaleMin .Values.pilot.autoscaleMax) }}
{{- end }}
{{- if .Values.istiodRemote }}{{ if .Values.istiodRemote.enabled }}
{{- fail "istiodRemote.enabled: a control plane outside of the cluster is not offered, leave it out" }}
{{- end }}{{ end }}

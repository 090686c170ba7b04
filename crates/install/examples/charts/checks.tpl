{{- if has .Values.profile (list "ambient" "openshift-ambient") }}
{{- fail (printf "profile is %s: there are no pods without sidecars here, leave it out" .Values.profile) }}
{{- else if has .Values.profile (list "remote" "external") }}
{{- fail (printf "profile is %s: a control plane outside of the cluster is not offered, leave it out" .Values.profile) }}
{{- end }}

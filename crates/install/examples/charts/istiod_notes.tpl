The control plane {{ printf "istiod%s" (include "istiod.suffix" .) }} is installed. Namespaces choose it with a label:

    kubectl label namespace NAMESPACE {{ if include "istiod.revision" . }}istio.io/rev={{ .Values.revision }}{{ else }}{{ .Values.sidecarInjectorWebhook.injectLabel | default "istio-injection" }}=enabled{{ end }}
{{- if and (include "istiod.revision" .) (has "default" (.Values.revisionTags | default list)) }}

The tag default is in revisionTags. Where an installation without a revision is in the cluster, its webhooks still
answer for istio-injection=enabled, too, and a chart does not change what is another release's: to switch them off, run

    lateen tag set default --revision {{ .Values.revision }} --overwrite
{{- end }}

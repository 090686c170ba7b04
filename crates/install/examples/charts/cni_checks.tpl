{{- if .Values.istioOwnedCNIConfig }}
{{- fail "istioOwnedCNIConfig: the plugin is added to the chain of the node's network provider, leave it out" }}
{{- end }}
{{- if .Values.ambient }}{{ if .Values.ambient.enabled }}
{{- fail "ambient.enabled: ambient mode is not offered, leave it out" }}
{{- end }}{{ end }}
{{- include "cni.resources" (list "resources" .Values.resources) }}
{{- if ne (get (.Values.podLabels | default dict) "k8s-app" | default "istio-cni-node") "istio-cni-node" }}
{{- fail "podLabels.k8s-app: pods are selected by k8s-app=istio-cni-node and would be lost, leave it out" }}
{{- end }}

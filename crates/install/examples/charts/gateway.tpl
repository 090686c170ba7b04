{{- /* The labels by which Gateway objects and the Service select it. Without other wishes, as in Istio's
chart, istio-ingressgateway has istio=ingressgateway. */ -}}
{{- define "gateway.app" -}}
{{- $labels := .Values.labels | default dict -}}
{{- if hasKey $labels "app" -}}{{- $labels.app -}}{{- else -}}{{- default .Release.Name .Values.name -}}{{- end -}}
{{- end -}}
{{- define "gateway.role" -}}
{{- $labels := .Values.labels | default dict -}}
{{- if hasKey $labels "istio" -}}
{{- $labels.istio -}}
{{- else -}}
{{- default .Release.Name .Values.name | trimPrefix "istio-" -}}
{{- end -}}
{{- end -}}

{{- define "gateway.serviceAccountName" -}}
{{- $own := ternary (default .Release.Name .Values.name) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $own -}}
{{- end -}}

{{- /* The label of a network's gateway. */ -}}
{{- define "gateway.network" -}}
{{- $label := dict -}}
{{- with .Values.networkGateway -}}{{- $_ := set $label "topology.istio.io/network" . -}}{{- end -}}
{{- toJson $label -}}
{{- end -}}

{{- define "gateway.imagePullSecrets" -}}
{{- $all := .Values.imagePullSecrets | default list -}}
{{- range .Values.global.imagePullSecrets -}}{{- $all = append $all (dict "name" .) -}}{{- end -}}
{{- toJson (uniq $all) -}}
{{- end -}}

{{- /* The Service's ports; a network's gateway has those by which other networks reach it. */ -}}
{{- define "gateway.servicePorts" -}}
{{- $ports := .Values.service.ports -}}
{{- if .Values.networkGateway -}}
{{- $ports = list -}}
{{- $all := list (list "status-port" 15021) (list "tls" 15443) (list "tls-istiod" 15012) (list "tls-webhook" 15017) -}}
{{- range $all -}}
{{- $ports = append $ports (dict "name" (index . 0) "port" (index . 1) "targetPort" (index . 1)) -}}
{{- end -}}
{{- end -}}
{{- $all := list -}}
{{- range $ports -}}{{- $all = append $all (merge (deepCopy .) (dict "protocol" "TCP")) -}}{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{- /* The pod's ports: those behind the Service's, each once, and the one for metrics. */ -}}
{{- define "gateway.containerPorts" -}}
{{- $seen := dict -}}
{{- $all := list -}}
{{- range append (include "gateway.servicePorts" . | fromJsonArray) (dict "port" 15090 "name" "http-envoy-prom") -}}
{{- $target := ternary .targetPort .port (hasKey . "targetPort") -}}
{{- if not (kindIs "string" $target) -}}
{{- $port := dict "containerPort" (int $target) "protocol" (.protocol | default "TCP") -}}
{{- if eq (int $target) 15090 -}}{{- $_ := set $port "name" "http-envoy-prom" -}}{{- end -}}
{{- $key := printf "%d/%s" $port.containerPort $port.protocol -}}
{{- if not (hasKey $seen $key) -}}
{{- $_ := set $seen $key true -}}
{{- $all = append $all $port -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{- /* Whether one of them is below 1024. */ -}}
{{- define "gateway.privileged" -}}
{{- range include "gateway.servicePorts" . | fromJsonArray -}}
{{- $target := ternary .targetPort .port (hasKey . "targetPort") -}}
{{- if and (not (kindIs "string" $target)) (lt (int $target) 1024) -}}yes{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Where certificates come from. */ -}}
{{- define "gateway.authority" -}}
{{- $usual := printf "istiod%s.%s.svc:15012" (include "gateway.suffix" .) .Values.global.istioNamespace -}}
{{- .Values.global.caAddress | default $usual -}}
{{- end -}}

{{- /* What a disruption budget says beside its selector. */ -}}
{{- define "gateway.budget" -}}
{{- $own := .Values.podDisruptionBudget | default (dict "minAvailable" 1) -}}
{{- if not $own.unhealthyPodEvictionPolicy -}}{{- $own = omit $own "unhealthyPodEvictionPolicy" -}}{{- end -}}
{{- toJson $own -}}
{{- end -}}

{{- /* What pods' security is beside the usual. */ -}}
{{- define "gateway.security" -}}
{{- $all := deepCopy (.Values.securityContext | default dict) -}}
{{- if and (include "gateway.privileged" .) (not (hasKey $all "sysctls")) -}}
{{- $_ := set $all "sysctls" (list (dict "name" "net.ipv4.ip_unprivileged_port_start" "value" "0")) -}}
{{- end -}}
{{- if .Values.runAsRoot -}}{{- $all = mustMergeOverwrite $all (dict "runAsUser" 0 "runAsGroup" 0 "runAsNonRoot" false) -}}{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{- define "gateway.containerSecurity" -}}
{{- $all := deepCopy (.Values.containerSecurityContext | default dict) -}}
{{- if .Values.runAsRoot -}}{{- $all = mustMergeOverwrite $all (dict "runAsUser" 0 "runAsGroup" 0 "runAsNonRoot" false) -}}{{- end -}}
{{- toJson $all -}}
{{- end -}}

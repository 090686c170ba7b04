{{- $name := default .Release.Name .Values.name }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$" $name) }}
{{- fail (printf "name is %s: a Service has at most 63 of a-z, 0-9 and hyphens, a letter first: set name" $name) }}
{{- end }}
{{- if not (has .Values.kind (list "Deployment" "DaemonSet")) }}
{{- fail (printf "kind is %s: it is Deployment or DaemonSet" .Values.kind) }}
{{- end }}
{{- if and .Values.autoscaling.enabled (ne .Values.kind "DaemonSet") }}
{{- include "gateway.bounds" (list "autoscaling.minReplicas" .Values.autoscaling.minReplicas "autoscaling.maxReplicas" .Values.autoscaling.maxReplicas) }}
{{- end }}
{{- $strategy := .Values.strategy | default dict }}
{{- $rolling := $strategy.rollingUpdate | default dict }}
{{- if and (ne .Values.kind "DaemonSet") (ne (toString $strategy.type) "Recreate") }}
{{- include "gateway.shares" (list "strategy.rollingUpdate.maxSurge" $rolling.maxSurge "strategy.rollingUpdate.maxUnavailable" $rolling.maxUnavailable) }}
{{- end }}
{{- with .Values.podDisruptionBudget }}
{{- if not (or (kindIs "invalid" .minAvailable) (kindIs "invalid" .maxUnavailable)) }}
{{- fail "podDisruptionBudget has minAvailable and maxUnavailable: only one of them may be" }}
{{- end }}
{{- end }}
{{- include "gateway.pod" (list "" .Values OUR_VOLUMES OUR_MOUNTS OUR_CONTAINERS) }}
{{- $service := .Values.service }}
{{- if ne $service.type "None" }}
{{- $isOutside := has $service.type (list "NodePort" "LoadBalancer") }}
{{- if and $service.externalTrafficPolicy (not $isOutside) (not $service.externalIPs) }}
{{- fail "service.externalTrafficPolicy: a Service of type ClusterIP without externalIPs has no traffic from outside: set service.type to LoadBalancer or NodePort, or leave it out" }}
{{- end }}
{{- $ports := include "gateway.servicePorts" . | fromJsonArray }}
{{- if not $ports }}{{ fail "service.ports: there is none, write one" }}{{ end }}
{{- range $ports }}
{{- if and (gt (len $ports) 1) (not .name) }}
{{- fail (printf "service.ports: port %v has no name: with several ports each has one" .port) }}
{{- end }}
{{- end }}
{{- include "gateway.once" (list "service.ports" $ports list) }}
{{- $seen := list }}
{{- range $ports }}
{{- $key := printf "%v of %s" .port (.protocol | default "TCP") }}
{{- if has $key $seen }}{{ fail (printf "service.ports: there are two ports %s, remove one" $key) }}{{ end }}
{{- $seen = append $seen $key }}
{{- if eq (toString .targetPort) "0" }}
{{- fail (printf "service.ports: port %v has targetPort 0: it is a port of the pod from 1 to 65535, leave it out where it is the same" .port) }}
{{- end }}
{{- if and .nodePort (not $isOutside) }}
{{- fail (printf "service.ports: a Service of type ClusterIP has no nodePort, and port %v has: set service.type to NodePort or LoadBalancer" .port) }}
{{- end }}
{{- end }}
{{- end }}

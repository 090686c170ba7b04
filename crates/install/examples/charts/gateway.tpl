{{- /* The pod's ports: those behind the Service's, each once, and the one for metrics. */ -}}
{{- define "gateway.containerPorts" -}}
{{- $seen := dict -}}
{{- $all := list -}}
{{- range append .Values.service.ports (dict "port" 15090 "name" "http-envoy-prom") -}}
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
{{- range .Values.service.ports -}}
{{- $target := ternary .targetPort .port (hasKey . "targetPort") -}}
{{- if and (not (kindIs "string" $target)) (lt (int $target) 1024) -}}yes{{- end -}}
{{- end -}}
{{- end -}}

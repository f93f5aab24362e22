{{- define "wattle.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "wattle.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "wattle.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "wattle.selector" -}}
app.kubernetes.io/name: {{ include "wattle.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "wattle.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "wattle.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "wattle.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "wattle.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "wattle.configMap" -}}
{{- default (include "wattle.fullname" .) .Values.existingConfigMap -}}
{{- end }}

{{/* Whether the agent asks the API server about pods. */}}
{{- define "wattle.readsPods" -}}
{{- if and .Values.kubernetesLogs.enabled .Values.kubernetesLogs.metadata }}true{{ end -}}
{{- end }}

{{- define "wattle.hasService" -}}
{{- if kindIs "bool" .Values.service.enabled -}}
{{- if .Values.service.enabled }}true{{ end -}}
{{- else if .Values.ports }}true{{ end -}}
{{- end }}

{{/* Combinations that install but cannot work. */}}
{{- define "wattle.check" -}}
{{- if and (eq .Values.kind "Deployment") (eq .Values.data.type "hostPath") -}}
{{- fail "data.type: a Deployment needs emptyDir or persistentVolumeClaim, since its pods move between nodes" -}}
{{- end -}}
{{- if and (eq .Values.kind "DaemonSet") (eq .Values.data.type "persistentVolumeClaim") -}}
{{- fail "data.type: the agents of a DaemonSet cannot share a claim; use hostPath" -}}
{{- end -}}
{{- if and (eq .Values.data.type "persistentVolumeClaim") (gt (int .Values.replicas) 1) -}}
{{- fail "replicas: agents cannot share a data folder; use data.type emptyDir, or one replica" -}}
{{- end -}}
{{- if and (eq .Values.kind "Deployment") .Values.kubernetesLogs.enabled -}}
{{- fail "kubernetesLogs.enabled: only a DaemonSet reads the logs of every node; set it to false" -}}
{{- end -}}
{{- if not .Values.existingConfigMap -}}
{{- $listen := printf "listen *= *\"(0\\.0\\.0\\.0|\\[::\\]):%d\"" (int .Values.adminPort) -}}
{{- if not (and (regexMatch "(?m)^ *\\[admin\\]" .Values.config) (regexMatch $listen .Values.config) (regexMatch "allow_remote *= *true" .Values.config)) -}}
{{- fail (printf "config: probes need [admin] with listen = \"0.0.0.0:%d\" and allow_remote = true" (int .Values.adminPort)) -}}
{{- end -}}
{{- end -}}
{{- end }}

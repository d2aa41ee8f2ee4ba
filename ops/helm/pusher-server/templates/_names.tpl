{{/* The release's name, with the chart's unless it is in it already; 63 characters at most, less what is appended. */}}
{{- define "pusher-server.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "pusher-server.labels" -}}
app.kubernetes.io/name: pusher-server
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Labels by which nodes are found. */}}
{{- define "pusher-server.node" -}}
app.kubernetes.io/name: pusher-server
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: node
{{- end -}}

{{/* Labels by which Redis is found. */}}
{{- define "pusher-server.redis" -}}
app.kubernetes.io/name: pusher-server
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: redis
{{- end -}}

{{/* The Secret with credentials. */}}
{{- define "pusher-server.secret" -}}
{{- .Values.secret.existing | default (include "pusher-server.name" .) -}}
{{- end -}}

{{/* Where the nodes meet; empty with one node alone. */}}
{{- define "pusher-server.redisUrl" -}}
{{- if .Values.redis.enabled -}}
redis://{{ include "pusher-server.name" . }}-redis:6379/0
{{- else -}}
{{- .Values.redis.url -}}
{{- end -}}
{{- end -}}

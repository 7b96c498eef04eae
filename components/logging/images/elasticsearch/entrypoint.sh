#!/bin/sh
# Puts the configuration together and serves.
# Environment: HEAP (such as 512m), SECRETS (folder with tls.crt, tls.key, users, users_roles and roles.yml),
# STATE (optional file: reserved cluster state, applied before the node says it is ready). Arguments go to the server.
set -eu
umask 077

mkdir -p "$ES_PATH_CONF/jvm.options.d" "$ES_PATH_CONF/operator" "$ES_TMPDIR"
# The server reads no file outside its configuration folder, and the links in a mounted Secret lead outside.
install -m 0600 "$ES_DEFAULTS"/* "$SECRETS/tls.crt" "$SECRETS/tls.key" "$SECRETS/users" "$SECRETS/users_roles" \
    "$SECRETS/roles.yml" "$ES_PATH_CONF/"
printf -- '-Xms%s\n-Xmx%s\n' "$HEAP" "$HEAP" > "$ES_PATH_CONF/jvm.options.d/heap.options"

# What the full distribution does beside storing and searching. A setting of an absent module stops the server.
setting() {
    if [ -d "$ES_HOME/modules/$1" ]; then echo "$2" >> "$ES_PATH_CONF/elasticsearch.yml"; fi
}
setting x-pack-ml 'xpack.ml.enabled: false'
setting ingest-geoip 'ingest.geoip.downloader.enabled: false'
setting x-pack-watcher 'xpack.watcher.enabled: false'
setting x-pack-deprecation 'cluster.deprecation_indexing.enabled: false'
setting x-pack-stack 'stack.templates.enabled: false'

if [ -n "${STATE:-}" ]; then
    # State is applied when its version is higher than the last one: the time is, at every start.
    printf '{"metadata":{"version":"%s","compatibility":"8.4.0"},"state":%s}' "$(date +%s)" "$(cat "$STATE")" \
        > "$ES_PATH_CONF/operator/settings.json"
fi

exec "$ES_HOME/bin/elasticsearch" "$@"

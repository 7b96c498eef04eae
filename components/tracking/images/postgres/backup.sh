#!/bin/sh
# Backups of a database in a folder. Environment: BACKUPS (the folder), PASSWORD_FILE, and PGHOST, PGUSER, PGDATABASE.
#   backup.sh save FILE       one more if FILE exists (it names the schema), of which the five newest stay
#   backup.sh restore [NAME]  puts one back, the newest if none is named; all of it or nothing
set -eu

# Names begin with the time: the order of names is the order of time.
all() { find "$BACKUPS" -maxdepth 1 -name '*.dump' | sort -r; }

save() {
    [ -e "$1" ] || exit 0
    file="$BACKUPS/$(date -u +%Y-%m-%dT%H%M%SZ)-$(cat "$1").dump"
    # A dump that was broken off has another name.
    rm -f "$BACKUPS"/*.part
    pg_dump --format=custom --no-owner --file="$file.part"
    sync "$file.part"
    mv "$file.part" "$file"
    echo "saved $(basename "$file")"
    all | tail -n +6 | xargs -r rm -f
}

restore() {
    file=${1:+"$BACKUPS/$1"}
    file=${file:-$(all | head -n 1)}
    if [ ! -f "$file" ]; then
        echo "no such backup: ${file:-none at all}; here are: $(all | xargs -rn 1 basename | tr '\n' ' ')" >&2
        exit 1
    fi
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # In steps, no pipe: a backup that cannot be read changes nothing.
    pg_restore --no-owner --no-privileges --file="$work/all" "$file"
    # Everything goes first: a newer schema has tables that the backup does not know.
    echo 'SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public;' > "$work/sql"
    sed '/^CREATE SCHEMA public;$/d' "$work/all" >> "$work/sql"
    # A server that is still connected holds its tables: better an error than a restore that waits for it.
    PGOPTIONS='-c lock_timeout=30s' psql --quiet --no-psqlrc --single-transaction --set=ON_ERROR_STOP=1 --file="$work/sql" > /dev/null
    echo "restored $(basename "$file")"
}

# libpq reads passwords from files that nobody else can read; those of a Secret are the pod's group's.
PGPASSWORD=$(cat "$PASSWORD_FILE")
export PGPASSWORD

command=$1
shift
case $command in
    save | restore) "$command" "$@" ;;
    *) echo "save or restore, not $command" >&2; exit 2 ;;
esac

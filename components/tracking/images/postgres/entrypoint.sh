#!/bin/sh
# Makes the cluster with one database and its owner when the volume is empty, then serves it.
# Environment: DATABASE (name of database and owner), PASSWORD_FILE, PGDATA. Arguments go to the server.
set -eu

# Statements to the single-user server on standard input; a failing one must not show its text, it holds a password.
single() {
    postgres --single -j -D "$1" -c log_min_error_statement=panic -c exit_on_error=on "$2" > /dev/null
}

quoted=$(sed "s/'/''/g" "$PASSWORD_FILE")

if [ ! -e "$PGDATA/PG_VERSION" ]; then
    # Made elsewhere and moved in one step: an interruption leaves nothing half made.
    rm -rf "$PGDATA.new"
    initdb --pgdata="$PGDATA.new" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
        --auth-local=peer --auth-host=reject > /dev/null
    echo "host $DATABASE $DATABASE all scram-sha-256" > "$PGDATA.new/pg_hba.conf"
    echo "local all postgres peer" >> "$PGDATA.new/pg_hba.conf"
    printf 'CREATE ROLE "%s" LOGIN;\n\nCREATE DATABASE "%s" OWNER "%s";\n' "$DATABASE" "$DATABASE" "$DATABASE" |
        single "$PGDATA.new" postgres
    mv "$PGDATA.new" "$PGDATA"
    echo "made database $DATABASE in $PGDATA"
fi

# Left by a container that was killed: its process ids mean nothing in this one, and the volume has one pod at a time.
rm -f "$PGDATA/postmaster.pid"

# At every start, so that a new password in the Secret holds after a restart.
printf "ALTER ROLE \"%s\" PASSWORD '%s';\n" "$DATABASE" "$quoted" | single "$PGDATA" postgres

exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/run/postgresql "$@"

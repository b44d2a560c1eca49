#!/bin/sh
# tables.sh save: a dump of the database into /backup, of which the newest KEEP stay.
# tables.sh restore: the database as DUMP has it, a file of /backup; `newest` is the last one.
set -eu
cd "${COPIES:-/backup}"
case $1 in
save)
    rm -f mlflow-*.dump.part restore.sql.part  # of a dump or a restore that was killed, or found the volume full
    dump=mlflow-$(date -u +%Y%m%dT%H%M%SZ).dump
    pg_dump --format=custom --no-owner --file="$dump.part"
    mv "$dump.part" "$dump"
    ls mlflow-*.dump | sort -r | tail -n "+$((KEEP + 1))" | while read -r old; do rm "$old"; done
    echo "tables: saved as $dump"
    ;;
restore)
    dump=$DUMP
    [ "$dump" != newest ] || dump=$(ls mlflow-*.dump | sort | tail -n 1)
    [ -f "$dump" ] || { echo "tables: there is no $dump; there are: $(ls mlflow-*.dump)" >&2; exit 1; }
    # Unpacked before anything changes; then all tables go, those of a later version too, and come back, or nothing does.
    pg_restore --no-owner --file=restore.sql.part "$dump"
    PGOPTIONS='-c client_min_messages=warning' psql --quiet --no-psqlrc --single-transaction --set=ON_ERROR_STOP=1 \
        --command='DROP SCHEMA public CASCADE' --command='CREATE SCHEMA public' --file=restore.sql.part >/dev/null
    rm restore.sql.part
    echo "tables: as $dump has them"
    ;;
esac

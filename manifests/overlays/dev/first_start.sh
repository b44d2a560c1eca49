# Makes PostgreSQL's files and the database in PGDATA, unless they are there; cut off, it begins again the next time.
set -eu
[ ! -s "$PGDATA/PG_VERSION" ] || exit 0
new=$PGDATA.new
rm -rf "$new"
printf %s "$POSTGRES_PASSWORD" >"${TMPDIR:-/tmp}/password"
initdb --pgdata="$new" --username="$POSTGRES_USER" --pwfile="${TMPDIR:-/tmp}/password" --encoding=UTF8 --locale=C.UTF-8 >/dev/null
rm "${TMPDIR:-/tmp}/password"
echo "CREATE DATABASE \"$POSTGRES_DB\"" | postgres --single -D "$new" postgres >/dev/null
mv "$new" "$PGDATA"

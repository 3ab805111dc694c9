#!/bin/sh
# The users of MySQL: the server's may read and write rows, that of migrations may change tables too; neither sees
# another database. Run by the mysql image when it makes its data, and by hand after a password was changed:
#   docker compose exec mysql sh /docker-entrypoint-initdb.d/users.sh
# Passwords are hexadecimal, as deploy/env.sh makes them, so nothing in them needs quoting.
set -e
app=${MYSQL_APP_USER:-aizy}
migrate=${MYSQL_MIGRATE_USER:-aizy_migrate}
case "${MYSQL_APP_PASSWORD:?}${MYSQL_MIGRATE_PASSWORD:?}" in
  *[!0-9A-Za-z]*) echo "MYSQL_APP_PASSWORD and MYSQL_MIGRATE_PASSWORD may have letters and digits only." >&2; exit 1 ;;
esac
MYSQL_PWD=$MYSQL_ROOT_PASSWORD ${MYSQL_CLIENT:-mysql --user=root} <<SQL
CREATE USER IF NOT EXISTS '$app'@'%';
ALTER USER '$app'@'%' IDENTIFIED BY '$MYSQL_APP_PASSWORD';
GRANT SELECT, INSERT, UPDATE, DELETE ON \`$MYSQL_DATABASE\`.* TO '$app'@'%';
CREATE USER IF NOT EXISTS '$migrate'@'%';
ALTER USER '$migrate'@'%' IDENTIFIED BY '$MYSQL_MIGRATE_PASSWORD';
GRANT ALL PRIVILEGES ON \`$MYSQL_DATABASE\`.* TO '$migrate'@'%';
SQL

#!/bin/sh
# sh deploy/backup.sh    a backup of compose.yaml's shop, beside it while it is open; then those go that are too old.
#   BACKUPS      where they are: backups/ of the checkout
#   KEEP_DAYS    for how many days one is kept: 14
#   BACKUP_COPY  a command that brings the new one to another machine; it is named by $BACKUP:
#                BACKUP_COPY='rsync --archive "$BACKUP" backup@elsewhere.example:aizy/'
# Nothing is removed where one of these steps failed, and the script ends with what that ended with.
set -eu
cd "$(dirname "$0")/.."
backups=${BACKUPS:-$PWD/backups}
name=$(date -u +%Y-%m-%dT%H-%M-%SZ)
mkdir -p -m 700 "$backups"
# The user of the image writes there.
if [ "$(id -u)" = 0 ]; then chown 1000:1000 "$backups"; fi
docker compose run --rm --no-deps --no-TTY --volume "$backups:/backups" app \
  bun dist/src/backup/backup.cli.js "/backups/$name"
if [ -n "${BACKUP_COPY:-}" ]; then BACKUP="$backups/$name" sh -c "$BACKUP_COPY"; fi
find "$backups" -mindepth 1 -maxdepth 1 -type d -name '20[0-9][0-9]-*T*Z' -mtime "+${KEEP_DAYS:-14}" -exec rm -r {} +

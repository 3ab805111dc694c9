#!/bin/sh
# sh deploy/env.sh [FILE]    makes the secrets of an installation, anew, in FILE (.env), which its owner alone may read.
# Fill in the addresses at its end. Keep a copy elsewhere: DATA_KEY reads what it has sealed, and nothing else can.
# MYSQL_PASSWORD and MONGO_PASSWORD are those of root, which the server does not know.
set -eu
umask 077
file=${1:-$(dirname "$0")/../.env}
if [ -e "$file" ] && [ ! -s "$file" ]; then
  echo "$file is there and empty. Remove it, and run this without \`>\`: it writes the file itself." >&2
  exit 1
fi
if [ -e "$file" ]; then
  cat >&2 <<EOF
$file is there, and its secrets cannot be made again: DATA_KEY reads what it has sealed, and the databases know the
passwords. It stays as it is. Where variables are missing in it, make others with \`sh deploy/env.sh other.env\` and take
them from there; for a new installation move $file away first.
EOF
  exit 1
fi
# Each on its own, so that the script ends where one cannot be made.
mysql=$(openssl rand -hex 16)
mysql_app=$(openssl rand -hex 16)
mysql_migrate=$(openssl rand -hex 16)
mongo=$(openssl rand -hex 16)
mongo_app=$(openssl rand -hex 16)
jwt=$(openssl rand -base64 48)
key=$(openssl rand -base64 32)
metrics=$(openssl rand -hex 24)
# A file that somebody makes at the same moment is not overwritten.
set -C
cat >"$file" <<EOF
MYSQL_PASSWORD=$mysql
MYSQL_APP_PASSWORD=$mysql_app
MYSQL_MIGRATE_PASSWORD=$mysql_migrate
MONGO_PASSWORD=$mongo
MONGO_APP_PASSWORD=$mongo_app
JWT_SECRET=$jwt
DATA_KEY=v1:$key
METRICS_TOKEN=$metrics
DRAIN_SECONDS=3

# Fill in these four. Where the frontend is, such as https://shop.example; links in mails lead there.
APP_URL=
# Every origin whose pages may call, separated by commas; the same again where there is no other.
CORS_ORIGINS=
# What sends mails, such as smtp://user:password@mail.example.com:587, and their sender, such as
# Shop <no-reply@shop.example>
SMTP_URL=
MAIL_FROM=

# TLS: Caddy in front, with a certificate for the host of the API, such as api.shop.example. docs/production.md
#COMPOSE_PROFILES=tls
#SITE=
EOF
echo "The secrets are in $file. Fill in APP_URL, CORS_ORIGINS, SMTP_URL and MAIL_FROM at its end, and keep a copy elsewhere."

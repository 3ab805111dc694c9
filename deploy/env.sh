#!/bin/sh
# sh deploy/env.sh > .env    the secrets that compose.yaml needs, made anew; fill in the rest below them.
# MYSQL_PASSWORD and MONGO_PASSWORD are those of root, which the server does not know. Keep the file: DATA_KEY reads what it has sealed, and nothing else can.
set -eu
umask 077
cat <<EOF
MYSQL_PASSWORD=$(openssl rand -hex 16)
MYSQL_APP_PASSWORD=$(openssl rand -hex 16)
MYSQL_MIGRATE_PASSWORD=$(openssl rand -hex 16)
MONGO_PASSWORD=$(openssl rand -hex 16)
MONGO_APP_PASSWORD=$(openssl rand -hex 16)
JWT_SECRET=$(openssl rand -base64 48)
DATA_KEY=v1:$(openssl rand -base64 32)
METRICS_TOKEN=$(openssl rand -hex 24)
DRAIN_SECONDS=3

# Where the frontend is; its pages may call.
APP_URL=https://shop.example
CORS_ORIGINS=https://shop.example
# What sends mails.
SMTP_URL=smtp://user:password@mail.example.com:587
MAIL_FROM=Shop <no-reply@shop.example>
EOF

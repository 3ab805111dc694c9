# syntax=docker/dockerfile:1

# Bun is pinned here and in package.json; keep both the same.
FROM oven/bun:1.4.5-slim AS build
WORKDIR /app
COPY package.json bun.lock bunfig.toml ./
COPY patches ./patches
RUN bun install --frozen-lockfile
COPY tsconfig.json prisma.config.ts ./
COPY prisma ./prisma
COPY local ./local
COPY src/cli.ts src/commands.ts ./src/
COPY src/db/confirm.ts ./src/db/
RUN bun run generate
COPY src ./src
RUN bun run build

# What the bundle does not hold: native addons and the files of the documentation page. `--omit=peer` leaves
# out Prisma's command line, an optional peer that is three times the rest.
FROM oven/bun:1.4.5-slim AS packages
WORKDIR /app
COPY package.json bun.lock bunfig.toml ./
COPY patches ./patches
RUN bun install --frozen-lockfile --production --omit=peer
COPY local/notices.ts ./local/
COPY src/auth/common-passwords.licence.txt ./src/auth/
RUN bun local/notices.ts licences

FROM oven/bun:1.4.5-slim
WORKDIR /app
# MALLOC_: the picture library's threads would each keep what they once used; 209 MB after 120 pictures, not 394.
ENV NODE_ENV=production \
    PORT=5000 \
    STORAGE_DIR=/data/files \
    MALLOC_ARENA_MAX=2 \
    MALLOC_TRIM_THRESHOLD_=131072
RUN mkdir -p /data/files && chown -R bun:bun /data
COPY --from=packages /app/node_modules ./node_modules
COPY --from=packages /app/licences ./licences
COPY --from=build /app/dist ./dist
COPY prisma/migrations ./prisma/migrations
COPY package.json ./
# The user `bun` of the image, by number, so that a host can check that it is not root.
USER 1000:1000
VOLUME /data
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["bun", "-e", "const answer = await fetch(`http://127.0.0.1:${process.env.PORT}/health/live`); process.exit(answer.ok ? 0 : 1)"]
# Signals reach the server itself: it finishes requests in flight for up to ten seconds.
STOPSIGNAL SIGTERM
CMD ["bun", "dist/src/index.js"]

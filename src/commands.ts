/**
 * What every script of package.json takes, by its name. A program reads its own line here, and so does
 * `local/script.ts` before it starts databases for it.
 */
import type { CommandLine } from "./cli";

const flag = { type: "boolean" } as const;
const text = { type: "string" } as const;

/** Of whatever destroys data: see `db/confirm.ts`. */
const confirm = { confirm: { type: "string", multiple: true } } as const;
const CONFIRM = `  --confirm NAME  the name of a database that is erased, once for each that this checkout did not start
                  itself; on a terminal it is asked for. Refused where NODE_ENV is production.`;

export const COMMANDS = {
  start: {
    usage: "Usage: bun run start\nServes on PORT (5000). Settings come from the environment or .env.",
  },
  build: { usage: "Usage: bun run build\nBundles the server and its commands into dist/." },
  "build:client": {
    usage: "Usage: bun run build:client\nMakes the typed client as a package in dist/client/.",
  },
  lint: { usage: "Usage: bun run lint [PATH…]\nChecks style and rules with Biome.", words: [0, 1000] },
  format: {
    usage: "Usage: bun run format [PATH…]\nMends what Biome can mend, and formats.",
    words: [0, 1000],
  },
  typecheck: { usage: "Usage: bun run typecheck [--watch]", options: { watch: flag } },
  generate: { usage: "Usage: bun run generate\nMakes Prisma's client from prisma/schema.prisma." },
  migrate: {
    usage: `Usage: bun run migrate [--wait SECONDS] [--drop-unused-indexes] [--long-locks]
Applies the migrations that are missing, and builds MongoDB's indexes. Copies of the version before go on meanwhile.
While another migration, a backup or a restore works on the database, it waits.
  --wait SECONDS         gives up when that takes longer; without it, it waits as long as the other lives
  --drop-unused-indexes  also drops the indexes that this version does not name, which bun run migrate:status lists;
                         for when no copy of an earlier version runs any more
  --long-locks           in production also where transactionLifetimeLimitSeconds of MongoDB is above 10 and cannot be
                         set`,
    options: { wait: text, "drop-unused-indexes": flag, "long-locks": flag },
  },
  "migrate:status": {
    usage: `Usage: bun run migrate:status
Says which migrations are missing, and which indexes of MongoDB this version does not name; ends with 1 when migrations
are missing.`,
  },
  "migrate:resolve": {
    usage: `Usage: bun run migrate:resolve NAME --applied|--rolled-back
Says what became of a migration that failed half-way, after the database was repaired by hand.
  --applied      all of it is there now
  --rolled-back  nothing of it is there; bun run migrate applies it again`,
    options: { applied: flag, "rolled-back": flag },
    words: [1, 1],
  },
  "migrate:reset": {
    usage: `Usage: bun run migrate:reset [--confirm NAME]…
ERASES both databases, then applies the migrations and makes the roles (bun run seed).
${CONFIRM}`,
    options: confirm,
  },
  "migrate:dev": {
    usage: `Usage: bun run migrate:dev [--name NAME] [--create-only] [--confirm NAME]…
Makes a migration with Prisma, which may have to ERASE the MySQL database first and then asks.
${CONFIRM}`,
    options: { name: text, "create-only": flag, ...confirm },
  },
  seed: {
    usage: `Usage: bun run seed [--demo]
Makes the roles of a new installation and, when SEED_ADMIN_PASSWORD is set and nobody is one yet, the first
administrator (SEED_ADMIN_EMAIL, admin@aizy.local when not set). What is there or was deleted stays as it is.
  --demo  also 60 products with stock and pictures, where there are no products yet; refused in production`,
    options: { demo: flag },
  },
  studio: {
    usage: "Usage: bun run studio [--port N] [--browser NAME]\nPrisma Studio.",
    options: { port: text, browser: text },
  },
  "db:check": {
    usage: `Usage: bun run db:check [--scratch]
Holds the MySQL database against prisma/schema.prisma; ends with 1 and names each difference.
  --scratch  a new database with every migration, dropped afterwards`,
    options: { scratch: flag },
  },
  "db:studio": {
    usage: "Usage: bun run db:studio [--port N] [--host NAME]\nDrizzle Studio.",
    options: { port: text, host: text },
  },
  import: {
    usage: `Usage: bun run import FILE [--from=shopify|woocommerce|medusa] [--dry-run] [--allow-rename] [--restart] [--format=ndjson|csv]
NDJSON has one product a line, CSV one variant a row; see docs/catalogue.md.
  --allow-rename  products that are there may get the names and slugs of the file`,
    options: { "dry-run": flag, "allow-rename": flag, from: text, restart: flag, format: text },
    words: [1, 1],
  },
  export: {
    usage: `Usage: bun run export FILE [--force] [--format=ndjson|csv]
A name in .csv is CSV; --force replaces a file.`,
    options: { force: flag, format: text },
    words: [1, 1],
  },
  backup: {
    usage: `Usage: bun run backup FOLDER [--with-keys]
Writes both databases and the stored files, all as of one time, into a new folder; the shop stays open.
  --with-keys  JWT_SECRET and DATA_KEY too, in keys.env; whoever has the folder can then read everything`,
    options: { "with-keys": flag },
    words: [1, 1],
  },
  restore: {
    usage: `Usage: bun run restore FOLDER [--other-keys]
Reads what bun run backup wrote into empty databases and an empty STORAGE_DIR, while no server runs on them.
  --other-keys  also where JWT_SECRET or DATA_KEY are not those of the backup`,
    options: { "other-keys": flag },
    words: [1, 1],
  },
  "analytics:rebuild": {
    usage: "Usage: bun run analytics:rebuild\nMakes sessions and rollups anew from the events that are kept.",
  },
  jobs: {
    usage: `Usage:
  bun run jobs [list [STATE]]
  bun run jobs retry ID
  bun run jobs discard ID
What waits, runs and failed. STATE is waiting, running, done or failed.`,
    words: [0, 2],
  },
  demo: {
    usage: `Usage: bun run demo
Walks the whole path against the running server (DEMO_URL) through the typed client. It needs the mailbox of
development and the seeded administrator (SEED_ADMIN_EMAIL, SEED_ADMIN_PASSWORD).`,
  },
  bench: {
    usage: `Usage: bun run bench [NAME] [--quick] [--check] [--events | --reports | --rebuild] [--large] [--command] [--rate=N] [--minutes=N]
       bun run bench speed [--quick] [--check] [--save] [--seconds=N] [--only=NAME,…] [--sides=NAME,…] [--against=CHECKOUT]
Runs one benchmark of bench/, or each in turn.
  --quick              less time and less data
  --check              ends with 1 when a goal is missed
  --events, --reports, --rebuild
                       one part of analytics alone; the last only so
  --large              search among 100,000 products alone
  --command            import by the command, in little memory
  --rate=N             events a second that are offered
  --minutes=N          how long soak goes on (2)
  --save               a quick run of speed writes its results too
  --seconds=N          length of each counted run of speed
  --only=NAME,…        scenarios of speed; "wide" is its last part: processes, 100,000 products, a million people
  --sides=NAME,…       sides of speed, beside this project
  --against=CHECKOUT   another checkout of this project as a side of speed`,
    options: {
      quick: flag,
      check: flag,
      events: flag,
      rebuild: flag,
      large: flag,
      command: flag,
      reports: flag,
      rate: text,
      minutes: text,
      save: flag,
      seconds: text,
      only: text,
      sides: text,
      against: text,
    },
    words: [0, 1],
  },
  faults: {
    usage: `Usage: bun run faults [NAME…] [--write]
Breaks one thing after the other under load, and compares what was acknowledged with what is there.
  --write  into docs/reliability.md`,
    options: { write: flag },
    words: [0, 100],
  },
  race: {
    usage: `Usage: bun run race [ROUNDS]
Two servers, 200 callers, the last 10 units; 50 rounds unless told otherwise.`,
    words: [0, 1],
  },
  admin: {
    usage: `Usage:
  bun run admin create EMAIL [--name NAME] [--role ROLE] [--generate]
  bun run admin grant EMAIL ROLE
  bun run admin revoke EMAIL ROLE
  bun run admin list [ROLE]
  bun run admin remove-second-factor EMAIL

ROLE is admin unless you say otherwise. create asks for the password, or reads it from standard input:
  bun run admin create ann@example.com < password.txt
--generate makes one and shows it once.`,
    options: { name: text, role: text, generate: flag },
    words: [1, 3],
    refused: {
      "--password":
        "A password is not given on the command line: others can read it there. Send it on standard input.",
    },
  },
  reencrypt: {
    usage: `Usage: bun run reencrypt [--status]
Encrypts under the first key of DATA_KEY what an earlier one encrypted, and says how much is left; ends with 1 when
something is.
  --status  only says how much is left`,
    options: { status: flag },
  },
  search: {
    usage: "Usage: bun run search rebuild\nRebuilds the search index while the shop is open.",
    words: [1, 1],
  },
  "search:rebuild": {
    usage: "Usage: bun run search:rebuild\nRebuilds the search index while the shop is open.",
  },
  "stock:verify": {
    usage: `Usage: bun run stock:verify [--sku SKU] [--repair]
Recomputes stock levels from their movements; ends with 1 when one differs and was not repaired.`,
    options: { sku: text, repair: flag },
  },
  openapi: {
    usage: `Usage: bun run openapi [--check] [FILE]
Writes the OpenAPI document of the routes to openapi.json, and the client's types from it; with a FILE the document
alone. With --check ends with 1 when the client's types are others.`,
    options: { check: flag },
    words: [0, 1],
  },
  contract: {
    usage: `Usage: bun run contract
Checks the OpenAPI document with the tools of others: linters, and generators whose output has to compile.`,
  },
} as const satisfies Record<string, CommandLine>;

export type CommandName = keyof typeof COMMANDS;

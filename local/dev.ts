/**
 * bin/dev — the backend for development: databases, migrations, seed, then the server, which starts again when
 * a file changes. Ctrl-C stops everything.
 */
import { readCommandLine } from "../src/cli";
import { serverUrl } from "../src/http/address";
import { joinDatabases } from "./join";
import { leaveNote, runningDev } from "./note";
import { boundToParent, portIsFree } from "./processes";
import { commandEnv, runCommand } from "./run";
import { buildStorefront, serveStorefront } from "./storefront";
import { createReport } from "./terminal";

const STARTED = performance.now();
const DEFAULT_PORT = 5000;
const STOREFRONT_PORT = 3000;
/** Longest wait for the server's first answer, in milliseconds. */
const READY_LIMIT = 60_000;

const terminal = createReport();

function fail(message: string): never {
  terminal.end();
  console.error(message);
  process.exit(1);
}

/** The first free port from one on. */
async function firstFree(from: number): Promise<number> {
  for (let port = from; port < from + 100; port++) if (await portIsFree(port)) return port;
  fail(`Ports ${from} to ${from + 99} are taken. Choose one: PORT=8080 bin/dev`);
}

/** The port asked for, or the first free one from 5000 on. */
async function choosePort(): Promise<number> {
  if (process.env.PORT) {
    const port = Number(process.env.PORT);
    // What is malformed is said by the server's own check of the configuration.
    if (Number.isInteger(port) && port > 0 && port < 65536 && !(await portIsFree(port))) {
      fail(`Port ${port} is taken. Stop what listens there, or choose another: PORT=${port + 1} bin/dev`);
    }
    return port;
  }
  return firstFree(DEFAULT_PORT);
}

/** Waits until the server and both databases answer. */
async function untilReady(address: string, server: Bun.Subprocess): Promise<boolean> {
  for (const deadline = Date.now() + READY_LIMIT; Date.now() < deadline; await Bun.sleep(50)) {
    if (server.exitCode !== null) return false;
    const answer = await fetch(`${address}/health/ready`).catch(() => undefined);
    if (answer?.ok) return true;
  }
  return false;
}

const {
  values: { storefront = false },
} = readCommandLine({
  usage: "Usage: bin/dev [--storefront]",
  options: { storefront: { type: "boolean" } },
});
if (process.env.NODE_ENV === "production") {
  fail("bin/dev is for development: it puts demo goods on sale. NODE_ENV is production; use bun run start.");
}
const already = runningDev();
if (already) {
  fail(
    `bin/dev runs already for this checkout: ${already.address} (process ${already.pid}).\n` +
      "Use that one, or stop it first with Ctrl-C where it runs.",
  );
}
const port = await choosePort();
const address = serverUrl(process.env.HOST || "127.0.0.1", port);
leaveNote(address);
/** Of the sample shop: the API allows pages there to sign people in. */
const shopPort = storefront ? await firstFree(STOREFRONT_PORT) : undefined;
const shopUrl = `http://localhost:${shopPort}`;

const joined = await joinDatabases(terminal.report).catch((error: Error) => fail(error.message));
// One process: a reload replaces it in place, and its log is one.
const env = {
  ...joined.env,
  SEED_ADMIN_PASSWORD: joined.adminPassword,
  PORT: String(port),
  WEB_CONCURRENCY: "1",
  ...(storefront ? { CORS_ORIGINS: [process.env.CORS_ORIGINS, shopUrl].filter(Boolean).join(",") } : {}),
  // As in the Dockerfile: the catalogue's first pictures would otherwise cost 250 MB for good.
  MALLOC_ARENA_MAX: "2",
  MALLOC_TRIM_THRESHOLD_: "131072",
};
terminal.report("Migrations applying what is missing, and the demo catalogue");
terminal.end();
for (const step of [["src/db/migrate.ts"], ["prisma/seed.ts", "--demo"]]) {
  const code = await runCommand(["bun", ...step], env);
  if (code !== 0) process.exit(code);
}

if (storefront) {
  terminal.report("Storefront its packages and pages");
  await buildStorefront().catch((error: Error) => fail(error.message));
}
terminal.report("Server     starting");
terminal.end();
const startServer = () =>
  Bun.spawn(boundToParent(["bun", "--watch", "--no-clear-screen", "src/index.ts"]), {
    env: commandEnv(env),
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
let server = startServer();
let stopping = false;
let shop: Awaited<ReturnType<typeof serveStorefront>> | undefined;
const stop = () => {
  if (stopping) return;
  stopping = true;
  shop?.stop();
  server.kill("SIGTERM");
};
process.on("SIGINT", stop).on("SIGTERM", stop).on("SIGHUP", stop);

let wasReady = await untilReady(address, server);
if (wasReady) {
  const email = process.env.SEED_ADMIN_EMAIL || "admin@aizy.local";
  if (shopPort !== undefined && !stopping)
    shop = await serveStorefront({ api: address, port: shopPort }, { email, password: joined.adminPassword });
  if (stopping) shop?.stop();
  const ordering = shop?.closed === undefined ? "" : `  (nothing can be ordered: ${shop.closed})`;
  const seconds = ((performance.now() - STARTED) / 1000).toFixed(1);
  console.log(`
  Aizy is ready after ${seconds} s, with databases from ${joined.from}.

  API            ${address}
  Documentation  ${address}/docs
  Mailbox        ${address}/dev/mail
  Sign in as     ${email}   ${joined.adminPassword}${shop ? `\n  Storefront     ${shopUrl}${ordering}` : ""}

  It starts again when a file changes. Ctrl-C stops it.
`);
} else if (!stopping && server.exitCode === null) {
  console.error(`The server does not answer at ${address}/health/ready; its log above says why.`);
}
let code = await server.exited;
// An error that nobody caught ends the server; one that never got ready would only do so again.
while (!stopping && wasReady && code !== 0) {
  console.error(`The server ended with ${code}; its log above says why. Starting it again.`);
  server = startServer();
  wasReady = await untilReady(address, server);
  code = await server.exited;
}
joined.leave();
process.exit(stopping ? 0 : code);

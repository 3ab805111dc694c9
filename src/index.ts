import { createApp } from "./app";
import { keepHashKeys } from "./auth";
import { createRunner } from "./background";
import { joinCluster, startCluster } from "./cluster";
import { type Config, ConfigError } from "./config";
import { lackingMigrations, MigrationError } from "./db/migrations";
import { checkMySql, withConnection } from "./db/prisma";
import { checkMongo, checkRowRights, DatabaseUnusable } from "./db/requirements";
import { planHousekeeping } from "./housekeeping";
import { serverUrl } from "./http/address";
import { createStockKeeper } from "./inventory/keeper";
import { createSharedClock } from "./lib/clock";
import { onStopSignal, onUncaughtError } from "./process";
import { MAX_IMPORT } from "./products/bulk/schema";
import { planRebuild } from "./products/search/jobs";
import { configOrExit } from "./program";
import { checkFolder } from "./storage/disk";
import { keepTime } from "./telemetry/clock";
import { createLogger } from "./telemetry/log";
import { measureProcess } from "./telemetry/process";
import { planWords } from "./users/reindex";
import { createDeps, type Deps } from "./wire";

/** Longest wait for a moment without requests before the server stops, in milliseconds. */
const QUIET_LIMIT = 500;
/** How long requests in flight may take to finish when the server stops, in milliseconds. */
const STOP_LIMIT = 10_000;

/** The pause between two looks at a MongoDB that is away, in milliseconds. */
const CHECK_AGAIN = 250;

/** Says what is wrong in words and ends the process. */
function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

/** The number of this process among `WEB_CONCURRENCY` ones; undefined where it is the only or the first one. */
const WORKER = process.env.AIZY_WORKER;

/** Ends the process where its address cannot be listened on; anything else is thrown on. */
function cannotListen({ host, port }: Config, error: unknown): never {
  const { code } = error as { code?: string };
  if (code === "EADDRINUSE")
    fail(`Port ${port} is taken. Stop what listens there, or choose another: PORT=${port + 1}.`);
  if (code === "EACCES") fail(`This user may not listen on port ${port}. Choose one above 1023: PORT=5000.`);
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EINVAL")
    fail(`HOST: this machine has no address "${host}". Use 127.0.0.1, 0.0.0.0 or :: (${code}).`);
  throw error;
}

/** Ends the process where what the configuration names is not there. */
async function checkSurroundings(config: Config): Promise<void> {
  try {
    if (config.s3 === undefined) await checkFolder(config.storageDir);
    await checkMySql(config.databaseUrl);
    const [lacking] = await withConnection(config.databaseUrl, async (connection) => {
      await checkRowRights(connection);
      return lackingMigrations(connection);
    });
    if (lacking !== undefined)
      fail(
        `The database lacks migration ${lacking}. Run \`bun run migrate\` (\`bun dist/src/db/migrate.js\`) before the server.`,
      );
  } catch (error) {
    const isTold =
      error instanceof DatabaseUnusable || error instanceof ConfigError || error instanceof MigrationError;
    if (isTold) fail(error.message);
    throw error;
  }
}

/**
 * Looks whether MongoDB can be used.
 * @returns whether that could be seen; not while it is away
 * @throws DatabaseUnusable
 */
async function checkOpened({ mongo, log }: Deps): Promise<boolean> {
  const isThere = await mongo.ping().then(
    () => true,
    () => false,
  );
  if (!isThere) return false;
  try {
    const advice = await checkMongo(mongo.connection);
    if (advice !== undefined) log.warn(advice);
    return true;
  } catch (error) {
    if (error instanceof DatabaseUnusable) throw error;
    log.warn({ err: error }, "MongoDB could not be looked at; it is tried again");
    return false;
  }
}

/** Answers requests from now on. */
function listen(config: Config, deps: Deps) {
  const app = createApp(deps);
  return Bun.serve({
    port: config.port,
    hostname: config.host,
    reusePort: WORKER !== undefined,
    idleTimeout: 60,
    // Behind the routes' own limits, which answer with a problem document.
    maxRequestBodySize: MAX_IMPORT + 1024,
    fetch: async (request, bunServer) => {
      const answer = await app.fetch(request, { server: bunServer });
      // So that a balancer opens its next connection elsewhere, before this one is closed under its request.
      if (deps.stopping.signal.aborted) answer.headers.set("Connection", "close");
      return answer;
    },
  });
}

/**
 * Waits for a moment in which no request is in flight and what has arrived was read: Bun resets a connection that it has
 * accepted and not read from when it stops, and a proxy sends no change a second time.
 */
async function quietMoment(server: ReturnType<typeof listen>): Promise<void> {
  const limit = performance.now() + QUIET_LIMIT;
  do {
    await Bun.sleep(1);
    await new Promise<void>((resolve) => setImmediate(resolve));
  } while (server.pendingRequests > 0 && performance.now() < limit);
}

/** Serves with one process. */
async function serve(config: Config): Promise<void> {
  const logger = await createLogger(config);
  const log = WORKER === undefined ? logger : logger.child({ worker: Number(WORKER) });
  await checkSurroundings(config);
  // Loaded where it is asked for only: it is a tenth of the server's memory.
  const tracing = config.otelEndpoint
    ? (await import("./telemetry/tracing")).createTracing(config.otelEndpoint)
    : undefined;
  const clock = createSharedClock({ mysql: () => deps.mysql.now(), mongodb: () => deps.mongo.now() });
  const deps: Deps = createDeps(config, log, { tracing, clock });
  const runner = createRunner(deps);
  const keeper = createStockKeeper(deps);
  measureProcess(deps);
  // The first query of a pool costs a connection; without it the first request would pay. A database that is
  // down does not keep the server from starting: /health/ready says it.
  const time = keepTime(deps, clock);
  await Promise.allSettled([time.looked, deps.mongo.connection.asPromise()]);
  const checked = await checkOpened(deps).catch((error: DatabaseUnusable) => fail(error.message));

  let server: ReturnType<typeof listen>;
  try {
    server = listen(config, deps);
  } catch (error) {
    await deps.close();
    cannotListen(config, error);
  }
  planHousekeeping(deps).catch((error) => log.warn({ err: error }, "the nightly clean-up was not planned"));
  planWords(deps).catch((error) => log.warn({ err: error }, "the words of people were not planned"));
  keepHashKeys(deps).catch((error) => log.warn({ err: error }, "hash keys of API keys were not noted"));

  let stopping = false;
  let exitCode = 0;
  // Leases that other machines wrote are compared with the time.
  void time.known.then(() => {
    if (stopping) return;
    runner.start();
    keeper.start();
  });
  const stop = async (reason: string) => {
    if (stopping) return;
    stopping = true;
    deps.stopping.abort();
    if (exitCode === 0 && config.drainSeconds > 0) {
      log.info(
        { reason, seconds: config.drainSeconds },
        "stopping soon: not ready any more, still answering",
      );
      await Bun.sleep(config.drainSeconds * 1000);
    }
    log.info({ reason }, "stopping: no new requests, finishing those in flight");
    const limit = setTimeout(() => {
      log.warn("requests in flight took too long and were ended");
      process.exit(exitCode);
    }, STOP_LIMIT);
    await quietMoment(server);
    await server.stop();
    await Promise.all([runner.stop(), keeper.stop()]);
    await deps.close();
    clearTimeout(limit);
    log.info("stopped");
    process.exit(exitCode);
  };
  /** What needs a MongoDB that can be used: one that was away at the start is looked at as soon as it is there. */
  const begin = async () => {
    for (let there = checked; !there; there = await checkOpened(deps)) {
      if (stopping) return;
      await Bun.sleep(CHECK_AGAIN);
    }
    await planRebuild(deps).catch((error) => log.warn({ err: error }, "the search was not looked at"));
  };
  void begin().catch((error: DatabaseUnusable) => {
    log.fatal(error.message);
    exitCode = 1;
    return stop("MongoDB cannot be used");
  });
  onStopSignal(stop);
  onUncaughtError(log, (reason) => {
    exitCode = 1;
    return stop(reason);
  });
  if (WORKER !== undefined) joinCluster(deps.metrics, log, () => void stop("the first process is gone"));
  log.info({ port: server.port }, `listening on ${serverUrl(config.host, server.port)}`);
}

/** Serves with `WEB_CONCURRENCY` processes. */
async function serveTogether(config: Config): Promise<void> {
  const log = await createLogger(config);
  await checkSurroundings(config);
  // Processes that share a port do not notice another server that shares it too: so it is asked for alone first.
  let port: number | undefined;
  try {
    const probe = Bun.serve({ port: config.port, hostname: config.host, fetch: () => new Response() });
    port = probe.port;
    await probe.stop(true);
  } catch (error) {
    cannotListen(config, error);
  }
  const cluster = startCluster({
    count: config.webConcurrency,
    command: [process.execPath, Bun.main],
    env: (worker) => ({ ...process.env, PORT: String(port), AIZY_WORKER: String(worker) }),
    log,
    // A worker ends by itself before that.
    stopLimit: config.drainSeconds * 1000 + STOP_LIMIT + 2000,
  });
  onStopSignal(() => cluster.stop());
  onUncaughtError(log, () => cluster.stop(1));
  void cluster.listening.then(() =>
    log.info(
      { port, processes: config.webConcurrency },
      `all processes listen on ${serverUrl(config.host, port)}`,
    ),
  );
  process.exit(await cluster.ended);
}

const config = configOrExit(process.env);
await (config.webConcurrency > 1 && WORKER === undefined ? serveTogether : serve)(config);

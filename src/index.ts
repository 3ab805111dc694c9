import { createApp } from "./app";
import { ConfigError, parseConfig } from "./config";
import { checkMySql, DatabaseUnreachable } from "./db/prisma";
import { createDeps } from "./deps";
import { createLogger, type Logger } from "./http/log";
import { createRunner } from "./jobs/handlers";
import { createStockKeeper } from "./products/inventory/keeper";

/** How long requests in flight may take to finish after SIGTERM, in milliseconds. */
const STOP_LIMIT = 10_000;

/** Says what is wrong in words and ends the process. */
function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

function readConfig() {
  try {
    return parseConfig(process.env);
  } catch (error) {
    if (error instanceof ConfigError) fail(error.message);
    throw error;
  }
}

async function start(): Promise<void> {
  const config = readConfig();
  const log: Logger = await createLogger(config);
  try {
    await checkMySql(config.databaseUrl);
  } catch (error) {
    if (error instanceof DatabaseUnreachable) fail(error.message);
    throw error;
  }
  const deps = createDeps(config, log);
  const app = createApp(deps);
  const runner = createRunner(deps);
  const keeper = createStockKeeper(deps);

  let server: ReturnType<typeof Bun.serve>;
  try {
    server = Bun.serve({
      port: config.port,
      reusePort: config.webConcurrency > 1,
      idleTimeout: 60,
      // Behind the routes' own limits, which answer with a problem document.
      maxRequestBodySize: 64 * 1024 * 1024,
      fetch: (request, bunServer) => app.fetch(request, { server: bunServer }),
    });
  } catch (error) {
    await deps.close();
    if ((error as { code?: string }).code === "EADDRINUSE") {
      fail(
        `Port ${config.port} is taken. Stop what listens there, or choose another: PORT=${config.port + 1}.`,
      );
    }
    throw error;
  }
  // The first query of a pool costs a connection; without it the first request would pay. A database that is
  // down does not keep the server from starting: /health/ready says it.
  await Promise.allSettled([deps.mysql.ping(), deps.mongo.connection.asPromise()]);
  runner.start();
  keeper.start();
  log.info({ port: server.port }, `listening on http://localhost:${server.port}`);

  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, "stopping: no new requests, finishing those in flight");
    const limit = setTimeout(() => {
      log.warn("requests in flight took too long and were ended");
      process.exit(0);
    }, STOP_LIMIT);
    deps.stopping.abort();
    await server.stop();
    await Promise.all([runner.stop(), keeper.stop()]);
    await deps.close();
    clearTimeout(limit);
    log.info("stopped");
    process.exit(0);
  };
  process.on("SIGTERM", () => void stop("SIGTERM"));
  process.on("SIGINT", () => void stop("SIGINT"));
}

await start();

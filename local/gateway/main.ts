/**
 * Runs the gateway on its own, for debugging and for tests that kill it:
 * `bun local/gateway/main.ts --postgres HOST --postgres-port N [--port N] [--user U] [--database D]`
 */
import { parseArgs } from "node:util";
import { startGateway } from "./index.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    postgres: { type: "string", default: "127.0.0.1" },
    "postgres-port": { type: "string", default: "5432" },
    user: { type: "string", default: "postgres" },
    database: { type: "string", default: "postgres" },
    "max-connections": { type: "string", default: "100" },
    "transaction-lifetime-ms": { type: "string", default: "60000" },
    "cursor-idle-ms": { type: "string", default: "600000" },
  },
});

const gateway = await startGateway({
  port: Number(values.port),
  postgres: {
    host: values.postgres,
    port: Number(values["postgres-port"]),
    user: values.user,
    database: values.database,
  },
  maxConnections: Number(values["max-connections"]),
  transactionLifetimeMs: Number(values["transaction-lifetime-ms"]),
  cursorIdleMs: Number(values["cursor-idle-ms"]),
  log: (line) => console.error(line),
});
console.log(gateway.uri("test"));

const stop = async (): Promise<void> => {
  await gateway.stop();
  process.exit(0);
};
process.on("SIGINT", stop);
process.on("SIGTERM", stop);

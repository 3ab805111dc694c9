import type { Config } from "./config";
import type { IdempotencyStore } from "./db/idempotency";
import type { MySqlIdempotencyStore } from "./db/idempotency.mysql";
import type { Mongo, MongoTx } from "./db/mongo";
import type { MySql, MySqlTx } from "./db/prisma";
import type { GuardDeps } from "./http/guards";
import type { GroupedJobStore, JobStore } from "./jobs/jobs";
import type { CircuitBreaker } from "./lib/circuit-breaker";
import type { Clock } from "./lib/clock";
import type { KeyRing } from "./lib/crypto";
import type { Cursors } from "./lib/cursor";
import type { Random } from "./lib/random";
import type { Mailbox, Mailer } from "./mail";
import type { Storage } from "./storage/storage";
import type { Logger } from "./telemetry/log";
import type { Metrics } from "./telemetry/metrics";
import type { Tracing } from "./telemetry/tracing";

/** What every feature may ask for. A feature's own `deps.ts` adds its stores; `wire.ts` makes all of it. */
export interface BaseDeps extends GuardDeps {
  config: Config;
  log: Logger;
  clock: Clock;
  random: Random;
  mysql: MySql;
  mongo: Mongo;
  storage: Storage;
  idempotency: { mysql: MySqlIdempotencyStore; mongo: IdempotencyStore<MongoTx> };
  jobs: {
    mysql: JobStore<MySqlTx>;
    mongo: GroupedJobStore<MongoTx>;
    /** Called after a change enqueued something, so that it need not wait for the next poll. */
    wake(): void;
    /** Whether the runner of this process stands still; there is none where no jobs are run. */
    isStalled?: () => boolean;
    /** Whoever runs jobs in this process hears of it. */
    onWake(listener: () => void): void;
  };
  keys: KeyRing;
  cursors: Cursors;
  metrics: Metrics;
  /** Only where a collector is configured. */
  tracing: Tracing | undefined;
  mail: Mailer;
  /** Whether mail leaves just now; told by `mail`. */
  mailServer: CircuitBreaker;
  /** Mail of development, for /dev/mail; undefined where mail is really sent. */
  mailbox: Mailbox | undefined;
  /** Aborted when the process is asked to stop: it is not ready any more, and what would go on for ever ends. */
  stopping: AbortController;
}

/**
 * The gateway's PostgreSQL connections, in lanes. A lane is a share that no other lane can take: statements
 * that wait for a lock, or many of them, can never keep an open transaction from committing or a new one
 * from starting. Connections are opened when first needed and closed after being idle.
 */
import { ConnectionLost, LOCK_TIMEOUT, MongoError } from "./errors.ts";
import { type PostgresAddress, PostgresConnection } from "./postgres.ts";

/**
 * - `work`: single statements, the bulk of all calls; they queue.
 * - `waiting`: single writes that met a lock and wait for it; few, in turns.
 * - `transaction`: one for each open transaction.
 * - `admin`: creating and dropping collections and indexes, which may take long.
 */
export type Lane = "work" | "waiting" | "transaction" | "admin";

interface Waiter {
  resolve: () => void;
  reject: (error: Error) => void;
  timer: ReturnType<typeof setTimeout> | undefined;
}

interface LaneState {
  limit: number;
  busy: number;
  queue: Set<Waiter>;
}

/** Idle connections above this many are closed after IDLE_MS. */
const KEEP_IDLE = 4;
const IDLE_MS = 30_000;

/** Connections to one PostgreSQL, shared out to lanes. */
export class Pool {
  private readonly lanes: Record<Lane, LaneState>;
  private readonly idle: { connection: PostgresConnection; since: number }[] = [];
  private readonly sweeper: ReturnType<typeof setInterval>;
  private readonly address: PostgresAddress;
  private closed = false;
  private readonly all = new Set<PostgresConnection>();

  /** @param maxConnections never more than this many connections are open at once (at least 12). */
  constructor(address: PostgresAddress, maxConnections: number) {
    this.address = address;
    const total = Math.max(12, maxConnections);
    const waiting = Math.max(2, Math.floor(total / 12));
    const admin = Math.max(2, Math.floor(total / 16));
    const work = Math.max(4, Math.floor(total / 4));
    const lane = (limit: number): LaneState => ({ limit, busy: 0, queue: new Set() });
    this.lanes = {
      work: lane(work),
      waiting: lane(waiting),
      admin: lane(admin),
      transaction: lane(total - work - waiting - admin),
    };
    this.sweeper = setInterval(() => this.sweep(), IDLE_MS / 2);
    this.sweeper.unref();
  }

  /**
   * Takes a connection of a lane; it must be given back with `release`.
   * @param waitMs how long to queue when the lane is full; undefined waits without limit.
   */
  async acquire(lane: Lane, waitMs?: number): Promise<PostgresConnection> {
    const state = this.lanes[lane];
    if (this.closed) throw new ConnectionLost("the gateway is stopping");
    if (state.busy < state.limit) state.busy++;
    else await this.queue(state, waitMs);
    try {
      return await this.take();
    } catch (error) {
      this.next(state);
      throw error;
    }
  }

  /** Gives a connection back. One that is broken or still inside a transaction is closed instead of reused. */
  release(lane: Lane, connection: PostgresConnection): void {
    if (connection.broken !== undefined || connection.status !== "I" || this.closed) this.discard(connection);
    else this.idle.push({ connection, since: Date.now() });
    this.next(this.lanes[lane]);
  }

  /** Runs `work` with a connection of the lane. */
  async use<T>(
    lane: Lane,
    work: (connection: PostgresConnection) => Promise<T>,
    waitMs?: number,
  ): Promise<T> {
    const connection = await this.acquire(lane, waitMs);
    try {
      return await work(connection);
    } finally {
      this.release(lane, connection);
    }
  }

  /** How many connections are open and how many of them are idle. */
  stats(): { open: number; idle: number } {
    return { open: this.all.size, idle: this.idle.length };
  }

  /** Closes every connection; what is running fails. */
  close(): void {
    this.closed = true;
    clearInterval(this.sweeper);
    const error = new ConnectionLost("the gateway is stopping");
    for (const state of Object.values(this.lanes)) {
      for (const waiter of state.queue) {
        clearTimeout(waiter.timer);
        waiter.reject(error);
      }
      state.queue.clear();
    }
    for (const connection of this.all) connection.close();
    this.all.clear();
    this.idle.length = 0;
  }

  private queue(state: LaneState, waitMs: number | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { resolve, reject, timer: undefined };
      if (waitMs !== undefined) {
        waiter.timer = setTimeout(() => {
          state.queue.delete(waiter);
          reject(
            new MongoError(LOCK_TIMEOUT, "LockTimeout", "all connections to the local engine are in use"),
          );
        }, waitMs);
      }
      state.queue.add(waiter);
    });
  }

  private next(state: LaneState): void {
    for (const waiter of state.queue) {
      state.queue.delete(waiter);
      clearTimeout(waiter.timer);
      waiter.resolve();
      return;
    }
    state.busy--;
  }

  private async take(): Promise<PostgresConnection> {
    for (let entry = this.idle.pop(); entry !== undefined; entry = this.idle.pop()) {
      if (entry.connection.broken === undefined) return entry.connection;
      this.all.delete(entry.connection);
    }
    const connection = await PostgresConnection.open(this.address);
    if (this.closed) {
      connection.close();
      throw new ConnectionLost("the gateway is stopping");
    }
    this.all.add(connection);
    return connection;
  }

  private discard(connection: PostgresConnection): void {
    this.all.delete(connection);
    connection.close();
  }

  private sweep(): void {
    const limit = Date.now() - IDLE_MS;
    // The oldest idle ones lie at the front: connections are taken from and returned to the back.
    while (this.idle.length > KEEP_IDLE && (this.idle[0]?.since ?? limit) < limit) {
      const entry = this.idle.shift();
      if (entry !== undefined) this.discard(entry.connection);
    }
  }
}

import mongoose, { type ClientSession, type Connection } from "mongoose";
import { ConfigError } from "../config";
import { AppError } from "../lib/errors";
import { jitter } from "../lib/random";
import { within } from "../lib/within";
import { APP_NAME, endAbandoned } from "./abandoned";
import type { Caller, PoolState } from "./prisma";
import { PING_LIMIT } from "./pulse";
import { createMongoPulse, guardClient } from "./pulse.mongo";
import { DatabaseUnusable } from "./requirements";
import { whyDown } from "./why-down";

declare const mongoTx: unique symbol;
/** A transaction of MongoDB, handed from a service to stores; only this module looks inside. */
export interface MongoTx {
  readonly [mongoTx]: true;
}

/** MongoDB as services and stores see it. */
export interface Mongo {
  /** For stores and models: Mongoose's connection. */
  connection: Connection;
  /** For stores: the session of a transaction, as the option that every call takes. */
  in(tx?: MongoTx): { session?: ClientSession };
  /**
   * Runs `work` in one transaction (snapshot reads, majority writes) and retries it while it conflicts.
   * `work` may run again: make ids and times before it, no side effect and no `Promise.all` in it, and put
   * the write most likely to conflict first.
   * @throws AppError service_unavailable after five seconds (the driver alone would retry for 120), and after three
   * where nobody who conflicts gets through
   */
  transaction<T>(work: (tx: MongoTx) => Promise<T>): Promise<T>;
  /**
   * Answers when the server does.
   * @returns "read_only" where it takes no writes, as far as is known without one
   * @throws when it does not within two seconds
   */
  ping(): Promise<"up" | "read_only">;
  /** The time of the machine that MongoDB runs on. */
  now(): Promise<Date>;
  /** How busy its connections are. */
  pool(): PoolState;
  close(): Promise<void>;
}

/** Longest time one transaction may take with its retries, in milliseconds. */
const TRANSACTION_LIMIT = 5000;
/** The same where no transaction gets through that has met another's: the lock that it meets is one that stays. */
const LOCKED_LIMIT = 2500;
/** From when on a transaction that conflicts looks for locks of processes that are gone, and how often; milliseconds. */
const [SEARCH_AFTER, SEARCH_EVERY] = [500, 1000];
/**
 * Longest wait for a server that takes the operation, in milliseconds. With the time until the driver's monitor
 * notices a silent server (HEARTBEAT and CONNECT_LIMIT), whoever asks is told within six seconds that it is away.
 */
const SELECTION_LIMIT = 2000;
const CONNECT_LIMIT = 2000;
const HEARTBEAT = 1500;
/** Longest wait for a server to give up a transaction that failed, in milliseconds. */
const ABORT_LIMIT = 500;
/** Longest time the server may work on one query, in milliseconds; the driver's own calls name it themselves. */
export const OPERATION_LIMIT = 10_000;

// `sanitizeFilter` stays off: filters are built by stores from checked values only, and it would undo theirs.
mongoose.set("strictQuery", "throw");
mongoose.set("maxTimeMS", OPERATION_LIMIT);

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** True when the error has the driver's label; the driver loses it when it wraps the error of a bulk write. */
const labelled = (error: unknown, label: string): boolean =>
  error instanceof mongoose.mongo.MongoError &&
  (error.hasErrorLabel(label) ||
    (error instanceof mongoose.mongo.MongoBulkWriteError && labelled(error.errorResponse, label)));

/** Whether no server could be reached, so that whoever asks next waits for one again. */
const isAway = (error: unknown): boolean =>
  error instanceof mongoose.mongo.MongoNetworkError ||
  error instanceof mongoose.mongo.MongoServerSelectionError;

/**
 * The key that a unique index refused, or undefined when `error` is something else. Real MongoDB names
 * fields in `keyPattern`; an engine may only say the index in the text, so the index name is what is given.
 */
export function duplicateKey(error: unknown): string | undefined {
  if ((error as { code?: unknown } | null)?.code !== 11000) return undefined;
  return /index: (\S+)/.exec((error as Error).message)?.[1] ?? "unknown";
}

/**
 * Which documents of an unordered insert were refused because their key is taken, by their place in it.
 * @returns undefined when `error` is about anything else, or about the insert as a whole
 */
export function duplicateKeys(error: unknown): Set<number> | undefined {
  if (!(error instanceof mongoose.mongo.MongoBulkWriteError)) return undefined;
  const failed = [error.writeErrors].flat();
  return failed.length > 0 && failed.every(({ code }) => code === 11000)
    ? new Set(failed.map(({ index }) => index))
    : undefined;
}

/** Whether something took longer than its `maxTimeMS`. */
export const tookTooLong = (error: unknown): boolean => (error as { code?: unknown } | null)?.code === 50;

/**
 * Whether the driver understands an address with its options; it would otherwise say so only while it connects, again
 * and again. Its text is left out where it holds the address, which may hold a password.
 * @throws ConfigError
 */
export function checkMongoUri(uri: string): void {
  try {
    new mongoose.mongo.MongoClient(uri).db();
  } catch (error) {
    const { message } = error as Error;
    const why = message.includes("://") ? "the address is malformed" : message;
    throw new ConfigError([
      { variable: "MONGODB_URI", problem: `is not what MongoDB's driver understands: ${why}` },
    ]);
  }
}

/** Longest wait of a command for a server, in milliseconds: on a busy machine one that is there answers late. */
const COMMAND_LIMIT = 15_000;

/** Waits until the server is there. @throws DatabaseUnusable with the reason when it does not come */
export async function whenConnected({ connection }: Pick<Mongo, "connection">): Promise<void> {
  for (const deadline = performance.now() + COMMAND_LIMIT; ; ) {
    try {
      await connection.asPromise();
      return;
    } catch (cause) {
      if (performance.now() > deadline)
        throw new DatabaseUnusable(`${whyDown(cause, "MongoDB")}.`, { cause });
      await sleep(100);
    }
  }
}

/**
 * Starts connecting to MongoDB with a pool of `poolSize`. Does not wait for the server.
 * @param caller.say hears why the first connection does not come, each reason once, and undefined when it is there then
 * @throws ConfigError when the address is not one that the driver understands
 */
export function connectMongo(
  uri: string,
  poolSize: number,
  { patient = false, say = () => {} }: Caller & { say?: (why: string | undefined) => void } = {},
): Mongo {
  checkMongoUri(uri);
  const connection = mongoose.createConnection();
  const options = {
    maxPoolSize: poolSize,
    minPoolSize: 1,
    serverSelectionTimeoutMS: SELECTION_LIMIT,
    // It is the limit of the driver's monitor too, which ends what is asked of a server that it finds silent.
    connectTimeoutMS: patient ? COMMAND_LIMIT : CONNECT_LIMIT,
    // A server that comes back is found so soon also when nobody asks for it, as while readiness keeps callers off.
    heartbeatFrequencyMS: HEARTBEAT,
    waitQueueTimeoutMS: TRANSACTION_LIMIT,
    // The server's own limit answers first; this one is for a server that no longer answers at all.
    socketTimeoutMS: patient ? 0 : OPERATION_LIMIT + 5000,
    bufferCommands: false,
    autoIndex: false,
    autoCreate: false,
    appName: APP_NAME,
  };
  const pool: PoolState = { used: 0, waiting: 0 };
  const watchPool = () =>
    connection
      .getClient()
      .on("connectionCheckOutStarted", () => pool.waiting++)
      .on("connectionCheckOutFailed", () => pool.waiting--)
      .on("connectionCheckedOut", () => {
        pool.waiting--;
        pool.used++;
      })
      .on("connectionCheckedIn", () => pool.used--);
  const pulse = createMongoPulse(uri);
  /** What sessions still wait for, although whoever asked was refused. */
  const pending = new WeakMap<ClientSession, Promise<unknown>>();
  let closed = false;
  /** What the last attempt to connect failed with. */
  let lost: unknown;
  let said: string | undefined;
  // The driver finds a server again that went away; one that was down at the start it does not look for.
  const open = async (): Promise<void> => {
    while (!closed) {
      try {
        await connection.openUri(uri, options);
        watchPool();
        if (!patient) guardClient(connection.getClient(), pulse, pending);
        if (closed) await connection.close();
        if (said !== undefined) say(undefined);
        return;
      } catch (error) {
        lost = error;
        const why = whyDown(error, "MongoDB");
        if (why !== said && !closed) say(why);
        said = why;
        await sleep(500);
      }
    }
  };
  void open();

  // At most half the pool in transactions, or plain reads would wait behind them.
  const limit = Math.max(1, Math.floor(poolSize / 2));
  let running = 0;
  const waiting: { go: () => void; fail: (error: unknown) => void }[] = [];
  const enter = async (deadline: number) => {
    if (running < limit) {
      running++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(turn), 1);
        reject(tooBusy());
      }, deadline - performance.now());
      const turn = {
        go: () => {
          clearTimeout(timer);
          resolve();
        },
        fail: (error: unknown) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      waiting.push(turn);
    });
  };
  const leave = () => {
    const next = waiting.shift();
    if (next) next.go();
    else running--;
  };
  /** Each of those who wait would wait for the same server once more. */
  const failWaiting = (error: unknown) => {
    for (const { fail } of waiting.splice(0)) fail(error);
  };
  const tooBusy = (cause?: unknown) =>
    new AppError("service_unavailable", "Too many changes at once. Try again.", { retryAfter: 1, cause });

  /** When a transaction last got through that had met another's. */
  let yielded = Number.NEGATIVE_INFINITY;
  let searched = Number.NEGATIVE_INFINITY;
  /** Has what keeps others waiting ended, where its process is gone. Whoever waits tries again meanwhile. */
  const searchAbandoned = () => {
    const now = performance.now();
    if (now - searched < SEARCH_EVERY) return;
    searched = now;
    void endAbandoned(connection.getClient()).catch(() => undefined);
  };

  /** Whether another try can end before the deadline. */
  const isTimeFor = (error: unknown, deadline: number) =>
    performance.now() + (isAway(error) ? SELECTION_LIMIT : 0) < deadline;

  const commit = async (session: ClientSession, deadline: number) => {
    for (;;) {
      try {
        return await session.commitTransaction();
      } catch (error) {
        // The commit may have happened: asking again is safe, and the only way to know.
        if (!labelled(error, "UnknownTransactionCommitResult") || !isTimeFor(error, deadline)) throw error;
        await sleep(20);
      }
    }
  };

  return {
    connection,
    in: (tx) => (tx === undefined ? {} : { session: tx as unknown as ClientSession }),
    async transaction(work) {
      const begun = performance.now();
      const deadline = begun + TRANSACTION_LIMIT;
      await enter(deadline);
      try {
        for (let attempt = 1; ; attempt++) {
          const session = await connection.startSession();
          let failed = false;
          try {
            session.startTransaction({
              readConcern: { level: "snapshot" },
              writeConcern: { w: "majority" },
              readPreference: "primary",
            });
            const result = await work(session as unknown as MongoTx);
            await commit(session, deadline);
            if (attempt > 1) yielded = performance.now();
            return result;
          } catch (error) {
            const isTransient = labelled(error, "TransientTransactionError");
            failed = true;
            const lost = isAway(error);
            const isLocked = yielded < begun && performance.now() > begun + LOCKED_LIMIT;
            if (!isTransient || isLocked || !isTimeFor(error, deadline)) {
              // What one alone waited for too long says nothing to the others.
              if (lost && (!pending.has(session) || pulse.isDown() || pulse.isReadOnly())) failWaiting(error);
              throw isTransient && !lost ? tooBusy(error) : error;
            }
          } finally {
            // What was begun is given up. It is not waited for long: a server may be away, or say nothing.
            const end = () => session.endSession();
            const unanswered = pending.get(session);
            // A statement that arrived after the end would begin the transaction anew.
            if (unanswered) void unanswered.then(end, end);
            else await (failed ? Promise.race([end(), sleep(ABORT_LIMIT)]) : end());
          }
          if (performance.now() > begun + SEARCH_AFTER) searchAbandoned();
          await sleep(jitter(0, Math.min(250, 5 * 1.5 ** attempt)));
        }
      } finally {
        leave();
      }
    },
    async ping() {
      const { db } = connection;
      if (connection.readyState !== mongoose.ConnectionStates.connected || !db)
        throw new Error("not connected", { cause: lost });
      await within(PING_LIMIT, "MongoDB", db.command({ ping: 1 }));
      return pulse.isReadOnly() ? "read_only" : "up";
    },
    async now() {
      const { db } = await connection.asPromise();
      return (await db?.admin().command({ hello: 1 }))?.localTime;
    },
    pool: () => pool,
    async close() {
      closed = true;
      pulse.close();
      await connection.close();
    },
  };
}

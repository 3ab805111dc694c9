/**
 * Logical sessions: their transactions, and the order of their numbered commands. Behaviour follows
 * MongoDB's transactions specification
 * (https://github.com/mongodb/specifications/blob/master/source/transactions/transactions.md).
 */
import { ConnectionLost, MongoError, PostgresError, TRANSIENT, toMongoError } from "./errors.ts";
import type { Pool } from "./pool.ts";
import type { PostgresConnection } from "./postgres.ts";
import { SQL } from "./schema.ts";

/** How long the start of a transaction may queue for a connection before it fails with a labelled error. */
const TRANSACTION_QUEUE_MS = 25;
/** MongoDB's maxTransactionLockRequestTimeoutMillis is 5 ms too. */
const TRANSACTION_LOCK_MS = 5;
/** hello's logicalSessionTimeoutMinutes, in ms. */
const SESSION_TIMEOUT_MS = 30 * 60_000;

/** How long a snapshot can be read: MongoDB's minSnapshotHistoryWindowInSeconds, in ms. */
const SNAPSHOT_MS = 300_000;

/** A client's connection, as far as sessions and cursors care: whether it is still there. */
export interface Client {
  readonly id: number;
  /** The name that it gave itself. */
  appName?: string;
  closed: boolean;
}

/** The numbers a command carries. */
export interface TransactionRequest {
  /** The logical session's id (`lsid.id`). */
  sessionId: Buffer;
  number: bigint;
  start: boolean;
  /** A snapshot session's reads: nothing is written, and it may last longer. */
  snapshot?: true;
}

/** An open transaction: a PostgreSQL connection of its own, inside BEGIN. */
export interface Transaction {
  connection: PostgresConnection;
  /** Whether it wrote anything; only then its commit is recorded. */
  wrote: boolean;
  /** Cursors opened in it; they end with it. */
  cursors: Set<bigint>;
  /** The connection that its last statement came over. Only a snapshot ends with it, because MongoDB's holds nothing. */
  client: Client;
  isSnapshot: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
  running: boolean;
  /** The planner settings in force in it. */
  planner: string;
}

interface Session {
  key: string;
  id: Buffer;
  /** Highest transaction number seen. */
  number: bigint;
  /** State of the transaction with that number; "none" when the number belongs to a retryable write. */
  state: "none" | "open" | "committed" | "aborted" | "unknown";
  transaction: Transaction | undefined;
  /** Resolves when the session's last queued command is done: numbered commands run one at a time. */
  tail: Promise<void>;
  queued: number;
  lastUsed: number;
}

/** Sessions and transactions of one gateway. */
export class Sessions {
  private readonly sessions = new Map<string, Session>();
  private readonly pool: Pool;
  private readonly lifetimeMs: number;
  private readonly onEnd: (transaction: Transaction) => void;

  /**
   * @param lifetimeMs a transaction older than this is aborted (transactionLifetimeLimitSeconds).
   * @param onEnd called when a transaction has ended, however it did.
   */
  constructor(pool: Pool, lifetimeMs: number, onEnd: (transaction: Transaction) => void) {
    this.pool = pool;
    this.lifetimeMs = lifetimeMs;
    this.onEnd = onEnd;
  }

  /** Runs a retryable write: in turn, and only if its number is not older than the session's. */
  retryableWrite<T>(id: Buffer, number: bigint, work: () => Promise<T>): Promise<T> {
    const session = this.session(id);
    return this.inTurn(session, async () => {
      if (number < session.number) throw tooOld(session, number);
      if (number > session.number) {
        await this.end(session, "aborted");
        session.number = number;
        session.state = "none";
      } else if (session.state !== "none") {
        throw new MongoError(117, "ConflictingOperationInProgress", "the number belongs to a transaction");
      }
      return work();
    });
  }

  /** Runs one statement of a transaction. Any error aborts the transaction, as on MongoDB. */
  statement<T>(
    request: TransactionRequest,
    client: Client,
    work: (transaction: Transaction) => Promise<T>,
  ): Promise<T> {
    const session = this.session(request.sessionId);
    return this.inTurn(session, async () => {
      const transaction = await this.enter(session, request, client);
      transaction.client = client;
      transaction.running = true;
      try {
        const result = await work(transaction);
        if (session.transaction !== transaction) throw aborted(request.number);
        if (transaction.connection.status !== "T")
          throw new PostgresError("25P02", "the transaction has failed");
        return result;
      } catch (error) {
        if (session.transaction !== transaction) throw aborted(request.number);
        await this.end(session, "aborted");
        throw toMongoError(error, true);
      } finally {
        transaction.running = false;
      }
    });
  }

  /**
   * What a read of a snapshot session belongs to. MongoDB reads at the time of the session's first read; here that is a
   * transaction beside the session's own ones, whose number is the time.
   * @param at the time that the first read was answered with; undefined for the first one
   */
  snapshot(sessionId: Buffer, at: bigint | undefined): TransactionRequest {
    const id = snapshotId(sessionId);
    const open = this.sessions.get(id.toString("hex"));
    if (at === undefined) {
      const last = open?.number ?? 0n;
      const now = BigInt(Date.now());
      return { sessionId: id, number: now > last ? now : last + 1n, start: true, snapshot: true };
    }
    if (open?.transaction === undefined || open.number !== at)
      throw new MongoError(239, "SnapshotTooOld", "the snapshot is no longer there");
    return { sessionId: id, number: at, start: false };
  }

  /** The snapshot of a session that a cursor is of. */
  snapshotOf(sessionId: Buffer, transaction: Transaction | undefined): TransactionRequest | undefined {
    const id = snapshotId(sessionId);
    const open = this.sessions.get(id.toString("hex"));
    return transaction !== undefined && open?.transaction === transaction
      ? { sessionId: id, number: open.number, start: false }
      : undefined;
  }

  /** Ends the transaction of a statement that reported its failure in its result (`writeErrors`). */
  async failed(request: TransactionRequest): Promise<void> {
    const session = this.sessions.get(request.sessionId.toString("hex"));
    if (session !== undefined) await this.end(session, "aborted");
  }

  /** commitTransaction: repeatable, and answered from the record after a lost answer or a restart. */
  commit(request: TransactionRequest): Promise<void> {
    const session = this.session(request.sessionId);
    return this.inTurn(session, async () => {
      if (request.number < session.number) throw tooOld(session, request.number);
      if (request.number === session.number && session.state === "committed") return;
      const transaction = session.transaction;
      if (request.number === session.number && session.state === "open" && transaction !== undefined) {
        await this.commitOpen(session, transaction);
        return;
      }
      const decided = request.number === session.number && session.state === "aborted";
      if (!decided && (await this.wasCommitted(request))) {
        session.number = request.number;
        session.state = "committed";
        return;
      }
      throw noSuchTransaction(session, request.number);
    });
  }

  /** abortTransaction. */
  abort(request: TransactionRequest): Promise<void> {
    const session = this.session(request.sessionId);
    return this.inTurn(session, async () => {
      if (request.number < session.number) throw tooOld(session, request.number);
      if (request.number === session.number && session.state === "open") {
        await this.end(session, "aborted");
        return;
      }
      if (request.number === session.number && session.state === "committed") {
        throw new MongoError(256, "TransactionCommitted", `Transaction ${request.number} has been committed`);
      }
      throw noSuchTransaction(session, request.number);
    });
  }

  /** endSessions, killSessions: aborts what is open and forgets the sessions. */
  async endSession(sessionId: Buffer): Promise<void> {
    for (const id of [sessionId, snapshotId(sessionId)]) {
      const session = this.sessions.get(id.toString("hex"));
      if (session === undefined) continue;
      await this.end(session, "aborted");
      if (session.queued === 0) this.sessions.delete(session.key);
    }
  }

  /**
   * A client's connection is gone. Its transactions go on, as on MongoDB: another connection may continue them, and
   * their locks stay until they end.
   */
  clientGone(): void {
    for (const session of this.sessions.values()) {
      const transaction = session.transaction;
      if (transaction?.isSnapshot && transaction.client.closed) void this.end(session, "aborted");
    }
  }

  /** The transactions between two of their statements, as `$currentOp` has them. */
  idleTransactions(): { id: Buffer; number: bigint; client: Client }[] {
    return [...this.sessions.values()].flatMap(({ id, number, transaction }) =>
      transaction === undefined || transaction.running || transaction.isSnapshot
        ? []
        : [{ id, number, client: transaction.client }],
    );
  }

  /** How many transactions are open. */
  openTransactions(): number {
    let count = 0;
    for (const session of this.sessions.values()) if (session.transaction !== undefined) count++;
    return count;
  }

  /** Forgets sessions that nobody has used for half an hour. */
  sweep(): void {
    const limit = Date.now() - SESSION_TIMEOUT_MS;
    for (const session of this.sessions.values()) {
      if (session.queued === 0 && session.transaction === undefined && session.lastUsed < limit) {
        this.sessions.delete(session.key);
      }
    }
  }

  /** Rolls back everything. */
  async stop(): Promise<void> {
    await Promise.all([...this.sessions.values()].map((session) => this.end(session, "aborted")));
  }

  private session(id: Buffer): Session {
    const key = id.toString("hex");
    let session = this.sessions.get(key);
    if (session === undefined) {
      session = {
        key,
        id: Buffer.from(id),
        number: -1n,
        state: "none",
        transaction: undefined,
        tail: Promise.resolve(),
        queued: 0,
        lastUsed: 0,
      };
      this.sessions.set(key, session);
    }
    session.lastUsed = Date.now();
    return session;
  }

  private async inTurn<T>(session: Session, work: () => Promise<T>): Promise<T> {
    const before = session.tail;
    let done: () => void = () => {};
    session.tail = new Promise((resolve) => {
      done = resolve;
    });
    session.queued++;
    try {
      if (session.queued > 1) await before;
      return await work();
    } finally {
      session.queued--;
      done();
    }
  }

  private async enter(session: Session, request: TransactionRequest, client: Client): Promise<Transaction> {
    if (request.number < session.number) throw tooOld(session, request.number);
    if (request.start) {
      if (request.number === session.number) {
        throw new MongoError(
          117,
          "ConflictingOperationInProgress",
          "Only servers in a sharded cluster can start a new transaction at the active transaction number",
        );
      }
      await this.end(session, "aborted");
      session.number = request.number;
      return this.begin(session, client, request.snapshot === true);
    }
    if (request.number === session.number) {
      if (session.state === "committed") {
        throw new MongoError(256, "TransactionCommitted", `Transaction ${request.number} has been committed`);
      }
      if (session.transaction !== undefined) return session.transaction;
    }
    throw noSuchTransaction(session, request.number);
  }

  private async begin(session: Session, client: Client, isSnapshot: boolean): Promise<Transaction> {
    session.state = "aborted"; // until it is open
    let connection: PostgresConnection;
    try {
      connection = await this.pool.acquire("transaction", TRANSACTION_QUEUE_MS);
    } catch (error) {
      const { code, codeName, message } = toMongoError(error, true);
      throw new MongoError(code, codeName, message, [TRANSIENT]);
    }
    try {
      await connection.run(
        `begin isolation level repeatable read; set local lock_timeout = ${TRANSACTION_LOCK_MS}; set local statement_timeout = 0`,
      );
    } catch (error) {
      this.pool.release("transaction", connection);
      throw toMongoError(error, true);
    }
    const transaction: Transaction = {
      connection,
      wrote: false,
      cursors: new Set(),
      client,
      isSnapshot,
      timer: undefined,
      running: false,
      planner: connection.planner,
    };
    const lifetime = isSnapshot ? SNAPSHOT_MS : this.lifetimeMs;
    transaction.timer = setTimeout(() => void this.end(session, "aborted"), lifetime);
    session.transaction = transaction;
    session.state = "open";
    return transaction;
  }

  private async commitOpen(session: Session, transaction: Transaction): Promise<void> {
    const { connection } = transaction;
    // From here on it is nobody else's to end: a client that goes now would give the connection back a second
    // time, and two transactions would share it.
    session.transaction = undefined;
    clearTimeout(transaction.timer);
    try {
      const recorded = transaction.wrote
        ? connection.execute(SQL.rememberCommit, [session.id, session.number])
        : undefined;
      recorded?.catch(() => {});
      const { tag } = await connection.run("commit");
      await recorded;
      // A COMMIT of a failed transaction succeeds, as a ROLLBACK: only the tag tells.
      if (tag !== "COMMIT") throw new PostgresError("25P02", "the transaction had failed");
      session.state = "committed";
    } catch (error) {
      session.state = error instanceof ConnectionLost ? "unknown" : "aborted";
      if (error instanceof ConnectionLost) throw toMongoError(error, false);
      if (error instanceof PostgresError && error.sqlState === "25P02") throw aborted(session.number);
      throw toMongoError(error, true);
    } finally {
      this.onEnd(transaction);
      this.pool.release("transaction", connection);
    }
  }

  private async end(session: Session, state: "aborted"): Promise<void> {
    const transaction = session.transaction;
    if (transaction === undefined) return;
    session.transaction = undefined;
    session.state = state;
    clearTimeout(transaction.timer);
    if (transaction.running) await transaction.connection.cancel();
    await transaction.connection.run("rollback").catch(() => {});
    this.onEnd(transaction);
    this.pool.release("transaction", transaction.connection);
  }

  private async wasCommitted(request: TransactionRequest): Promise<boolean> {
    const { rows } = await this.pool.use("work", (connection) =>
      connection.execute(SQL.wasCommitted, [request.sessionId, request.number]),
    );
    return rows.length > 0;
  }
}

const snapshotId = (sessionId: Buffer): Buffer => Buffer.concat([sessionId, Buffer.from("snapshot")]);

function tooOld(session: Session, number: bigint): MongoError {
  return new MongoError(
    225,
    "TransactionTooOld",
    `Cannot start transaction with { txnNumber: ${number} } on this session because a newer transaction with txnNumber ${session.number} has already started`,
  );
}

function aborted(number: bigint): MongoError {
  return new MongoError(
    251,
    "NoSuchTransaction",
    `Transaction with { txnNumber: ${number} } has been aborted.`,
    [TRANSIENT],
  );
}

function noSuchTransaction(session: Session, number: bigint): MongoError {
  if (number === session.number) return aborted(number);
  return new MongoError(
    251,
    "NoSuchTransaction",
    `Given transaction number ${number} does not match any in-progress transactions. The active transaction number is ${session.number}`,
    [TRANSIENT],
  );
}

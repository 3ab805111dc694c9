/**
 * MongoDB commands to SQL. Each command's BSON goes to the engine as it came: the engine ignores the fields
 * that concern the session ("lsid", "txnNumber", "$db" and their like) and itself honours maxTimeMS.
 */
import { type Document, Long, UUID } from "bson";
import {
  decode,
  decodePlain,
  documentValue,
  elements,
  encode,
  integerValue,
  stringValue,
  timestampElement,
  withElement,
} from "./bson.ts";
import type { Command, Planner } from "./command.ts";
import { Cursors } from "./cursors.ts";
import {
  ConnectionLost,
  isConflict,
  LOCK_TIMEOUT,
  MongoError,
  PostgresError,
  toMongoError,
} from "./errors.ts";
import { explainAnswer, explained, explainStatement, type Verbosity } from "./explain.ts";
import type { Pool } from "./pool.ts";
import type { Parameter, PostgresConnection, Result, Statement } from "./postgres.ts";
import { refuseUnsupported } from "./refused.ts";
import { FIRST_PAGE, SQL } from "./schema.ts";
import { type Client, Sessions, type Transaction, type TransactionRequest } from "./sessions.ts";
import { MAX_MESSAGE_BYTES } from "./wire.ts";
import { WriteErrors } from "./write-errors.ts";

/** Lock wait of a single statement before it goes to the waiting lane. */
const WORK_LOCK_MS = 20;
/** One turn of waiting; then others have theirs. */
const WAITING_LOCK_MS = 100;
/** A single write waits for a lock as long as a transaction can live, and then some. */
const MAX_LOCK_WAIT_MS = 90_000;
/** Creating and dropping things waits for open transactions to end. */
const ADMIN_LOCK_MS = 20_000;

const PLANNER_SETTINGS: Record<Planner, string> = {
  ordered: "set enable_bitmapscan = off; set documentdb.enablePerCollectionPlannerStatistics = on",
  union: "set enable_bitmapscan = on; set documentdb.enablePerCollectionPlannerStatistics = on",
  text: "set enable_bitmapscan = off; set documentdb.enablePerCollectionPlannerStatistics = off",
};
const CURRENT_OP = Buffer.from("\x03$currentOp\0");
const WRITE_SEQUENCE: Record<string, string> = { insert: "documents", update: "updates", delete: "deletes" };
/** Time limits that tests shorten; defaults are MongoDB's. */
export interface Limits {
  transactionLifetimeMs: number;
  cursorIdleMs: number;
}

type Handler = (command: Command) => Promise<Document | Buffer> | Document | Buffer;

/** Runs commands. */
export class Commands {
  readonly pool: Pool;
  readonly sessions: Sessions;
  readonly cursors: Cursors;
  private readonly writeErrors: WriteErrors;
  private readonly started = Date.now();
  private readonly port: () => number;
  private readonly clients: Iterable<Client>;
  private readonly handlers = new Map<string, Handler>();

  /** @param clients who is connected */
  constructor(pool: Pool, limits: Limits, port: () => number, clients: Iterable<Client>) {
    this.pool = pool;
    this.port = port;
    this.clients = clients;
    this.writeErrors = new WriteErrors(pool);
    this.cursors = new Cursors(limits.cursorIdleMs, (cursor) => {
      pool.use("work", (connection) => connection.execute(SQL.deleteCursors, [cursor.id])).catch(() => {});
    });
    this.sessions = new Sessions(pool, limits.transactionLifetimeMs, (transaction) =>
      this.cursors.closeAll(transaction),
    );
    this.register();
  }

  /** Runs one command and returns its answer. Throws what toMongoError understands. */
  async run(command: Command): Promise<Document | Buffer> {
    const handler = this.handlers.get(command.name);
    if (handler === undefined) {
      throw new MongoError(
        59,
        "CommandNotFound",
        `no such command: '${command.name}' (the local MongoDB engine does not have it; see docs/engines.md)`,
      );
    }
    refuseUnsupported(command);
    return handler(command);
  }

  /** A client's connection is gone. */
  clientGone(client: Client): void {
    this.cursors.clientGone(client);
    this.sessions.clientGone();
  }

  private register(): void {
    const on = (names: string, handler: Handler): void => {
      for (const name of names.split(" ")) this.handlers.set(name, handler);
    };
    on("hello isMaster ismaster", (command) => this.hello(command));
    on("ping", async () => {
      await this.pool.use("work", (connection) => connection.execute(SQL.ping, []));
      return { ok: 1 };
    });
    on("buildInfo buildinfo", () => buildInfo());
    on("endSessions killSessions refreshSessions killAllSessions", (command) => this.endSessions(command));
    on("commitTransaction abortTransaction", (command) => this.endTransaction(command));
    on("find listCollections listIndexes", (command) => this.firstPage(command));
    on("aggregate", (command) =>
      command.integer("aggregate") === 1n && command.body.includes(CURRENT_OP)
        ? this.currentOperations()
        : this.firstPage(command),
    );
    on("explain", (command) => this.explain(command));
    on("getMore", (command) => this.getMore(command));
    on("killCursors", (command) => this.killCursors(command));
    on("insert update delete findAndModify", (command) => this.write(command));
    on("count", (command) => this.single(command, SQL.count));
    on("distinct", (command) => this.single(command, SQL.distinct));
    on("create", (command) => this.create(command));
    on("createIndexes", (command) => this.createIndexes(command));
    on("dropIndexes deleteIndexes", (command) =>
      this.admin(SQL.dropIndexes, [command.database, command.wholeBody()]),
    );
    on("drop", (command) => this.drop(command));
    on("dropDatabase", async (command) => {
      await this.admin(SQL.dropDatabase, [command.database]);
      return { dropped: command.database, ok: 1 };
    });
    on("listDatabases", (command) => this.admin(SQL.listDatabases, [command.body]));
    on("renameCollection", (command) => this.admin(SQL.renameCollection, [command.body]));
    on("collMod", (command) => this.admin(SQL.collMod, [command.database, command.collection, command.body]));
    on("collStats", (command) =>
      this.admin(SQL.collStats, [command.database, command.collection, scale(command)]),
    );
    on("dbStats", (command) => this.admin(SQL.dbStats, [command.database, scale(command), false]));
    on("validate", (command) => this.admin(SQL.validate, [command.database, command.body]));
    on("currentOp", (command) => this.admin(SQL.currentOp, [command.body]));
    on("serverStatus", () => this.serverStatus());
    on("connectionStatus", () => ({
      authInfo: { authenticatedUsers: [], authenticatedUserRoles: [] },
      ok: 1,
    }));
    on("getParameter", (command) => getParameter(command));
  }

  private hello(command: Command): Document {
    const said = documentValue(command.body, command.fields.get("client"));
    const application = said && documentValue(said, elements(said).get("application"));
    if (application) command.client.appName = stringValue(application, elements(application).get("name"));
    const address = `127.0.0.1:${this.port()}`;
    return {
      helloOk: true,
      isWritablePrimary: true,
      ismaster: true,
      secondary: false,
      setName: "local",
      setVersion: 1,
      hosts: [address],
      primary: address,
      me: address,
      maxBsonObjectSize: 16_777_216,
      maxMessageSizeBytes: MAX_MESSAGE_BYTES,
      maxWriteBatchSize: 100_000,
      localTime: new Date(),
      logicalSessionTimeoutMinutes: 30,
      minWireVersion: 0,
      maxWireVersion: 21,
      readOnly: false,
      aizyGateway: true,
      ok: 1,
    };
  }

  /** What `$currentOp` gives with idle connections and idle sessions, as far as it tells whose transactions are open. */
  private currentOperations(): Document {
    const of = ({ id, appName }: Client) => ({ connectionId: id, appName: appName ?? "", active: false });
    const connections = [...this.clients].map((client) => ({ type: "op", ...of(client) }));
    const sessions = this.sessions.idleTransactions().map(({ id, number, client }) => ({
      type: "idleSession",
      desc: "inactive transaction",
      ...of(client),
      lsid: { id: new UUID(id) },
      transaction: { parameters: { txnNumber: Long.fromBigInt(number), autocommit: false } },
    }));
    return {
      cursor: { firstBatch: [...connections, ...sessions], id: Long.ZERO, ns: "admin.$cmd.aggregate" },
      ok: 1,
    };
  }

  private async endSessions(command: Command): Promise<Document> {
    if (command.name === "endSessions" || command.name === "killSessions") {
      const list = documentValue(command.body, command.fields.values().next().value);
      for (const element of list === undefined ? [] : elements(list).values()) {
        const session = list === undefined ? undefined : documentValue(list, element);
        const id = session === undefined ? undefined : elements(session).get("id");
        if (session !== undefined && id?.type === 5) {
          await this.sessions.endSession(session.subarray(id.value + 5, id.end));
        }
      }
    }
    return { ok: 1 };
  }

  private async endTransaction(command: Command): Promise<Document> {
    const request = command.transaction();
    if (request === undefined) {
      throw new MongoError(125, "CommandFailed", `${command.name} must be run within a transaction`);
    }
    if (command.name === "commitTransaction") await this.sessions.commit(request);
    else await this.sessions.abort(request);
    return { ok: 1 };
  }

  private async firstPage(command: Command): Promise<Buffer> {
    const statement = FIRST_PAGE[command.name] as Statement;
    const parameters = [command.database, command.wholeBody()];
    const take = (result: Result, transaction: Transaction | undefined): Buffer => {
      const [page, continuation] = result.rows[0] ?? [];
      if (!page) throw new MongoError(1, "InternalError", "the engine returned no page");
      if (continuation) this.openCursor(command, page, continuation, transaction);
      return page;
    };
    const request = this.readRequest(command);
    if (request === undefined) return take(await this.autocommit(command, statement, parameters), undefined);
    return this.sessions.statement(request, command.client, async (transaction) => {
      if (command.name === "aggregate") transaction.wrote = true; // it may be a $merge
      const page = take(await this.inTransaction(command, transaction, statement, parameters), transaction);
      return request.snapshot ? withElement(page, timestampElement("atClusterTime", request.number)) : page;
    });
  }

  /** The transaction that a read belongs to: its own, or that of its snapshot session. */
  private readRequest(command: Command): TransactionRequest | undefined {
    const session = command.sessionId();
    if (session === undefined || command.fields.has("autocommit")) return command.transaction();
    if (command.snapshot !== undefined) return this.sessions.snapshot(session, command.snapshot.at);
    const cursor = this.cursors.get(command.integer("getMore") ?? 0n);
    return this.sessions.snapshotOf(session, cursor?.transaction);
  }

  private openCursor(
    command: Command,
    page: Buffer,
    continuation: Buffer,
    transaction: Transaction | undefined,
  ): void {
    const cursor = documentValue(page, elements(page).get("cursor"));
    if (cursor === undefined) return;
    const fields = elements(cursor);
    const id = integerValue(cursor, fields.get("id")) ?? 0n;
    if (id === 0n) return;
    this.cursors.add({
      id,
      database: command.database,
      namespace: stringValue(cursor, fields.get("ns")) ?? "",
      continuation: Buffer.from(continuation),
      transaction,
      clients: new Set([command.client]),
      noTimeout: command.boolean("noCursorTimeout") === true,
    });
  }

  private async getMore(command: Command): Promise<Buffer> {
    const id = command.integer("getMore") ?? 0n;
    const request = this.readRequest(command);
    const more = async (
      run: (parameters: Parameter[]) => Promise<Result>,
      transaction: Transaction | undefined,
    ): Promise<Buffer> => {
      const cursor = this.cursors.get(id);
      if (cursor === undefined || cursor.transaction !== transaction) {
        throw new MongoError(43, "CursorNotFound", `cursor id ${id} not found`);
      }
      const namespace = `${command.database}.${command.string("collection")}`;
      if (cursor.namespace !== namespace) {
        throw new MongoError(
          13,
          "Unauthorized",
          `Requested getMore on namespace '${namespace}', but cursor belongs to a different namespace ${cursor.namespace}`,
        );
      }
      cursor.clients.add(command.client);
      try {
        const result = await run([command.database, command.body, cursor.continuation]);
        const [page, continuation] = result.rows[0] ?? [];
        if (!page) throw new MongoError(1, "InternalError", "the engine returned no page");
        if (continuation) {
          cursor.continuation = Buffer.from(continuation);
          this.cursors.touch(cursor);
        } else this.cursors.close(id, true);
        return page;
      } catch (error) {
        this.cursors.close(id);
        throw error;
      }
    };
    if (request === undefined) {
      return more((parameters) => this.autocommit(command, SQL.getMore, parameters), undefined);
    }
    return this.sessions.statement(request, command.client, (transaction) =>
      more((parameters) => transaction.connection.execute(SQL.getMore, parameters), transaction),
    );
  }

  private killCursors(command: Command): Document {
    const list = documentValue(command.body, command.fields.get("cursors"));
    const killed: bigint[] = [];
    const missing: bigint[] = [];
    for (const element of list === undefined ? [] : elements(list).values()) {
      const id = integerValue(list as Buffer, element) ?? 0n;
      (this.cursors.close(id) ? killed : missing).push(id);
    }
    return { cursorsKilled: killed, cursorsNotFound: missing, cursorsAlive: [], cursorsUnknown: [], ok: 1 };
  }

  private async write(command: Command): Promise<Document | Buffer> {
    const sequenceName = WRITE_SEQUENCE[command.name];
    const sequence = sequenceName === undefined ? undefined : command.sequences.get(sequenceName);
    const request = command.transaction();
    const number = command.integer("txnNumber");
    const session = request === undefined && number !== undefined ? command.sessionId() : undefined;
    const parameters: Parameter[] = [
      command.name,
      command.database,
      command.body,
      sequence ?? null,
      session ?? null,
      session === undefined ? null : (number ?? null),
    ];
    try {
      if (request !== undefined) {
        const [result, failed] = await this.sessions.statement(
          request,
          command.client,
          async (transaction) => {
            transaction.wrote = true;
            return writeResult(await this.inTransaction(command, transaction, SQL.write, parameters));
          },
        );
        if (!failed) return result;
        await this.sessions.failed(request);
        return await this.writeErrors.translate(command, result);
      }
      const run = async () => writeResult(await this.autocommit(command, SQL.write, parameters));
      const [result, failed] = await (session === undefined
        ? run()
        : this.sessions.retryableWrite(session, number as bigint, run));
      return failed ? await this.writeErrors.translate(command, result) : result;
    } catch (error) {
      throw await this.writeErrors.translateThrown(command, toMongoError(error, request !== undefined));
    }
  }

  private async single(command: Command, statement: Statement): Promise<Buffer> {
    const parameters = [command.database, command.body];
    const request = command.transaction();
    const result =
      request === undefined
        ? await this.autocommit(command, statement, parameters)
        : await this.sessions.statement(request, command.client, (transaction) =>
            this.inTransaction(command, transaction, statement, parameters),
          );
    return firstColumn(result);
  }

  private async create(command: Command): Promise<Document | Buffer> {
    return this.definition(command, SQL.create, [command.database, command.body]);
  }

  private async createIndexes(command: Command): Promise<Document | Buffer> {
    const answer = await this.definition(command, SQL.createIndexes, [command.database, command.wholeBody()]);
    if (command.transaction() === undefined) await this.analyze(command.database, command.collection);
    return answer;
  }

  /** Gives the planner statistics on what has just been indexed; autovacuum would do it seconds later. */
  private async analyze(database: string, collection: string): Promise<void> {
    // It may be dropped meanwhile; without statistics plans are worse, not wrong.
    await this.admin(SQL.analyze, [database, collection]).catch(() => {});
  }

  private async explain(command: Command): Promise<Document> {
    const inner = documentValue(command.body, command.fields.get("explain"));
    if (inner === undefined) throw new MongoError(14, "TypeMismatch", "explain needs a command document");
    const verbosity = (command.string("verbosity") ?? "allPlansExecution") as Verbosity;
    if (!["queryPlanner", "executionStats", "allPlansExecution"].includes(verbosity)) {
      throw new MongoError(9, "FailedToParse", `unknown verbosity '${verbosity}'`);
    }
    const document = decode(inner);
    const query = explained(document);
    const parameters = [command.database, encode(query.spec)];
    const statement = explainStatement(query.kind, verbosity);
    const output = await this.explainOutput(command, statement, parameters);
    return explainAnswer(query, command.database, verbosity, output, document);
  }

  private async explainOutput(
    command: Command,
    statement: Statement,
    parameters: Parameter[],
  ): Promise<string> {
    return this.pool.use("work", async (connection) => {
      setPlanner(connection, command.planner);
      try {
        return firstColumn(await connection.execute(statement, parameters)).toString("utf8");
      } catch (error) {
        // The engine cannot annotate some plans, those of $lookup for one; without its annotations (index
        // bounds, entries visited) the rest is still true.
        if (!(error instanceof PostgresError) || error.sqlState !== "0A000") throw error;
        await connection.run("set documentdb.enable_default_extended_explain = off");
        try {
          return firstColumn(await connection.execute(statement, parameters)).toString("utf8");
        } finally {
          await connection.run("set documentdb.enable_default_extended_explain = on");
        }
      }
    });
  }

  private async definition(
    command: Command,
    statement: Statement,
    parameters: Parameter[],
  ): Promise<Document | Buffer> {
    const request = command.transaction();
    if (request === undefined) return this.admin(statement, parameters);
    return this.sessions.statement(request, command.client, async (transaction) => {
      transaction.wrote = true;
      return firstColumn(await run(command, transaction.connection, statement, parameters));
    });
  }

  private async drop(command: Command): Promise<Document> {
    const result = await this.admin(SQL.dropCollection, [command.database, command.collection]);
    if (result[0] !== 1) return { ok: 1 }; // dropping what is not there succeeds since MongoDB 7
    return { nIndexesWas: 1, ns: command.namespace, ok: 1 };
  }

  private serverStatus(): Document {
    const { open, idle } = this.pool.stats();
    return {
      host: `127.0.0.1:${this.port()}`,
      version: buildInfo().version,
      process: "aizy-gateway",
      pid: process.pid,
      uptime: (Date.now() - this.started) / 1000,
      localTime: new Date(),
      mem: { resident: Math.round(process.memoryUsage.rss() / 1_048_576), bits: 64 },
      metrics: { cursor: { open: { total: this.cursors.size } } },
      transactions: { currentOpen: this.sessions.openTransactions() },
      localEngine: { postgresConnections: open, postgresConnectionsIdle: idle },
      ok: 1,
    };
  }

  private async inTransaction(
    command: Command,
    transaction: Transaction,
    statement: Statement,
    parameters: Parameter[],
  ): Promise<Result> {
    const { connection } = transaction;
    if (command.planner !== transaction.planner) {
      transaction.planner = command.planner;
      await connection.run(PLANNER_SETTINGS[command.planner].replaceAll("set ", "set local "));
    }
    return run(command, connection, statement, parameters);
  }

  private async admin(statement: Statement, parameters: Parameter[]): Promise<Buffer> {
    return this.pool.use("admin", async (connection) => {
      setLockTimeout(connection, ADMIN_LOCK_MS);
      return firstColumn(await connection.execute(statement, parameters));
    });
  }

  /**
   * Runs one statement outside a transaction. Where MongoDB would repeat it inside (a document another
   * operation is changing), this waits and repeats too: first with a short lock wait, then in the waiting
   * lane, so that statements stuck behind an open transaction cannot take up every connection.
   */
  private async autocommit(command: Command, statement: Statement, parameters: Parameter[]): Promise<Result> {
    const limit = Number(command.integer("maxTimeMS") ?? 0n) || MAX_LOCK_WAIT_MS;
    const deadline = Date.now() + limit;
    for (let attempt = 0; ; attempt++) {
      const lane = attempt === 0 ? "work" : "waiting";
      try {
        return await this.pool.use(
          lane,
          (connection) => {
            setLockTimeout(connection, attempt === 0 ? WORK_LOCK_MS : WAITING_LOCK_MS);
            setPlanner(connection, command.planner);
            return run(command, connection, statement, parameters);
          },
          deadline - Date.now(),
        );
      } catch (error) {
        const queuedTooLong = error instanceof MongoError && error.code === LOCK_TIMEOUT;
        const conflict = error instanceof PostgresError && isConflict(error.sqlState);
        if (!conflict && !queuedTooLong) throw error;
        if (command.client.closed) throw new ConnectionLost("the client has gone");
        if (queuedTooLong || Date.now() >= deadline) {
          if (limit === MAX_LOCK_WAIT_MS) throw error;
          throw new MongoError(50, "MaxTimeMSExpired", "operation exceeded time limit");
        }
      }
    }
  }
}

/**
 * Runs a statement of a command. PostgreSQL keeps a lock timeout in a flag that the next wait for a lock clears: one
 * that strikes between two waits of a statement is reported as a cancel by request (57014), which only `maxTimeMS`
 * should be. Before that time is over it was the lock timeout.
 */
async function run(
  command: Command,
  connection: PostgresConnection,
  statement: Statement,
  parameters: Parameter[],
): Promise<Result> {
  const limit = Number(command.integer("maxTimeMS") ?? 0n) || Number.POSITIVE_INFINITY;
  const started = performance.now();
  try {
    return await connection.execute(statement, parameters);
  } catch (error) {
    const cancelled = error instanceof PostgresError && error.sqlState === "57014";
    if (cancelled && performance.now() - started < limit) throw new PostgresError("55P03", error.message);
    throw error;
  }
}

function setLockTimeout(connection: PostgresConnection, ms: number): void {
  if (connection.lockTimeout === ms) return;
  connection.lockTimeout = ms;
  // Not awaited: it goes out in front of the statement and cannot fail on its own.
  connection.run(`set lock_timeout = ${ms}`).catch(() => {});
}

function setPlanner(connection: PostgresConnection, planner: Planner): void {
  if (connection.planner === planner) return;
  connection.planner = planner;
  connection.run(PLANNER_SETTINGS[planner]).catch(() => {});
}

function writeResult(result: Result): [result: Buffer, failed: boolean] {
  const [document, success] = result.rows[0] ?? [];
  if (!document) throw new MongoError(1, "InternalError", "the engine returned no result");
  return [document, success?.[0] !== 1];
}

function firstColumn(result: Result): Buffer {
  const value = result.rows[0]?.[0];
  if (!value) throw new MongoError(1, "InternalError", "the engine returned no result");
  return value;
}

function scale(command: Command): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(Number(command.integer("scale") ?? 1n));
  return bytes;
}

function buildInfo(): { version: string } & Document {
  return {
    version: "7.0.0",
    versionArray: [7, 0, 0, 0],
    gitVersion: "local",
    modules: ["aizy-gateway"],
    maxBsonObjectSize: 16_777_216,
    bits: 64,
    debug: false,
    aizyGateway: true,
    ok: 1,
  };
}

function getParameter(command: Command): Document {
  const { getParameter: wanted, ...names } = decodePlain(command.body);
  const known: Document = { featureCompatibilityVersion: { version: "7.0" } };
  const asked = wanted === "*" ? Object.keys(known) : Object.keys(names).filter((name) => name in known);
  if (asked.length === 0) throw new MongoError(72, "InvalidOptions", "no option found to get");
  return { ...Object.fromEntries(asked.map((name) => [name, known[name]])), ok: 1 };
}

/** The answer of a handler as bytes. */
export function toBuffer(answer: Document | Buffer): Buffer {
  return Buffer.isBuffer(answer) ? answer : encode(answer);
}

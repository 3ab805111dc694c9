/**
 * A small PostgreSQL client: prepared statements with binary parameters and binary results, several in one
 * flush. The usual libraries were tried first: `pg` and `postgres` read results as text only, which doubles
 * every page of BSON (as hexadecimal) and makes a string of it on the way.
 * Protocol: https://www.postgresql.org/docs/18/protocol.html
 */
import type { Socket } from "bun";
import { ConnectionLost, PostgresError } from "./errors.ts";

/**
 * What postgresql.conf must hold for the gateway, beyond data directory, sockets and ports.
 * - The preload list and `alternate_index_handler_name` are DocumentDB's own needs; without `extended_rum`
 *   an index gives no sort order.
 * - `max_connections`: one gateway uses at most its `maxConnections` (100); the rest leaves room for the
 *   gateways that tests start beside it, the extension's workers and a person with psql.
 * - `fsync = off`: what was committed survives the death of any process (it is in the kernel's cache), but
 *   not a power cut; this is data of one development machine, made again by a seed. `synchronous_commit`
 *   stays on, so a killed server has lost nothing it acknowledged.
 * - `full_page_writes = on`, although no page can be torn without a power cut: the extension's indexes log
 *   changes that can only be repeated on the page as it was. Without it, an insert after a `kill -9` under load
 *   crashes the server, for good.
 * - `client_connection_check_interval`: what a killed gateway or test had running ends with it, instead of
 *   holding its locks and its connection until it is done.
 * - `deadlock_timeout`: statements outside transactions that lock each other out are found and repeated.
 * - `autovacuum_naptime`: the planner uses an index's order only when it has statistics.
 * - `autovacuum_vacuum_scale_factor`: the extension's indexes keep an entry for each earlier version of a document until
 *   then, and a query reads through them. At PostgreSQL's 0.2, 14,000 changes of 100,000 documents made the question
 *   "what changed since?" last 9 ms instead of 2.
 */
export const POSTGRES_SETTINGS: Record<string, string> = {
  shared_preload_libraries: "pg_cron,pg_documentdb_extended_rum,pg_documentdb_core,pg_documentdb",
  "cron.database_name": "postgres",
  "documentdb.alternate_index_handler_name": "extended_rum",
  max_connections: "400",
  shared_buffers: "256MB",
  fsync: "off",
  full_page_writes: "on",
  synchronous_commit: "on",
  max_wal_size: "1GB",
  jit: "off",
  client_connection_check_interval: "1s",
  deadlock_timeout: "100ms",
  autovacuum_naptime: "5s",
  autovacuum_vacuum_scale_factor: "0.05",
  log_min_messages: "fatal",
  log_min_error_statement: "panic",
};

/**
 * Settings of every connection of the gateway.
 * - File-based cursors let any connection continue a cursor, so an open cursor holds no connection.
 * - MongoDB's planner uses an index whenever a predicate or a sort has one. PostgreSQL weighs it against
 *   reading the table and then takes the table for `{ sku: "x" }` with limit 1, because it guesses that half
 *   the documents match. Without sequential and bitmap scans, and with statistics on indexed paths, the
 *   plans are those of MongoDB: `explain` in engines.test.ts holds it.
 * - A deadlock must be an error of the command, so that the command can be run again.
 */
const SESSION_SETTINGS: Record<string, string> = {
  enable_seqscan: "off",
  enable_bitmapscan: "off",
  random_page_cost: "1",
  "documentdb.enablePlannerStatisticsNewCollections": "on",
  "documentdb.useFileBasedPersistedCursors": "on",
  "documentdb.throwDeadlockOnCRUD": "on",
  "documentdb.maxWriteBatchSize": "100000",
  "documentdb.defaultCursorExpiryTimeLimitSeconds": "1200",
  client_min_messages: "error",
  application_name: "aizy-gateway",
};

/** Where PostgreSQL listens: `host` is an address, or the directory of its Unix socket. */
export interface PostgresAddress {
  host: string;
  port: number;
  user: string;
  database: string;
}

/** A statement that is prepared once on each connection and then only bound and executed. */
export interface Statement {
  /** Unique name; also the prepared statement's name in PostgreSQL. */
  name: string;
  sql: string;
}

/** A parameter in PostgreSQL's binary format: text as UTF-8, bigint as int8, raw bytes for the rest. */
export type Parameter = string | Buffer | bigint | boolean | null;

/** Result columns in binary format. */
export type Row = (Buffer | null)[];

/** Rows and the command tag (for instance "COMMIT", or "ROLLBACK" for a COMMIT of a failed transaction). */
export interface Result {
  rows: Row[];
  tag: string;
}

interface Pending {
  resolve: (result: Result) => void;
  reject: (error: Error) => void;
  rows: Row[];
  tag: string;
  error: PostgresError | undefined;
  prepared: string | undefined;
}

const SYNC = Buffer.from([0x53, 0, 0, 0, 4]);
const EXECUTE = Buffer.from([0x45, 0, 0, 0, 9, 0, 0, 0, 0, 0]);

function encodeParameter(value: Parameter): Buffer | null {
  if (value === null || Buffer.isBuffer(value)) return value;
  if (typeof value === "string") return Buffer.from(value);
  if (typeof value === "boolean") return Buffer.from([value ? 1 : 0]);
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}

function parseMessage(statement: Statement): Buffer {
  const body = Buffer.from(`${statement.name}\0${statement.sql}\0\0\0`);
  const head = Buffer.allocUnsafe(5);
  head[0] = 0x50;
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function bindMessage(name: string, parameters: readonly Parameter[]): Buffer {
  const values = parameters.map(encodeParameter);
  const nameLength = Buffer.byteLength(name);
  let size = 4 + 1 + nameLength + 1 + 4 + 2 + 4;
  for (const value of values) size += 4 + (value?.length ?? 0);
  const message = Buffer.allocUnsafe(size + 1);
  message[0] = 0x42;
  let at = message.writeInt32BE(size, 1);
  message[at++] = 0; // the unnamed portal
  at += message.write(name, at, "latin1");
  message[at++] = 0;
  at = message.writeInt16BE(1, at); // one format for all parameters:
  at = message.writeInt16BE(1, at); // binary
  at = message.writeInt16BE(values.length, at);
  for (const value of values) {
    at = message.writeInt32BE(value === null ? -1 : value.length, at);
    if (value !== null) at += value.copy(message, at);
  }
  at = message.writeInt16BE(1, at);
  message.writeInt16BE(1, at); // all result columns in binary
  return message;
}

/** One connection. Statements queue and are answered in order; `broken` is set once it cannot be used. */
export class PostgresConnection {
  /** Set when the connection is lost; every later statement is refused with it. */
  broken: ConnectionLost | undefined;
  /** PostgreSQL's transaction state after the last answer: I idle, T in a transaction, E in a failed one. */
  status: "I" | "T" | "E" = "I";
  /** The backend's process id. */
  processId = 0;
  /** lock_timeout in force on this connection, in ms; kept so that it is set only when it changes. */
  lockTimeout = 0;
  /** The planner settings in force; kept for the same reason. */
  planner = "ordered";
  private secret = 0;
  private readonly address: PostgresAddress;
  private socket: Socket<undefined> | undefined;
  private readonly pending: Pending[] = [];
  private readonly prepared = new Set<string>();
  private received: Buffer[] = [];
  private receivedLength = 0;
  private needed = 5;
  private unsent: Buffer | undefined;
  private started: { resolve: () => void; reject: (error: Error) => void } | undefined;

  private constructor(address: PostgresAddress) {
    this.address = address;
  }

  /** Connects; only "trust" authentication is spoken, as the server is private to this machine's user. */
  static async open(address: PostgresAddress, settings = SESSION_SETTINGS): Promise<PostgresConnection> {
    const connection = new PostgresConnection(address);
    const ready = new Promise<void>((resolve, reject) => {
      connection.started = { resolve, reject };
    });
    ready.catch(() => {});
    connection.socket = await connectSocket(address, {
      data: (_socket, chunk) => connection.receive(chunk),
      drain: () => connection.flush(),
      close: () => connection.lost("the connection to PostgreSQL was closed"),
      error: (_socket, error) => connection.lost(error.message),
    });
    const options = Object.entries({ user: address.user, database: address.database, ...settings });
    const body = Buffer.from(`${options.map(([key, value]) => `${key}\0${value}\0`).join("")}\0`);
    const head = Buffer.allocUnsafe(8);
    head.writeInt32BE(body.length + 8, 0);
    head.writeInt32BE(196608, 4); // protocol 3.0
    connection.write(Buffer.concat([head, body]));
    await ready;
    return connection;
  }

  /** Runs a prepared statement (prepared on first use). */
  execute(statement: Statement, parameters: readonly Parameter[]): Promise<Result> {
    const known = this.prepared.has(statement.name);
    if (!known) this.prepared.add(statement.name);
    const bind = bindMessage(statement.name, parameters);
    const parts = known ? [bind, EXECUTE, SYNC] : [parseMessage(statement), bind, EXECUTE, SYNC];
    return this.send(Buffer.concat(parts), known ? undefined : statement.name);
  }

  /** Runs SQL text, possibly several statements; results are not returned, only the last command's tag. */
  run(sql: string): Promise<Result> {
    const body = Buffer.from(`${sql}\0`);
    const head = Buffer.allocUnsafe(5);
    head[0] = 0x51;
    head.writeInt32BE(body.length + 4, 1);
    return this.send(Buffer.concat([head, body]), undefined);
  }

  /** Asks PostgreSQL to cancel what this connection is running; the statement then fails with 57014. */
  async cancel(): Promise<void> {
    const request = Buffer.allocUnsafe(16);
    request.writeInt32BE(16, 0);
    request.writeInt32BE(80877102, 4);
    request.writeInt32BE(this.processId, 8);
    request.writeInt32BE(this.secret, 12);
    await new Promise<void>((resolve) => {
      connectSocket(this.address, { data() {}, close: () => resolve(), error: () => resolve() }).then(
        (socket) => socket.write(request),
        () => resolve(),
      );
    });
  }

  /** Closes the connection; what is pending fails. */
  close(): void {
    if (this.broken === undefined) this.socket?.write(Buffer.from([0x58, 0, 0, 0, 4]));
    this.lost("the connection was closed");
  }

  private send(message: Buffer, prepared: string | undefined): Promise<Result> {
    if (this.broken !== undefined) return Promise.reject(this.broken);
    return new Promise((resolve, reject) => {
      this.pending.push({ resolve, reject, rows: [], tag: "", error: undefined, prepared });
      this.write(message);
    });
  }

  private write(message: Buffer): void {
    if (this.unsent !== undefined) {
      this.unsent = Buffer.concat([this.unsent, message]);
      return;
    }
    const sent = this.socket?.write(message) ?? 0;
    if (sent < message.length) this.unsent = message.subarray(Math.max(0, sent));
  }

  private flush(): void {
    const message = this.unsent;
    if (message === undefined) return;
    this.unsent = undefined;
    this.write(message);
  }

  private lost(reason: string): void {
    if (this.broken !== undefined) return;
    this.broken = new ConnectionLost(reason);
    this.socket?.end();
    this.started?.reject(this.broken);
    for (const request of this.pending.splice(0)) request.reject(this.broken);
  }

  private receive(chunk: Buffer): void {
    let data = chunk;
    if (this.receivedLength > 0) {
      this.received.push(chunk);
      this.receivedLength += chunk.length;
      // A large row arrives in many chunks: join them once it is complete, not at every chunk.
      if (this.receivedLength < this.needed) return;
      data = Buffer.concat(this.received);
      this.received = [];
      this.receivedLength = 0;
    }
    let at = 0;
    while (data.length - at >= 5) {
      const end = at + 1 + data.readInt32BE(at + 1);
      if (end > data.length) break;
      this.handle(data[at] as number, data.subarray(at + 5, end));
      at = end;
    }
    if (at < data.length) {
      const rest = data.subarray(at);
      this.needed = rest.length >= 5 ? 1 + rest.readInt32BE(1) : 5;
      this.received = [rest];
      this.receivedLength = rest.length;
    }
  }

  private handle(type: number, body: Buffer): void {
    const request = this.pending[0];
    switch (type) {
      case 0x44: // DataRow
        request?.rows.push(readRow(body));
        break;
      case 0x43: // CommandComplete
        if (request !== undefined) request.tag = body.toString("latin1", 0, body.length - 1);
        break;
      case 0x45: // ErrorResponse
        this.handleError(readError(body));
        break;
      case 0x5a: // ReadyForQuery
        this.status = String.fromCharCode(body[0] as number) as "I" | "T" | "E";
        this.finish();
        break;
      case 0x52: // Authentication
        if (body.readInt32BE(0) !== 0) {
          this.started?.reject(
            new Error("PostgreSQL asks for a password; the gateway needs trust authentication"),
          );
          this.lost("authentication is required");
        }
        break;
      case 0x4b: // BackendKeyData
        this.processId = body.readInt32BE(0);
        this.secret = body.readInt32BE(4);
        break;
    }
  }

  private handleError(error: PostgresError): void {
    const request = this.pending[0];
    if (request !== undefined) request.error = error;
    else if (this.started !== undefined) this.started.reject(error);
  }

  private finish(): void {
    if (this.started !== undefined) {
      this.started.resolve();
      this.started = undefined;
      return;
    }
    const request = this.pending.shift();
    if (request === undefined) return;
    if (request.error !== undefined) {
      // The statement may have failed while it was being parsed, so it is prepared again next time. If it
      // had been parsed, preparing it again would fail; closing the name first makes both cases equal.
      if (request.prepared !== undefined) this.forget(request.prepared);
      request.reject(request.error);
    } else request.resolve({ rows: request.rows, tag: request.tag });
  }

  private forget(name: string): void {
    this.prepared.delete(name);
    const body = Buffer.from(`S${name}\0`);
    const head = Buffer.allocUnsafe(5);
    head[0] = 0x43;
    head.writeInt32BE(body.length + 4, 1);
    this.send(Buffer.concat([head, body, SYNC]), undefined).catch(() => {});
  }
}

interface SocketHandlers {
  data: (socket: Socket<undefined>, chunk: Buffer) => void;
  drain?: () => void;
  close: () => void;
  error: (socket: Socket<undefined>, error: Error) => void;
}

async function connectSocket(address: PostgresAddress, socket: SocketHandlers): Promise<Socket<undefined>> {
  try {
    if (address.host.startsWith("/")) {
      return await Bun.connect({ unix: `${address.host}/.s.PGSQL.${address.port}`, socket });
    }
    return await Bun.connect({ hostname: address.host, port: address.port, socket });
  } catch (error) {
    throw new ConnectionLost(error instanceof Error ? error.message : String(error));
  }
}

function readRow(body: Buffer): Row {
  const row: Row = [];
  let at = 2;
  for (let count = body.readInt16BE(0); count > 0; count--) {
    const size = body.readInt32BE(at);
    at += 4;
    row.push(size < 0 ? null : body.subarray(at, at + size));
    if (size > 0) at += size;
  }
  return row;
}

function readError(body: Buffer): PostgresError {
  const fields: Record<string, string> = {};
  let at = 0;
  while (at < body.length && body[at] !== 0) {
    const end = body.indexOf(0, at + 1);
    fields[String.fromCharCode(body[at] as number)] = body.toString("utf8", at + 1, end);
    at = end + 1;
  }
  return new PostgresError(fields.C ?? "XX000", fields.M ?? "unknown error", fields);
}

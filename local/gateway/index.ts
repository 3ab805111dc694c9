/**
 * The MongoDB gateway of a machine without Docker: MongoDB's wire protocol in front of DocumentDB, an
 * extension of PostgreSQL. What it does as MongoDB and what it does not: docs/engines.md.
 */
import type { Socket } from "bun";
import { encode } from "./bson.ts";
import { Command } from "./command.ts";
import { Commands, toBuffer } from "./commands.ts";
import { errorDocument, toMongoError } from "./errors.ts";
import { Pool } from "./pool.ts";
import { type PostgresAddress, PostgresConnection } from "./postgres.ts";
import { SQL, setUp } from "./schema.ts";
import type { Client } from "./sessions.ts";
import { FrameReader, ProtocolError, parseRequest, replyFrame } from "./wire.ts";

export { POSTGRES_SETTINGS } from "./postgres.ts";

/** How a gateway is started. */
export interface GatewayOptions {
  /** TCP port on 127.0.0.1; 0 or undefined takes a free one. */
  port?: number;
  /** `host` is 127.0.0.1 or the directory of the Unix socket. */
  postgres: PostgresAddress;
  /** Most PostgreSQL connections open at once; default 100. */
  maxConnections?: number;
  /** Age at which a transaction is aborted, in ms; default 60,000, as on MongoDB. */
  transactionLifetimeMs?: number;
  /** Idle time after which a cursor is closed, in ms; default 600,000, as on MongoDB. */
  cursorIdleMs?: number;
  /** Receives one line for each thing a developer should know. */
  log?: (line: string) => void;
}

/** A running gateway. */
export interface Gateway {
  port: number;
  /** The connection string for a database. */
  uri(db: string): string;
  /** Closes all connections; open transactions are rolled back. */
  stop(): Promise<void>;
}

/** How often expired cursors and sessions are looked for. */
const SWEEP_MS = 5_000;

class Connection implements Client {
  closed = false;
  appName?: string;
  private readonly frames = new FrameReader();
  private tail: Promise<void> = Promise.resolve();
  private unsent: Buffer[] = [];

  constructor(
    readonly id: number,
    private readonly socket: Socket<Connection>,
    private readonly commands: Commands,
    private readonly log: (line: string) => void,
  ) {}

  /** Bytes from the client. A malformed frame closes this connection and nothing else. */
  receive(chunk: Buffer): void {
    try {
      for (const frame of this.frames.push(chunk)) {
        const request = parseRequest(frame);
        this.tail = this.tail.then(async () => {
          if (this.closed) return;
          const answer = await this.answer(request);
          if (request.wantsReply && !this.closed) this.write(replyFrame(request, answer));
        });
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.log(`client ${this.id}: ${error.message}`);
      this.socket.end();
      this.gone();
    }
  }

  /** The socket is closed. */
  gone(): void {
    if (this.closed) return;
    this.closed = true;
    this.commands.clientGone(this);
  }

  /** The socket takes bytes again. */
  drain(): void {
    const waiting = this.unsent;
    this.unsent = [];
    for (const part of waiting) this.write(part);
  }

  close(): void {
    this.socket.end();
    this.gone();
  }

  private async answer(request: ReturnType<typeof parseRequest>): Promise<Buffer> {
    let inTransaction = false;
    try {
      const command = new Command(request, this);
      inTransaction = command.boolean("autocommit") === false;
      return toBuffer(await this.commands.run(command));
    } catch (error) {
      return encode(errorDocument(toMongoError(error, inTransaction)));
    }
  }

  private write(bytes: Buffer): void {
    if (this.unsent.length > 0) {
      this.unsent.push(bytes);
      return;
    }
    const sent = this.socket.write(bytes);
    if (sent < bytes.length) this.unsent.push(bytes.subarray(Math.max(0, sent)));
  }
}

/** Starts a gateway; PostgreSQL must be running. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const log = options.log ?? (() => {});
  const first = await PostgresConnection.open(options.postgres);
  try {
    await setUp(first);
  } finally {
    first.close();
  }
  const pool = new Pool(options.postgres, options.maxConnections ?? 100);
  const limits = {
    transactionLifetimeMs: options.transactionLifetimeMs ?? 60_000,
    cursorIdleMs: options.cursorIdleMs ?? 600_000,
  };
  let port = options.port ?? 0;
  const clients = new Set<Connection>();
  const commands = new Commands(pool, limits, () => port, clients);
  let nextClient = 1;
  const server = Bun.listen<Connection>({
    hostname: "127.0.0.1",
    port,
    socket: {
      open(socket) {
        socket.setNoDelay(true);
        socket.data = new Connection(nextClient++, socket, commands, log);
        clients.add(socket.data);
      },
      data: (socket, chunk) => socket.data.receive(chunk),
      drain: (socket) => socket.data.drain(),
      close(socket) {
        clients.delete(socket.data);
        socket.data.gone();
      },
      error: (socket, error) => {
        log(`client ${socket.data.id}: ${error.message}`);
      },
    },
  });
  port = server.port;
  const sweeper = setInterval(() => {
    commands.cursors.sweep();
    commands.sessions.sweep();
  }, SWEEP_MS);
  const forgetter = setInterval(() => {
    pool.use("work", (connection) => connection.execute(SQL.forgetOldSessions, [])).catch(() => {});
  }, 600_000);
  sweeper.unref();
  forgetter.unref();
  return {
    port,
    uri: (db) => `mongodb://127.0.0.1:${port}/${db}?directConnection=true`,
    async stop() {
      clearInterval(sweeper);
      clearInterval(forgetter);
      server.stop();
      for (const client of clients) client.close();
      await commands.sessions.stop();
      pool.close();
    },
  };
}

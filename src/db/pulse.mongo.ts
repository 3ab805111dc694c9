import mongoose, { type ClientSession } from "mongoose";
import { within } from "../lib/within";
import { endAbandoned } from "./abandoned";
import { type Asked, createPulse, type Look, type Pulse, SMALL_LIMIT } from "./pulse";

/** A pulse of the MongoDB at an address. It looks over a connection of its own, because the pool's may all be taken. */
export function createMongoPulse(uri: string): Pulse {
  const looking =
    (work: (client: mongoose.mongo.MongoClient, limit: number) => Promise<unknown>): Look =>
    async (limit) => {
      const client = new mongoose.mongo.MongoClient(uri, {
        serverSelectionTimeoutMS: limit,
        connectTimeoutMS: limit,
        socketTimeoutMS: limit,
        maxPoolSize: 1,
        appName: "aizy pulse",
      });
      try {
        await work(client, limit);
      } finally {
        void client.close().catch(() => undefined);
      }
    };
  // Not a ping: it is answered also where no data can be read.
  const look = looking((client, limit) =>
    within(
      limit,
      "MongoDB",
      client
        .db()
        .collection("jobs")
        .findOne({}, { projection: { _id: 1 } }),
    ),
  );
  const write = looking(async (client, limit) => {
    const guards = client.db().collection<{ _id: string }>("guards");
    // The guard of nothing. It is lasting when it is answered, as every write is.
    const options = { upsert: true, writeConcern: { w: "majority" }, maxTimeMS: limit } as const;
    await within(limit, "MongoDB", guards.updateOne({ _id: "pulse" }, { $inc: { version: 1 } }, options));
    // Writes go, and somebody's does not: it may wait for the lock of a process that is gone.
    await within(limit, "MongoDB", endAbandoned(client)).catch(() => undefined);
  });
  const unavailable = (cause: unknown) =>
    Object.assign(new mongoose.mongo.MongoServerSelectionError("MongoDB does not answer", {} as never), {
      cause,
    });
  return createPulse({ look, write }, unavailable);
}

/** What the driver keeps of a deployment and of its servers, as far as a pulse reaches into it. */
interface DriverTopology {
  selectServer(selector: unknown, options: { operationName?: string }): Promise<DriverServer>;
}
interface DriverConnection {
  /** Has the driver give the connection up, as after its own time limit. */
  onTimeout(): void;
}
interface DriverOperation {
  commandName: string;
  session?: ClientSession;
  /** Of `runCommand`, by which the driver ends transactions too. */
  command?: Record<string, unknown>;
  /** What is inserted. */
  documents?: unknown[];
  /** What is updated or deleted; `limit: 0` deletes all that match. */
  statements?: { multi?: boolean; limit?: number }[];
  buildCommand(connection: DriverConnection, session: ClientSession | undefined): unknown;
}
interface DriverServer {
  command(operation: DriverOperation, timeout: unknown): Promise<unknown>;
}

/** What ends something is not refused: it takes no answer to whoever asks, and would be missing later. */
const ENDS: ReadonlySet<string> = new Set(["endSessions", "killCursors"]);
const isEnd = ({ commandName, command }: DriverOperation): boolean =>
  ENDS.has(commandName) || command?.abortTransaction !== undefined || command?.killSessions !== undefined;

const WRITES: ReadonlySet<string> = new Set(["insert", "update", "delete", "findAndModify"]);
/** Longest wait for the answer to a write of many documents, in milliseconds. */
const MANY_LIMIT = 10_000;

/** Whether it writes one document, or ends a transaction: MongoDB does that at once, or waits for something. */
const isSmall = ({ documents, statements }: DriverOperation): boolean =>
  (documents === undefined || documents.length === 1) &&
  (statements === undefined ||
    (statements.length === 1 && statements[0]?.multi !== true && statements[0]?.limit !== 0));

/** What there is to know of an operation that writes, or is of a transaction; undefined for another. */
function askedBy(operation: DriverOperation): Asked | undefined {
  const isCommit = operation.command?.commitTransaction !== undefined;
  const isWrite = isCommit || WRITES.has(operation.commandName);
  const isInside = operation.session?.inTransaction() === true;
  if (!isWrite && !isInside) return undefined;
  return {
    writes: true,
    shows: isCommit || (isWrite && !isInside) ? "writes" : "life",
    ...(isWrite ? { limit: isSmall(operation) ? SMALL_LIMIT : MANY_LIMIT } : {}),
  };
}

/**
 * Has a pulse guard all that is asked through a client, both the wait for a server and the wait for its answer. Every
 * operation of the driver takes this way, those of cursors and transactions too; it has no public place for it.
 * @param pending gets what a session still waits for, although whoever asked was refused
 */
export function guardClient(
  client: mongoose.mongo.MongoClient,
  pulse: Pulse,
  pending: WeakMap<ClientSession, Promise<unknown>>,
): void {
  const guarded = new WeakSet<DriverServer>();
  /** Ends what a session does, whose answer nobody waits for any longer, and gives its connection up. */
  const giveUp = (session: ClientSession | undefined, connection: DriverConnection | undefined) => {
    // A server that answers nobody would not hear of it.
    if (pulse.isDown()) return;
    connection?.onTimeout();
    const id = session?.id?.id;
    if (id)
      void client
        .db("admin")
        .command({ killSessions: [{ id }] })
        .catch(() => undefined);
  };
  const guardServer = (server: DriverServer) => {
    guarded.add(server);
    const command = server.command.bind(server);
    server.command = (operation, timeout) => {
      if (isEnd(operation)) return command(operation, timeout);
      const { session } = operation;
      const asked = askedBy(operation);
      let connection: DriverConnection | undefined;
      let running: Promise<unknown> | undefined;
      if (asked) {
        const build = operation.buildCommand.bind(operation);
        operation.buildCommand = (to, own) => {
          connection = to;
          return build(to, own);
        };
      }
      return pulse.guard(
        () => {
          running = command(operation, timeout);
          return running;
        },
        {
          ...asked,
          refused: () => {
            if (!running) return;
            if (session) pending.set(session, running);
            if (asked) giveUp(session, connection);
          },
        },
      );
    };
  };
  const { topology } = client as unknown as { topology: DriverTopology };
  const selectServer = topology.selectServer.bind(topology);
  topology.selectServer = async (selector, options) => {
    const select = () => selectServer(selector, options);
    const { operationName = "" } = options;
    // The end of a transaction is not to be told from other commands here.
    const mayEnd = ENDS.has(operationName) || operationName === "runCommand";
    const server = await (mayEnd ? select() : pulse.guard(select, { shows: "nothing" }));
    if (!guarded.has(server)) guardServer(server);
    return server;
  };
}

import mongoose, { type ClientSession } from "mongoose";
import { createPulse, type Pulse, within } from "./pulse";

/** A pulse of the MongoDB at an address. It looks over a connection of its own, because the pool's may all be taken. */
export function createMongoPulse(uri: string): Pulse {
  const look = async (limit: number) => {
    const client = new mongoose.mongo.MongoClient(uri, {
      serverSelectionTimeoutMS: limit,
      connectTimeoutMS: limit,
      socketTimeoutMS: limit,
      maxPoolSize: 1,
      appName: "aizy pulse",
    });
    try {
      // Not a ping: it is answered also where no data can be read.
      const read = client
        .db()
        .collection("jobs")
        .findOne({}, { projection: { _id: 1 } });
      await within(limit, "MongoDB", read);
    } finally {
      void client.close().catch(() => undefined);
    }
  };
  const unavailable = (cause: unknown) =>
    Object.assign(new mongoose.mongo.MongoServerSelectionError("MongoDB does not answer", {} as never), {
      cause,
    });
  return createPulse({ look, write: look }, unavailable);
}

/** What the driver keeps of a deployment and of its servers, as far as a pulse reaches into it. */
interface DriverTopology {
  selectServer(selector: unknown, options: { operationName?: string }): Promise<DriverServer>;
}
interface DriverOperation {
  commandName: string;
  session?: ClientSession;
  /** Of `runCommand`, by which the driver ends transactions too. */
  command?: Record<string, unknown>;
}
interface DriverServer {
  command(operation: DriverOperation, timeout: unknown): Promise<unknown>;
}

/** What ends something is not refused: it takes no answer to whoever asks, and would be missing later. */
const ENDS: ReadonlySet<string> = new Set(["endSessions", "killCursors"]);
const isEnd = ({ commandName, command }: DriverOperation): boolean =>
  ENDS.has(commandName) || command?.abortTransaction !== undefined;

/**
 * Has a pulse guard all that is asked through a client, both the wait for a server and the wait for its answer. Every
 * operation of the driver takes this way, those of cursors and transactions too; it has no public place for it.
 * @param pending gets what a session still waits for, although whoever asked was refused
 */
export function guardClient(
  client: object,
  pulse: Pulse,
  pending: WeakMap<ClientSession, Promise<unknown>>,
): void {
  const guarded = new WeakSet<DriverServer>();
  const guardServer = (server: DriverServer) => {
    guarded.add(server);
    const command = server.command.bind(server);
    server.command = (operation, timeout) => {
      if (isEnd(operation)) return command(operation, timeout);
      let running: Promise<unknown> | undefined;
      return pulse.guard(
        () => {
          running = command(operation, timeout);
          return running;
        },
        {
          refused: () => {
            if (running && operation.session) pending.set(operation.session, running);
          },
        },
      );
    };
  };
  const { topology } = client as { topology: DriverTopology };
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

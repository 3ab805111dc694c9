import { expect, test } from "bun:test";
import mongoose from "mongoose";
import { eventually } from "../../test/processes";
import { startProxy } from "../../test/proxy";
import { connectMongo } from "./mongo";

const uri = process.env.MONGODB_URI ?? "";

/** What the driver keeps of a server, as far as these tests reach into it. */
interface DriverConnection {
  socket: { destroy(): void };
  command(namespace: { db: string }, command: Record<string, unknown>): Promise<unknown>;
}
const monitorOf = (client: unknown): { connection: DriverConnection | null } => {
  const { topology } = client as {
    topology: { s: { servers: Map<string, { monitor: { connection: DriverConnection | null } }> } };
  };
  const [server] = topology.s.servers.values();
  if (!server) throw new Error("the driver knows no server");
  return server.monitor;
};

test("a command on a connection that has just gone fails; without our patch of the driver it waits for ever", async () => {
  const mongo = connectMongo(uri, 2);
  try {
    await mongo.connection.asPromise();
    const monitor = monitorOf(mongo.connection.getClient());
    await eventually(async () => monitor.connection !== null, "the monitor's connection");
    const connection = monitor.connection as DriverConnection;
    // Destroyed, and its "close" event still to come: what a cut looks like to whoever writes at that moment.
    connection.socket.destroy();
    const outcome = await connection.command({ db: "admin" }, { hello: 1 }).catch((error: Error) => error);
    expect(outcome).toBeInstanceOf(mongoose.mongo.MongoNetworkError);
  } finally {
    await mongo.close();
  }
});

test("cut again and again, the database is found again each time", async () => {
  const proxy = await startProxy(uri);
  const mongo = connectMongo(proxy.url(uri), 8);
  try {
    await mongo.connection.asPromise();
    const ask = () =>
      (mongo.connection.db?.command({ ping: 1 }) ?? Promise.reject()).then(
        () => true,
        () => false,
      );
    for (let round = 0; round < 10; round++) {
      const busy = Array.from({ length: 16 }, ask);
      proxy.cut();
      await Promise.all(busy);
      await eventually(ask, "the recovery");
    }
  } finally {
    await mongo.close();
    await proxy.close();
  }
}, 120_000);

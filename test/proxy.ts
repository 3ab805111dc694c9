import { connect, createServer, type Server, type Socket } from "node:net";
import { serialize } from "bson";
import { hostsOf, withHost } from "./addresses";

/** A TCP proxy in front of a database, to stop, cut, pause or slow it for those who connect through it. */
export interface Proxy {
  port: number;
  /** The same URL through this proxy. */
  url(original: string): string;
  /** Cuts every connection and refuses new ones, as a server that is down. */
  stop(): Promise<void>;
  /** Listens again, on the same port. */
  start(): Promise<void>;
  /** Cuts every connection; new ones are let through. */
  cut(): void;
  /** The same, as a machine that was restarted: with a reset instead of an end. */
  reset(): void;
  /** Answers what matches in the server's stead, which never gets it. @returns ends that */
  answer(matching: (bytesToServer: Buffer) => boolean, make: (bytesToServer: Buffer) => Buffer): () => void;
  /** Lets what matches disappear, as a server does that never answers it. @returns ends that */
  swallow(matching: (bytesToServer: Buffer) => boolean): () => void;
  /** Holds every byte in both directions back, as a server that hangs, until `resume`. */
  pause(): void;
  resume(): void;
  /** Delays each chunk that comes back from the server by some milliseconds. */
  slow(milliseconds: number): void;
  /** Resolves when bytes that match have gone to the server. */
  sent(matching: (bytesToServer: Buffer) => boolean): Promise<void>;
  /**
   * Holds back what the server answers to the next that matches, as if it worked on it for long; the other connections
   * go on.
   * @returns resolves when that has gone to the server, with what lets the answer through
   */
  hold(matching: (bytesToServer: Buffer) => boolean): Promise<() => void>;
  /**
   * Cuts the connection when the next answer of the server arrives, and drops that answer: the server has done
   * the work, and the caller does not know.
   * @returns resolves when it happened
   */
  loseNextAnswer(matching?: (bytesToServer: Buffer) => boolean): Promise<void>;
  close(): Promise<void>;
}

const MONGO_WRITES = ["insert", "update", "delete", "findAndModify", "commitTransaction"];
/** Whether it is what MongoDB's driver sends to write, or to make it last. Fields begin with their type: 2 is text, 16 a number. */
export const isMongoWrite = (bytesToServer: Buffer): boolean =>
  MONGO_WRITES.some(
    (name) => bytesToServer.includes(`\u0002${name}\0`) || bytesToServer.includes(`\u0010${name}\0`),
  );

/**
 * Starts a proxy to the host and port of a database URL.
 * @throws Error when it names several servers: behind one proxy, which of them leads would be chance
 */
export async function startProxy(target: string): Promise<Proxy> {
  const hosts = hostsOf(target);
  if (hosts.length > 1) throw new Error("a proxy cannot stand before several servers");
  const { hostname, port: targetPort } = new URL(`tcp://${hosts[0]}`);
  const defaultPort = target.startsWith("mongodb") ? 27017 : 3306;
  const pairs = new Set<[Socket, Socket]>();
  let paused = false;
  let delay = 0;
  let answering: { matching: (bytes: Buffer) => boolean; make: (bytes: Buffer) => Buffer } | undefined;
  let swallowed: ((bytes: Buffer) => boolean) | undefined;
  let awaited: { matching: (bytes: Buffer) => boolean; done: () => void } | undefined;
  let holding: { matching: (bytes: Buffer) => boolean; done: (release: () => void) => void } | undefined;
  let losing: { matching: (bytes: Buffer) => boolean; armed?: Socket; done: () => void } | undefined;

  const cutPair = (pair: [Socket, Socket]) => {
    pairs.delete(pair);
    for (const socket of pair) socket.destroy();
  };
  const accept = (client: Socket) => {
    const server = connect(Number(targetPort || defaultPort), hostname);
    const pair: [Socket, Socket] = [client, server];
    pairs.add(pair);
    client.setNoDelay(true);
    server.setNoDelay(true);
    if (paused) for (const socket of pair) socket.pause();
    client.on("data", (bytes) => {
      if (swallowed?.(bytes)) return;
      if (answering?.matching(bytes)) {
        client.write(answering.make(bytes));
        return;
      }
      if (losing && !losing.armed && losing.matching(bytes)) losing.armed = server;
      if (holding?.matching(bytes)) {
        server.pause();
        holding.done(() => server.resume());
        holding = undefined;
      }
      server.write(bytes);
      if (awaited?.matching(bytes)) {
        awaited.done();
        awaited = undefined;
      }
    });
    server.on("data", (bytes) => {
      if (losing?.armed === server) {
        const { done } = losing;
        losing = undefined;
        cutPair(pair);
        done();
      } else if (delay > 0) setTimeout(() => client.write(bytes), delay);
      else client.write(bytes);
    });
    for (const socket of pair) {
      socket.on("error", () => cutPair(pair));
      socket.on("close", () => cutPair(pair));
    }
  };

  let server: Server | undefined;
  let port = 0;
  const start = () =>
    new Promise<void>((resolve, reject) => {
      const listening = createServer(accept);
      server = listening;
      listening.once("error", reject);
      listening.listen(port, "127.0.0.1", () => {
        port = (listening.address() as { port: number }).port;
        resolve();
      });
    });
  const cut = () => {
    for (const pair of [...pairs]) cutPair(pair);
  };
  const stop = async () => {
    const closed = new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
    cut();
    await closed;
    server = undefined;
  };
  await start();

  return {
    port,
    url: (original) => withHost(original, `127.0.0.1:${port}`),
    start,
    stop,
    cut,
    reset() {
      for (const pair of [...pairs]) {
        pairs.delete(pair);
        pair[0].resetAndDestroy();
        pair[1].destroy();
      }
    },
    answer(matching, make) {
      answering = { matching, make };
      return () => {
        answering = undefined;
      };
    },
    swallow(matching) {
      swallowed = matching;
      return () => {
        swallowed = undefined;
      };
    },
    pause() {
      paused = true;
      for (const pair of pairs) for (const socket of pair) socket.pause();
    },
    resume() {
      paused = false;
      for (const pair of pairs) for (const socket of pair) socket.resume();
    },
    slow(milliseconds) {
      delay = milliseconds;
    },
    sent: (matching) =>
      new Promise((done) => {
        awaited = { matching, done };
      }),
    hold: (matching) =>
      new Promise((done) => {
        holding = { matching, done };
      }),
    loseNextAnswer: (matching = () => true) =>
      new Promise((done) => {
        losing = { matching, done };
      }),
    async close() {
      if (server) await stop();
    },
  };
}

/** Whether bytes to MySQL are a command, which begins a sequence; a handshake does not. */
export const isStatement = (bytes: Buffer): boolean =>
  bytes[3] === 0 && [0x03, 0x16, 0x17].includes(bytes[4] ?? 0);

/** An ERR packet of MySQL's protocol. */
export function mySqlError(errno: number, message = "what a server says"): () => Buffer {
  return () => {
    const text = Buffer.from(`\xff  #${errno < 1200 ? "08S01" : "HY000"}${message}`, "latin1");
    text.writeUInt16LE(errno, 1);
    const head = Buffer.from([0, 0, 0, 1]);
    head.writeUIntLE(text.length, 0, 3);
    return Buffer.concat([head, text]);
  };
}

const COMMANDS = ["find", "aggregate", "insert", "update", "findAndModify", "delete"];

/** Whether bytes to MongoDB are one of the commands that read or change documents, or the one that is named. */
export const isCommand = (bytes: Buffer, only?: string): boolean =>
  (only === undefined ? COMMANDS : [only]).some((name) => bytes.includes(`\x02${name}\0`));

/** An OP_MSG of MongoDB's protocol that answers with a document. */
export const mongoAnswer =
  (document: object) =>
  (request: Buffer): Buffer => {
    const body = serialize(document);
    const head = Buffer.alloc(21);
    head.writeInt32LE(head.length + body.length, 0);
    head.writeInt32LE(1, 4);
    head.writeInt32LE(request.readInt32LE(4), 8);
    head.writeInt32LE(2013, 12);
    return Buffer.concat([head, body]);
  };

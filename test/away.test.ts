/** Databases that cannot be reached when a server starts: what its log and its readiness say, and that it looks later. */
import { afterAll, describe, expect, test } from "bun:test";
import { deserialize, serialize } from "bson";
import { eventually, type Program, type ServerProcess, startProgram, startServer } from "./processes";
import { startProxy } from "./proxy";

const mongodbUri = process.env.MONGODB_URI ?? "";
const databaseUrl = process.env.DATABASE_URL ?? "";
const SECRET = "the-secret-word";
const running = new Set<Program>();
const mongo = await startProxy(mongodbUri);
afterAll(async () => {
  for (const program of running) await program.kill();
  await mongo.close();
});

const serve = async (env: Record<string, string>): Promise<ServerProcess> => {
  const server = await startServer(env);
  running.add(server);
  return server;
};
const readiness = async ({ address }: ServerProcess) => {
  const answer = await fetch(`${address}/health/ready`);
  const { data } = (await answer.json()) as { data: { mongodb: string; why?: string[] } };
  return [answer.status, data.mongodb, ...(data.why ?? [])];
};
const countOf = (server: Program, text: string) => server.output().split(text).length - 1;

/** The document of a message of MongoDB's wire protocol (OP_MSG), or undefined. */
const bodyOf = (bytes: Buffer) =>
  bytes.length > 21 && bytes.readUInt32LE(12) === 2013
    ? (deserialize(bytes.subarray(21), { allowObjectSmallerThanBufferSize: true }) as Record<string, unknown>)
    : undefined;
/** Answers one command in the server's stead, as a server of another kind would. */
const answering = (command: string, document: object) =>
  mongo.answer(
    (bytes) => command in (bodyOf(bytes) ?? {}),
    (asked) => {
      const body = Buffer.from(serialize(document));
      const head = Buffer.alloc(21);
      head.writeUInt32LE(head.length + body.length, 0);
      head.writeUInt32LE(asked.readUInt32LE(4), 8);
      head.writeUInt32LE(2013, 12);
      return Buffer.concat([head, body]);
    },
  );
const withLogin = (uri: string) => {
  const url = new URL(uri);
  url.username = "somebody";
  url.password = SECRET;
  return url.href;
};

describe("MongoDB at the start", () => {
  test("an unknown host: the log says it once, readiness says it, and no secret is in either", async () => {
    const server = await serve({
      MONGODB_URI: `mongodb://somebody:${SECRET}@no-such-host.invalid/aizy?replicaSet=rs0`,
    });
    const why = "MongoDB: the host in MONGODB_URI is not known here";
    await server.line(/the host in MONGODB_URI is not known here; it is tried again/);
    for (let n = 0; n < 3; n++) expect(await readiness(server)).toEqual([503, "down", why]);
    // By the first attempts and by readiness, which was asked three times.
    expect([countOf(server, `${why}; it is tried again`), countOf(server, `not ready: ${why}`)]).toEqual([
      1, 1,
    ]);
    expect(server.output()).not.toContain(SECRET);
    await server.kill("SIGTERM");
  }, 60_000);

  test("a closed port and then a wrong password are told apart", async () => {
    await mongo.stop();
    const server = await serve({ MONGODB_URI: withLogin(mongo.url(mongodbUri)) });
    await server.line(/nothing listens at the address in MONGODB_URI; it is tried again/);
    expect(await readiness(server)).toEqual([
      503,
      "down",
      "MongoDB: nothing listens at the address in MONGODB_URI",
    ]);
    const end = answering("saslStart", {
      ok: 0,
      errmsg: "Authentication failed.",
      code: 18,
      codeName: "AuthenticationFailed",
    });
    await mongo.start();
    await server.line(/MongoDB refuses the user or the password in MONGODB_URI; it is tried again/);
    expect(await readiness(server)).toEqual([
      503,
      "down",
      "MongoDB refuses the user or the password in MONGODB_URI",
    ]);
    expect(server.output()).not.toContain(SECRET);
    await server.kill("SIGTERM");
    // Commands end with the same words.
    for (const words of [["src/db/migrate.ts"], ["src/jobs/jobs.cli.ts"]]) {
      const command = startProgram(words, { MONGODB_URI: withLogin(mongo.url(mongodbUri)) });
      expect([words, await command.ended(), command.output()]).toEqual([
        words,
        1,
        expect.stringMatching(
          /^(\{.*tried again"\}\n)?MongoDB refuses the user or the password in MONGODB_URI\.\n$/,
        ),
      ]);
    }
    end();
  }, 120_000);

  test("one that comes later and cannot be used ends the server, as it would have at the start", async () => {
    const end = answering("buildInfo", { ok: 1, version: "6.0.20" });
    const why = "The server of MONGODB_URI is version 6.0.20; the application needs MongoDB 7 or newer.";
    const first = startProgram(["src/index.ts"], { PORT: "0", MONGODB_URI: mongo.url(mongodbUri) });
    expect([await first.ended(), first.output()]).toEqual([1, `${why}\n`]);
    await mongo.stop();
    const later = await serve({ MONGODB_URI: mongo.url(mongodbUri) });
    await mongo.start();
    expect(await later.ended()).toBe(1);
    expect(later.output()).toContain(`"level":"fatal"`);
    expect(countOf(later, why)).toBe(1);
    end();
  }, 60_000);

  test("one that comes later and can be used is served from then on", async () => {
    await mongo.stop();
    const server = await serve({ MONGODB_URI: mongo.url(mongodbUri) });
    await server.line(/nothing listens/);
    await mongo.start();
    await server.line(/"MongoDB answers"/);
    await eventually(async () => (await readiness(server))[0] === 200, "readiness");
    await server.kill("SIGTERM");
  }, 60_000);
});

describe("MySQL at the start", () => {
  const changed = (parts: Partial<URL>) => Object.assign(new URL(databaseUrl), parts).href;
  test.each([
    ["a wrong password", changed({ password: SECRET }), /refused user "\w+": wrong password or no such/],
    ["a missing database", changed({ pathname: "/nobody_made_it" }), /has no database "nobody_made_it"/],
    [
      "an unknown host",
      changed({ hostname: "no-such-host.invalid" }),
      /The host "no-such-host\.invalid" is not known here \((ENOTFOUND|EAI_AGAIN)\)\. Check DATABASE_URL/,
    ],
    ["a closed port", changed({ port: "1" }), /MySQL does not answer at \S+:1 \(ECONNREFUSED\)/],
  ])("%s ends the start with the reason and without a secret", async (_, url, why) => {
    const server = startProgram(["src/index.ts"], { PORT: "0", DATABASE_URL: url });
    expect(await server.ended()).toBe(1);
    expect(server.output()).toMatch(why);
    expect(server.output()).not.toContain(SECRET);
  });

  test("later: readiness says why, also where the pool only says that it took too long", async () => {
    const mysql = await startProxy(databaseUrl);
    const server = await serve({ DATABASE_URL: mysql.url(databaseUrl) });
    await mysql.stop();
    const read = async () => {
      const answer = await fetch(`${server.address}/health/ready`);
      return ((await answer.json()) as { data: { why?: string[] } }).data.why;
    };
    await eventually(
      async () => Bun.deepEquals(await read(), ["MySQL: nothing listens at the address in DATABASE_URL"]),
      "the reason",
    );
    await mysql.start();
    await eventually(async () => (await read()) === undefined, "the recovery");
    await server.kill("SIGTERM");
    await mysql.close();
  }, 60_000);
});

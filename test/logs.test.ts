/** What a server writes to its log in a run that touches accounts, search, analytics and mail. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { useTestApp } from "./app";
import { eventually, type ServerProcess, startServer } from "./processes";
import { isCommand, isStatement, mongoAnswer, mySqlError, startProxy } from "./proxy";
import { startSmtpServer } from "./smtp";

const t = useTestApp();
let folder: string;
let server: ServerProcess;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "aizy-logs-"));
  server = await startServer({
    LOG_LEVEL: "debug",
    STORAGE_DIR: join(folder, "files"),
    TRUSTED_PROXIES: "127.0.0.0/8,::1",
  });
});
afterAll(async () => {
  await server?.kill("SIGTERM");
  await rm(folder, { recursive: true, force: true });
});

const id = crypto.randomUUID();
const person = {
  email: `zo.${id}@example.com`,
  name: `Zora Quill ${id}`,
  password: `pass word ${id}`,
};
const credentials = { email: person.email, password: person.password };
/** What no line may hold: what people typed, and what opens something. */
const secrets: string[] = [...Object.values(person), "198.51.100.7", "2001:db8::7", `typed-${id}`];

async function call(method: string, path: string, json?: unknown, headers: Record<string, string> = {}) {
  const answer = await fetch(server.address + path, {
    method,
    headers: { "content-type": "application/json", ...headers },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  });
  const text = await answer.text();
  return {
    status: answer.status,
    requestId: answer.headers.get("x-request-id"),
    data: text.startsWith("{") ? JSON.parse(text).data : undefined,
  };
}
// biome-ignore lint/suspicious/noExplicitAny: lines of many shapes.
const lines = (): any[] =>
  server
    .output()
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));

/** Waits for the newest mail to the person, and takes what a pattern finds in it. */
async function mailed(pattern: RegExp): Promise<string> {
  let found: string | undefined;
  await eventually(async () => {
    const { data } = await call("GET", "/dev/mail/messages");
    const mails = data as { to: string; text: string }[];
    found = mails
      .flatMap((mail) => (mail.to === person.email ? [pattern.exec(mail.text)?.[1]] : []))
      .find(Boolean);
    return found !== undefined;
  }, "a mail");
  return found ?? "";
}

test("a request is followed through its jobs and mails by its id", async () => {
  const { status, requestId, data } = await call("POST", "/auth/register", person, {
    "x-forwarded-for": "198.51.100.7",
  });
  expect(status).toBe(202);
  const otp = await mailed(/^(\d{6})$/m);
  secrets.push(otp);
  await call("POST", "/auth/verify-otp", { registrationId: data.registrationId, email: person.email, otp });
  await server.line(/"msg":"job"/);
  const own = () => lines().filter((line) => line.requestId === requestId);
  await eventually(async () => own().length >= 3, "three lines");
  expect(own().map(({ msg, kind, path }) => [msg, kind ?? path])).toEqual(
    expect.arrayContaining([
      ["request", "/auth/register"],
      ["mail sent", undefined],
      ["job", "mail.verification_code"],
    ]),
  );
  expect(new Set(own().map(({ job }) => job)).size).toBe(2);
});

test("a line says who called and from what kind of address", async () => {
  const login = await call("POST", "/auth/login", credentials, { "x-forwarded-for": "2001:db8::7" });
  const { accessToken, refreshToken, user } = login.data;
  secrets.push(accessToken, refreshToken);
  const me = await call("GET", "/api/users/me?x=typed", undefined, {
    authorization: `Bearer ${accessToken}`,
    "x-forwarded-for": "10.1.2.3",
  });
  const plain = await call("GET", `/api/products/search?q=typed-${id}`);
  const of = (requestId: string | null) => lines().find((line) => line.requestId === requestId);
  await eventually(async () => of(plain.requestId) !== undefined, "the last line");
  expect(of(login.requestId)).toMatchObject({ from: "public-v6", status: 200 });
  expect(of(me.requestId)).toMatchObject({ from: "private", userId: user.id, path: "/api/users/me" });
  expect(of(plain.requestId)).toMatchObject({ from: "loopback" });
  expect(of(plain.requestId)).not.toHaveProperty("userId");
});

test("so do lines that something else writes on the way to the answer", async () => {
  const { data } = await call("POST", "/auth/login", credentials);
  const authorization = `Bearer ${data.accessToken}`;
  secrets.push(data.accessToken, data.refreshToken);
  const from = { authorization, "x-forwarded-for": "2001:db8::7" };
  const files = join(folder, "files");
  // A folder that is a file: nothing can be stored.
  await rename(files, `${files}.away`);
  await writeFile(files, "");
  try {
    const picture = new FormData();
    const pixels = { create: { width: 8, height: 8, channels: 3 as const, background: "red" } };
    picture.set("file", new Blob([await sharp(pixels).png().toBuffer()], { type: "image/png" }), "a.png");
    const answer = await fetch(`${server.address}/api/users/me/avatar`, {
      method: "PUT",
      headers: from,
      body: picture,
    });
    expect(answer.status).toBeGreaterThanOrEqual(500);
    const requestId = answer.headers.get("x-request-id");
    const own = () => lines().filter((line) => line.requestId === requestId);
    await eventually(async () => own().some(({ msg }) => msg === "request"), "the last line");
    const seen = { from: "public-v6", userId: data.user.id };
    expect(own().length).toBeGreaterThan(1);
    for (const line of own()) expect(line).toMatchObject(seen);
    // Each says so once: a name that stands twice in a line is read otherwise by each reader.
    for (const line of server
      .output()
      .split("\n")
      .filter((text) => text.includes(`"requestId":"${requestId}"`)))
      expect(line.match(/"requestId":/g)).toHaveLength(1);
  } finally {
    await rm(files);
    await rename(`${files}.away`, files);
  }
});

test("no line holds a secret or what a person typed, also where requests fail", async () => {
  const { data } = await call("POST", "/auth/login", credentials);
  const headers = { authorization: `Bearer ${data.accessToken}` };
  secrets.push(data.accessToken, data.refreshToken, `wrong ${id}`, `token-${id}`);
  await call("POST", "/auth/login", { ...credentials, password: `wrong ${id}` });
  await call("POST", "/auth/register", person);
  await call("GET", "/api/users/me", undefined, { authorization: `Bearer token-${id}` });
  await call("POST", "/auth/forgot-password", { email: person.email });
  const link = await mailed(/#token=(\S+)/);
  secrets.push(link);
  await call("POST", "/auth/reset-password", { token: link, password: `new ${person.password}` });
  await call("POST", "/auth/refresh", { refreshToken: data.refreshToken });
  await call("POST", "/api/users/me/export", { password: person.password }, headers);
  const event = { messageId: id, type: "page", anonymousId: `typed-${id}`, properties: { q: `typed-${id}` } };
  await call("POST", "/api/analytics/events", { batch: [event] });
  const last = await call("POST", "/auth/login", { nonsense: `typed-${id}` });
  await eventually(
    async () => lines().some(({ requestId }) => requestId === last.requestId),
    "the last line",
  );
  const output = server.output();
  expect(secrets.filter((secret) => output.includes(secret))).toEqual([]);
  for (const name of ["JWT_SECRET", "DATA_KEY"]) expect(output).not.toContain(process.env[name] ?? "none");
});

test("mails that development keeps, and stored files, are for their owner alone", async () => {
  const entries = await readdir(join(folder), { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(1);
  for (const entry of files) {
    const { mode } = await stat(join(entry.parentPath, entry.name));
    expect([entry.name, mode & 0o077]).toEqual([entry.name, 0]);
  }
});

test("what databases and mail servers say of a fault is told in codes: in the log, with jobs and in traces", async () => {
  await server.kill("SIGTERM");
  const { databaseUrl, mongodbUri } = t.deps.config;
  const [mysql, mongo, smtp] = await Promise.all([
    startProxy(databaseUrl),
    startProxy(mongodbUri),
    startSmtpServer({ nobody: true }),
  ]);
  let spans = "";
  const collector = Bun.serve({
    port: 0,
    async fetch(request) {
      spans += await request.text();
      return Response.json({});
    },
  });
  server = await startServer({
    LOG_LEVEL: "debug",
    STORAGE_DIR: join(folder, "files"),
    TRUSTED_PROXIES: "127.0.0.0/8,::1",
    DATABASE_URL: mysql.url(databaseUrl),
    MONGODB_URI: mongo.url(mongodbUri),
    SMTP_URL: smtp.url,
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://localhost:${collector.port}`,
  });
  const reasons = async () => {
    const [ofMysql, ofMongo] = [
      await t.deps.mysql.on().job.findMany({ where: { lastError: { not: null } } }),
      await t.deps.mongo.connection
        .collection("jobs")
        .find({ lastError: { $ne: null } })
        .toArray(),
    ];
    return [...ofMysql, ...ofMongo].map(({ lastError }) => lastError);
  };
  const errors = () => lines().flatMap(({ err }) => (err === undefined ? [] : [err]));
  try {
    // A mail server that names the address which it refuses.
    await call("POST", "/auth/forgot-password", { email: person.email });
    await eventually(
      async () => (await reasons()).includes("the mail was not taken at RCPT TO: 550 5.1.1 EENVELOPE"),
      "the mail's failure",
    );

    // A bulk write of which a part fails, as while the leader changes: the driver's error holds the documents.
    const event = {
      messageId: crypto.randomUUID(),
      type: "track",
      event: "Looked",
      anonymousId: `typed-${id}`,
      properties: { q: `typed-${id}` },
    };
    for (const [code, message] of [
      [11602, "interrupted"],
      [121, `Document failed validation: typed-${id}`],
      [11000, `E11000 duplicate key error dup key: { a: "typed-${id}" }`],
    ] as const) {
      const keyValue = { a: `typed-${id}` };
      const end = mongo.answer(
        (bytes) => isCommand(bytes, "insert") || isCommand(bytes, "update"),
        mongoAnswer({
          ok: 1,
          n: 0,
          nModified: 0,
          writeErrors: [{ index: 0, code, errmsg: message, keyValue }],
        }),
      );
      await call("POST", "/api/analytics/events", { batch: [event] });
      end();
    }
    await eventually(async () => errors().some(({ code }) => code === 11602), "the failed write");

    // Texts of MySQL that hold values.
    for (const [errno, message] of [
      [1062, `Duplicate entry '${person.email}' for key 'users.email'`],
      [1366, `Incorrect string value: '${person.name}' for column 'name' at row 1`],
      [1265, `Data truncated for column 'name' at row 1: ${person.name}`],
      [1064, `You have an error in your SQL syntax near '${person.email}' at line 1`],
    ] as const) {
      const end = mysql.answer(isStatement, mySqlError(errno, message));
      await call("POST", "/auth/login", credentials);
      end();
      await eventually(
        async () => server.output().includes(`"originalCode":"${errno}"`),
        `the line about ${errno}`,
      );
    }
  } finally {
    await server.kill("SIGTERM");
    await Promise.all([mysql.close(), mongo.close(), smtp.close(), collector.stop(true)]);
  }
  expect(spans).toContain("error.type");
  for (const [where, text] of [
    ["log", server.output()],
    ["jobs", (await reasons()).join("\n")],
    ["traces", spans],
  ] as const)
    expect([where, secrets.filter((secret) => text.includes(secret))]).toEqual([where, []]);
});

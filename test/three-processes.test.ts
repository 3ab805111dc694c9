/** What must hold once for all processes that share a port: limits, codes, sessions, idempotency keys. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { freePort } from "../local/processes";
import { useTestApp } from "./app";
import { eventually, type Program, startProgram } from "./processes";
import { startSmtpServer } from "./smtp";

const t = useTestApp();
let program: Program;
let address: string;
let smtp: Awaited<ReturnType<typeof startSmtpServer>>;
beforeAll(async () => {
  smtp = await startSmtpServer();
  const port = await freePort();
  program = startProgram(["src/index.ts"], {
    PORT: String(port),
    WEB_CONCURRENCY: "3",
    LOG_LEVEL: "info",
    TRUSTED_PROXIES: "127.0.0.1",
    SMTP_URL: smtp.url,
  });
  await program.line(/all processes listen on/);
  address = `http://127.0.0.1:${port}`;
});
afterAll(async () => {
  await program.kill("SIGTERM");
  await smtp.close();
});

interface Call {
  token?: string;
  from?: string;
  key?: string;
}

/** Asks over a connection of its own, so that the kernel chooses the process anew. */
async function call(method: string, path: string, json?: unknown, { token, from, key }: Call = {}) {
  const answer = await fetch(address + path, {
    method,
    keepalive: false,
    headers: {
      "content-type": "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(from === undefined ? {} : { "x-forwarded-for": from }),
      ...(key === undefined ? {} : { "idempotency-key": key }),
    },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  });
  const text = await answer.text();
  return { status: answer.status, data: text === "" ? undefined : JSON.parse(text).data };
}
type Answered = Awaited<ReturnType<typeof call>>;

const many = (times: number, ask: (n: number) => Promise<Answered>) =>
  Promise.all(Array.from({ length: times }, (_, n) => ask(n)));
const countOf = (answers: Answered[], status: number) =>
  answers.filter((answer) => answer.status === status).length;

test("guesses of a password are counted together, and then the right one is refused by each", async () => {
  const { email, password } = await t.signIn();
  const from = "192.0.2.7";
  const guesses = await many(30, (n) =>
    call("POST", "/auth/login", { email, password: `a wrong one ${n}` }, { from }),
  );
  expect(countOf(guesses, 401) + countOf(guesses, 429)).toBe(30);
  // Ten from one address in 15 minutes: see src/auth/throttle.ts.
  expect(countOf(guesses, 401)).toBeLessThanOrEqual(10);
  const right = await many(12, () => call("POST", "/auth/login", { email, password }, { from }));
  expect(countOf(right, 429)).toBe(12);
  for (const worker of [1, 2, 3])
    expect(program.output()).toMatch(new RegExp(`"worker":${worker},[^\\n]*"path":"/auth/login"`));
});

test("a mailed code works once, wherever it is sent", async () => {
  const email = `three-${crypto.randomUUID()}@example.com`;
  const asked = await call("POST", "/auth/register", {
    email,
    password: "a password of three",
    name: "Three",
  });
  const mail = () => smtp.mails.find(({ to }) => to.includes(email));
  await eventually(async () => mail() !== undefined, "the mail");
  const otp = /^(\d{6})\s*$/m.exec(mail()?.source ?? "")?.[1];
  const proof = { registrationId: asked.data.registrationId, email, otp };
  const answers = await many(12, () => call("POST", "/auth/verify-otp", proof));
  expect(countOf(answers, 200)).toBe(1);
});

test("a session that one process ended is over for all", async () => {
  const { accessToken: token, refreshToken } = await t.signIn();
  expect(countOf(await many(12, () => call("GET", "/api/users/me", undefined, { token })), 200)).toBe(12);
  expect((await call("POST", "/auth/logout", { refreshToken })).status).toBe(204);
  expect(countOf(await many(12, () => call("GET", "/api/users/me", undefined, { token })), 401)).toBe(12);
});

test("one key makes one product, however often and wherever it is sent", async () => {
  const { accessToken: token } = await t.signIn({ roles: ["manager"] });
  const key = crypto.randomUUID();
  const name = `Three ${key}`;
  const ask = () => call("POST", "/api/products", { name, price: 100 }, { token, key });
  // The first one is under way while others come: those are told to come again.
  const first = await many(12, ask);
  expect(countOf(first, 201) + countOf(first, 409)).toBe(12);
  const again = await many(12, ask);
  expect(countOf(again, 201)).toBe(12);
  const ids = [...first, ...again].flatMap(({ status, data }) => (status === 201 ? [data.id] : []));
  expect(new Set(ids).size).toBe(1);
  expect(await t.deps.mongo.connection.collection("products").countDocuments({ name })).toBe(1);
});

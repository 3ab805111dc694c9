/**
 * The rotation of JWT_SECRET and DATA_KEY as docs/operations.md tells it, each step with a copy of the step before
 * and one of the step itself side by side, as in a rolling release: whatever one makes, the other accepts.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reencryptAll } from "../src/auth/mfa/secrets";
import { createVault } from "../src/auth/vault";
import { parseConfig } from "../src/config";
import { MINUTE } from "../src/lib/clock";
import { deriveKey, macOf } from "../src/lib/crypto";
import { useTestApp } from "./app";
import { eventually, type ServerProcess, startServer } from "./processes";
import { codeOf } from "./second-factor";

const t = useTestApp();
const [OLD, NEW] = ["an old secret that is long enough for it", "a new secret, with a comma, long enough"];
const [V1, V2] = [1, 2].map((byte) => `v${byte}:${Buffer.alloc(32, byte).toString("base64")}`);
/** What is set before the rotation and at each of its steps. */
const STEPS: Record<string, string>[] = [
  { JWT_SECRET: OLD, DATA_KEY: `${V1}` },
  { JWT_SECRET: OLD, JWT_SECRET_NEXT: NEW, DATA_KEY: `${V1},${V2}` },
  { JWT_SECRET: NEW, JWT_SECRET_PREVIOUS: OLD, DATA_KEY: `${V2},${V1}` },
  { JWT_SECRET: NEW, DATA_KEY: `${V2}` },
];
const PASSWORD = "a password of the rotation";
let folder: string;
const running = new Set<ServerProcess>();
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "aizy-rotation-"));
});
afterAll(async () => {
  await Promise.all([...running].map((server) => server.kill("SIGTERM")));
  await rm(folder, { recursive: true, force: true });
}, 60_000);

async function start(step: number): Promise<ServerProcess> {
  const unset = { JWT_SECRET_NEXT: "", JWT_SECRET_PREVIOUS: "" };
  const server = await startServer({ ...unset, ...STEPS[step], STORAGE_DIR: join(folder, "files") });
  running.add(server);
  return server;
}
async function stop(server: ServerProcess): Promise<void> {
  await server.kill("SIGTERM");
  running.delete(server);
}

async function call(server: ServerProcess, method: string, path: string, json?: unknown, token?: string) {
  const answer = await fetch(server.address + path, {
    method,
    headers: {
      "content-type": "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  });
  const body = await answer.text();
  const { data, page } = body.startsWith("{") ? JSON.parse(body) : {};
  return { status: answer.status, retryAfter: answer.headers.get("retry-after"), data, page, body };
}
/** As `call`, for what must succeed. */
async function done(server: ServerProcess, method: string, path: string, json?: unknown, token?: string) {
  const answer = await call(server, method, path, json, token);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
  return answer;
}
const signIn = async (server: ServerProcess, email: string, extra: object = {}) =>
  (await done(server, "POST", "/auth/login", { email, password: PASSWORD, ...extra })).data;
const refresh = async (server: ServerProcess, refreshToken: string) =>
  (await done(server, "POST", "/auth/refresh", { refreshToken })).data;
const me = (server: ServerProcess, token: string) => done(server, "GET", "/api/users/me", undefined, token);

/** Waits for the newest mail to someone that matches; whichever copy sends it. */
async function mailed(server: ServerProcess, to: string, pattern: RegExp): Promise<string> {
  let found: string | undefined;
  await eventually(async () => {
    const { data } = await call(server, "GET", "/dev/mail/messages");
    const mails = data as { to: string; text: string }[];
    found = mails.flatMap((mail) => (mail.to === to ? [pattern.exec(mail.text)?.[1]] : [])).find(Boolean);
    return found !== undefined;
  }, `the mail to ${to}`);
  return found ?? "";
}

/** Registers at one copy and proves the address at the other. */
async function register(x: ServerProcess, y: ServerProcess): Promise<string> {
  const email = `rotation-${crypto.randomUUID()}@example.com`;
  const { data } = await done(x, "POST", "/auth/register", { email, password: PASSWORD, name: "Rotation" });
  const otp = await mailed(y, email, /^(\d{6})$/m);
  await done(y, "POST", "/auth/verify-otp", { registrationId: data.registrationId, email, otp });
  return email;
}

/** Everything that comes from JWT_SECRET, made at `x` and used at `y`. */
async function crossTokens(x: ServerProcess, y: ServerProcess): Promise<void> {
  const email = await register(x, y);
  const made = await signIn(x, email);
  await me(y, made.accessToken);
  const refreshed = await refresh(y, made.refreshToken);
  await me(x, (await refresh(x, refreshed.refreshToken)).accessToken);

  const known = await signIn(y, email, { deviceToken: made.deviceToken });
  const entry = await t.deps.mysql.on().auditEntry.findFirst({
    where: { action: "sign_in.succeeded", subjectUserId: known.user.id },
    orderBy: { at: "desc" },
  });
  expect(entry?.detail).toMatchObject({ knownDevice: true });

  const { page } = await done(x, "GET", "/auth/sessions?limit=1", undefined, known.accessToken);
  const next = `/auth/sessions?limit=1&cursor=${page.nextCursor}`;
  expect((await done(y, "GET", next, undefined, known.accessToken)).data).toHaveLength(1);

  await done(x, "POST", "/auth/forgot-password", { email });
  const token = await mailed(x, email, /#token=(\S+)/);
  await done(y, "POST", "/auth/reset-password", { token, password: PASSWORD });
}

/** A second factor that is enrolled at `x`, confirmed at `y`, and asked for at `x` and answered at `y`. */
async function crossFactor(x: ServerProcess, y: ServerProcess): Promise<{ email: string; secret: string }> {
  const email = await register(x, y);
  const { accessToken } = await signIn(x, email);
  const enrolled = await done(x, "POST", "/auth/mfa/enrol", { password: PASSWORD }, accessToken);
  const { secret } = enrolled.data;
  // One step early and one late are taken too, each once: so no test waits for the next.
  const now = new Date();
  await done(y, "POST", "/auth/mfa/confirm", { code: codeOf(secret, now, -1) }, accessToken);
  const { challenge } = await signIn(x, email);
  const json = { challenge, method: "totp", code: codeOf(secret, now) };
  await done(y, "POST", "/auth/mfa/challenge", json);
  return { email, secret };
}

/** An API key as the version before made it: nothing but an HMAC under a key derived from JWT_SECRET. */
async function formerKey(userId: string, secret: string): Promise<string> {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  const id = t.deps.random.id();
  await t.deps.mysql.on().apiKey.create({
    data: {
      id,
      userId,
      name: "Former",
      secretHash: macOf(deriveKey(secret, "api-key"), bytes),
      permissions: ["inventory:read"],
      createdAt: new Date(),
      expiresAt: new Date(Date.now() + 60 * MINUTE),
    },
  });
  return `aizy_${id.replaceAll("-", "")}_${Buffer.from(bytes).toString("base64url")}`;
}
const useKey = async (server: ServerProcess, key: string) =>
  (await call(server, "GET", "/api/products/inventory/levels", undefined, key)).status;

test("nobody is signed out at any step, and API keys outlive both secrets", async () => {
  const owner = await t.signIn({ roles: ["manager"], password: PASSWORD });
  const [used, unused] = [await formerKey(owner.id, OLD), await formerKey(owner.id, OLD)];
  let before = await start(0);
  let session = await signIn(before, owner.email);
  const keys = [used];
  for (const step of [1, 2, 3]) {
    const after = await start(step);
    // Of whoever came before: at the copy of the step, at the one before it, and back.
    for (const server of [after, before, after]) session = await refresh(server, session.refreshToken);
    for (const server of [before, after]) await me(server, session.accessToken);
    for (const [x, y] of [
      [before, after],
      [after, before],
    ] as const) {
      await crossTokens(x, y);
      await crossFactor(x, y);
      const json = { name: `Step ${step}`, permissions: ["inventory:read"], password: PASSWORD };
      const { data } = await done(x, "POST", "/auth/api-keys", json, session.accessToken);
      keys.push(data.key);
    }
    for (const key of keys) {
      for (const server of [before, after]) expect(await useKey(server, key)).toBe(200);
    }
    await stop(before);
    before = after;
    if (step === 2) {
      // The night after: nothing is under the former key any more, so that it can be taken away.
      const vault = createVault(parseConfig({ ...process.env, ...STEPS[2] }).dataKeys, t.deps.random);
      const left = await reencryptAll({ ...t.deps, vault }, new AbortController().signal);
      expect(left).toEqual({ sealed: expect.any(Number), left: 0, why: undefined });
    }
  }
  // First used when both secrets of its time are gone.
  for (let i = 0; i < 2; i++) expect(await useKey(before, unused)).toBe(200);
  expect(await useKey(before, `${unused.slice(0, -2)}AA`)).toBe(401);
  const rows = await t.deps.mysql.on().apiKey.findMany({ where: { userId: owner.id } });
  expect(rows.filter(({ secretDigest }) => secretDigest === null)).toEqual([]);
  // It would mail codes that no copy with the former keys accepts.
  await stop(before);
}, 600_000);

test("a copy that has not the key of a secret answers 503 and says so in its log; other ways in stay", async () => {
  const former = await start(0);
  // Before the other is there: it would mail a code that this one does not accept.
  const email = await register(former, former);
  const ahead = await start(3);
  const { accessToken } = await signIn(former, email);
  const { secret } = (await done(former, "POST", "/auth/mfa/enrol", { password: PASSWORD }, accessToken))
    .data;
  const now = new Date();
  const confirm = { code: codeOf(secret, now, -1) };
  const { backupCodes } = (await done(former, "POST", "/auth/mfa/confirm", confirm, accessToken)).data;
  const { challenge } = await signIn(ahead, email);
  const answer = { challenge, method: "totp", code: codeOf(secret, now) };
  const refused = await call(ahead, "POST", "/auth/mfa/challenge", answer);
  expect([refused.status, refused.retryAfter]).toEqual([503, "10"]);
  expect(refused.body).not.toContain("DATA_KEY");
  await ahead.line(/DATA_KEY holds no key v1/);
  const other = { challenge, method: "backup_code", code: backupCodes[0] };
  await done(ahead, "POST", "/auth/mfa/challenge", other);
  // Nothing was used up.
  const again = { ...answer, challenge: (await signIn(former, email)).challenge };
  await done(former, "POST", "/auth/mfa/challenge", again);
  await Promise.all([stop(former), stop(ahead)]);
}, 300_000);

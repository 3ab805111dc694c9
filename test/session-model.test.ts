/**
 * Random sequences of register, sign in, refresh, replay, sign out, end, change of password, ban and reads
 * against two processes on one MySQL, held against a model of what must be so. AIZY_LONG=1 runs many more.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { REFRESH_GRACE } from "../src/auth/rules";
import { useTestApp } from "./app";
import { eventually, type ServerProcess, startServer } from "./processes";

const t = useTestApp();
const LONG = process.env.AIZY_LONG === "1";
/** Close to the end of the grace either answer is right: the processes read the clock a little later. */
const MARGIN = 3000;

let servers: ServerProcess[] = [];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "aizy-model-"));
  const env = { STORAGE_DIR: join(folder, "files"), TRUSTED_PROXIES: "127.0.0.1,::1", LOG_LEVEL: "info" };
  servers = await Promise.all([startServer(env), startServer(env)]);
}, 60_000);
afterAll(async () => {
  await Promise.all(servers.map((server) => server.kill("SIGTERM")));
  await rm(folder, { recursive: true, force: true });
}, 60_000);

interface Session {
  person: Person;
  id: string;
  /** Every refresh token and access token that it was given, in order. */
  refreshTokens: string[];
  accessTokens: string[];
  rotatedAt: number;
  live: boolean;
}
interface Person {
  email: string;
  password: string;
  banned: boolean;
}
interface Model {
  persons: Person[];
  sessions: Session[];
}

let addresses = 0;
let emails = 0;
/** A request to one of the processes, each from an address of its own, so that no limit is in the way. */
async function call(process: number, method: string, path: string, json?: unknown, token?: string) {
  const n = addresses++;
  const answer = await fetch(`${servers[process]?.address}${path}`, {
    method,
    headers: {
      "x-forwarded-for": `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`,
      ...(json === undefined ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  });
  const text = await answer.text();
  return { status: answer.status, data: text === "" ? undefined : JSON.parse(text).data };
}

const pick = <T>(list: T[], n: number): T | undefined => list[n % Math.max(1, list.length)];
const good = (session: Session) => session.live && !session.person.banned;
const end = (model: Model, which: (session: Session) => boolean) => {
  for (const session of model.sessions) if (which(session)) session.live = false;
};
const token = (session: Session) => session.accessTokens.at(-1) ?? "";

type Step = (model: Model, process: number, a: number, b: number) => Promise<void>;

const steps: Record<string, Step> = {
  async register(model, process, a) {
    if (model.persons.length >= 3) return;
    const person = { email: `model-${++emails}@example.com`, password: `password ${a}`, banned: false };
    const json = { email: person.email, password: person.password, name: "Model" };
    const { data } = await call(process, "POST", "/auth/register", json);
    let otp: string | undefined;
    await eventually(async () => {
      const box = await call(1 - process, "GET", "/dev/mail/messages");
      const mail = (box.data as { to: string; text: string }[]).find(({ to }) => to === person.email);
      otp = /^\d{6}$/m.exec(mail?.text ?? "")?.[0];
      return otp !== undefined;
    }, "the mail with the code");
    expect(
      (await call(process, "POST", "/auth/login", { email: person.email, password: person.password })).status,
    ).toBe(401);
    const proof = { registrationId: data.registrationId, email: person.email, otp };
    expect((await call(1 - process, "POST", "/auth/verify-otp", proof)).status).toBe(200);
    model.persons.push(person);
  },

  async signIn(model, process, a, b) {
    const person = pick(model.persons, a);
    if (!person) return;
    const right = b % 4 !== 0;
    const json = { email: person.email, password: right ? person.password : "wrong password" };
    const { status, data } = await call(process, "POST", "/auth/login", json);
    expect(status).toBe(right && !person.banned ? 200 : 401);
    if (status !== 200) return;
    model.sessions.push({
      person,
      id: data.refreshToken.split(".")[0],
      refreshTokens: [data.refreshToken],
      accessTokens: [data.accessToken],
      rotatedAt: Date.now(),
      live: true,
    });
  },

  /** Any refresh token that a session ever had, mostly the last ones. */
  async refresh(model, process, a, b) {
    const session = pick(model.sessions, a);
    if (!session) return;
    const age = Math.min([0, 0, 0, 1, 1, 2, 3, 5][b % 8] ?? 0, session.refreshTokens.length - 1);
    const given = session.refreshTokens.at(-1 - age) ?? "";
    const since = Date.now() - session.rotatedAt;
    if (age === 1 && Math.abs(since - REFRESH_GRACE) < MARGIN) return;
    const { status, data } = await call(process, "POST", "/auth/refresh", { refreshToken: given });
    const fits = age === 0 || (age === 1 && since < REFRESH_GRACE);
    expect(status).toBe(good(session) && fits ? 200 : 401);
    if (status === 200) {
      session.accessTokens.push(data.accessToken);
      if (age === 1) expect(data.refreshToken).toBe(session.refreshTokens.at(-1));
      else {
        expect(session.refreshTokens).not.toContain(data.refreshToken);
        session.refreshTokens.push(data.refreshToken);
        session.rotatedAt = Date.now();
      }
    } else if (good(session)) session.live = false;
  },

  /** Many tabs of one session on both processes at once. */
  async refreshAtOnce(model, _process, a) {
    const session = pick(model.sessions, a);
    if (!session) return;
    const json = { refreshToken: session.refreshTokens.at(-1) };
    const answers = await Promise.all([0, 1, 0, 1, 0].map((p) => call(p, "POST", "/auth/refresh", json)));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(good(session) ? 200 : 401));
    if (!good(session)) return;
    const successors = new Set(answers.map(({ data }) => data.refreshToken as string));
    expect(successors.size).toBe(1);
    session.refreshTokens.push(...successors);
    session.accessTokens.push(answers[0]?.data.accessToken);
    session.rotatedAt = Date.now();
  },

  /** Any access token that a session ever had. */
  async read(model, process, a, b) {
    const session = pick(model.sessions, a);
    if (!session) return;
    const given = pick(session.accessTokens, b);
    const { status } = await call(process, "GET", "/api/users/me", undefined, given);
    expect(status).toBe(good(session) ? 200 : 401);
  },

  async list(model, process, a) {
    const session = pick(model.sessions, a);
    if (!session || !good(session)) return;
    const { data } = await call(process, "GET", "/auth/sessions?limit=100", undefined, token(session));
    const ids = (data as { id: string }[]).map(({ id }) => id).sort();
    const own = model.sessions.filter(({ person, live }) => person === session.person && live);
    expect(ids).toEqual(own.map(({ id }) => id).sort());
  },

  async signOut(model, process, a) {
    const session = pick(model.sessions, a);
    if (!session) return;
    const { status } = await call(process, "POST", "/auth/logout", undefined, token(session));
    expect(status).toBe(good(session) ? 204 : 401);
    session.live = false;
  },

  async endOne(model, process, a, b) {
    const [by, target] = [pick(model.sessions, a), pick(model.sessions, b)];
    if (!by || !target) return;
    const { status } = await call(process, "DELETE", `/auth/sessions/${target.id}`, undefined, token(by));
    const own = by.person === target.person;
    expect(status).toBe(!good(by) ? 401 : own ? 204 : 404);
    if (status === 204) target.live = false;
  },

  async endOthers(model, process, a) {
    const by = pick(model.sessions, a);
    if (!by) return;
    const { status } = await call(process, "DELETE", "/auth/sessions", undefined, token(by));
    expect(status).toBe(good(by) ? 200 : 401);
    if (status === 200) end(model, (session) => session.person === by.person && session !== by);
  },

  async changePassword(model, process, a, b) {
    const by = pick(model.sessions, a);
    if (!by) return;
    const json = { currentPassword: by.person.password, newPassword: `new password ${b}` };
    const { status } = await call(process, "POST", "/auth/change-password", json, token(by));
    expect(status).toBe(good(by) ? 204 : 401);
    if (status !== 204) return;
    by.person.password = json.newPassword;
    end(model, (session) => session.person === by.person && session !== by);
  },

  async banOrUnban(model, _process, a) {
    const person = pick(model.persons, a);
    if (!person) return;
    const now = new Date();
    person.banned = !person.banned;
    const user = await t.deps.users.findByEmail(person.email);
    const id = user?.id ?? "";
    await t.deps.mysql.transaction(async (tx) => {
      await t.deps.mysql
        .on(tx)
        .user.update({ where: { id }, data: { bannedAt: person.banned ? now : null } });
      if (person.banned) await t.deps.auth.endSessions(id, { reason: "banned", now }, tx);
    });
    if (person.banned) end(model, (session) => session.person === person);
  },
};

class Command implements fc.AsyncCommand<Model, null> {
  constructor(
    readonly name: string,
    readonly process: number,
    readonly a: number,
    readonly b: number,
  ) {}
  check = () => true;
  run = async (model: Model) => steps[this.name]?.(model, this.process, this.a, this.b);
  toString = () => `${this.name}(process ${this.process}, ${this.a}, ${this.b})`;
}

test(
  "two processes and the model never disagree",
  async () => {
    // What makes a state is tried more often than what ends it.
    const names = [
      "register",
      "signIn",
      "signIn",
      "signIn",
      "refresh",
      "refresh",
      "refresh",
      "refresh",
      "read",
    ];
    const name = fc.constantFrom(...names, ...Object.keys(steps));
    const command = fc.tuple(name, fc.nat(1), fc.nat(63), fc.nat(63)).map((parts) => new Command(...parts));
    const open = [
      new Command("register", 0, 1, 0),
      new Command("register", 1, 2, 0),
      new Command("signIn", 0, 0, 1),
    ];
    await fc.assert(
      fc.asyncProperty(fc.commands([command], { maxCommands: 40, size: "max" }), async (commands) => {
        const model: Model = { persons: [], sessions: [] };
        await fc.asyncModelRun(() => ({ model, real: null }), open);
        await fc.asyncModelRun(() => ({ model, real: null }), commands);
        // At the end every token ever given answers as the model says, on both processes.
        for (const session of model.sessions) {
          const asked = session.accessTokens
            .slice(-3)
            .flatMap((given) => [0, 1].map((p) => [p, given] as const));
          const answers = await Promise.all(
            asked.map(([p, given]) => call(p, "GET", "/api/users/me", undefined, given)),
          );
          for (const { status } of answers) expect(status).toBe(good(session) ? 200 : 401);
        }
      }),
      { numRuns: LONG ? 60 : 4, endOnFailure: !LONG },
    );
  },
  LONG ? 900_000 : 120_000,
);

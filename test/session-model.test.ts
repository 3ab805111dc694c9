/**
 * Random sequences of register, sign in, second factor, refresh, replay, sign out, end, change of password, ban
 * and reads against two processes on one MySQL, held against a model of what must be so. AIZY_LONG=1 runs many
 * more.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { CHALLENGE_TTL, MAX_CODE_FAILURES, REFRESH_GRACE } from "../src/auth/rules";
import { useTestApp } from "./app";
import { eventually, type ServerProcess, startServer } from "./processes";
import { codeOf } from "./second-factor";

const t = useTestApp();
const LONG = process.env.AIZY_LONG === "1";
/** Close to the end of the grace either answer is right: the processes read the clock a little later. */
const MARGIN = 3000;

let servers: ServerProcess[] = [];
let folder: string;
/** A key of an administrator: a session of theirs would end before a long run does. */
let administrator: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "aizy-model-"));
  const env = { STORAGE_DIR: join(folder, "files"), TRUSTED_PROXIES: "127.0.0.1,::1", LOG_LEVEL: "info" };
  servers = await Promise.all([startServer(env), startServer(env)]);
  const { accessToken, password } = await t.signIn({ roles: ["admin"] });
  const json = { name: "Model", permissions: ["users:write"], password };
  const made = await t.request("/auth/api-keys", { method: "POST", json, token: accessToken });
  administrator = (await made.json()).data.key;
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
  /** The newest rotation of which something was used: its parent was not lost. */
  seen: number;
  live: boolean;
}
interface Person {
  email: string;
  password: string;
  banned: boolean;
  /** Grows whenever all sessions are ended at once: challenges of before are over. */
  epoch: number;
  factor: Factor | undefined;
}
interface Factor {
  secret: string;
  /** The time step of the last code that was taken. */
  lastStep: number;
  backupCodes: string[];
  usedCodes: string[];
}
/** A right password whose second factor is still owed. */
interface Challenge {
  person: Person;
  token: string;
  epoch: number;
  at: number;
  /** Answers so far, and whether one of them opened a session. */
  tries: number;
  used: boolean;
}
interface Model {
  persons: Person[];
  sessions: Session[];
  challenges: Challenge[];
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
      ...(method === "PATCH" ? { "if-match": "*" } : {}),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  });
  const text = await answer.text();
  return { status: answer.status, data: text === "" ? undefined : JSON.parse(text).data };
}

const pick = <T>(list: T[], n: number): T | undefined => list[n % Math.max(1, list.length)];
const idOf = async ({ email }: Person) => (await t.deps.users.findByEmail(email))?.id ?? "";
const good = (session: Session) => session.live && !session.person.banned;
const end = (model: Model, which: (session: Session) => boolean) => {
  for (const session of model.sessions) if (which(session)) session.live = false;
};
const open = (model: Model, person: Person, { refreshToken, accessToken }: Record<string, string>) =>
  model.sessions.push({
    person,
    id: refreshToken?.split(".")[0] ?? "",
    refreshTokens: [refreshToken ?? ""],
    accessTokens: [accessToken ?? ""],
    rotatedAt: Date.now(),
    seen: 0,
    live: true,
  });
const alive = ({ person, epoch, at, tries, used }: Challenge) =>
  !used &&
  tries < MAX_CODE_FAILURES &&
  !person.banned &&
  epoch === person.epoch &&
  Date.now() - at < CHALLENGE_TTL;
const STEP = 30_000;
/** The code of a time step, and of a backup code that is none. */
const codeAt = ({ secret }: Factor, step: number) => codeOf(secret, new Date(step * STEP));
const NO_CODE = "0000-0000-0000";

/** What may be answered to a challenge: right, wrong, used; and what is right is used up by it. */
function choose(factor: Factor, kind: number): { method: string; code: string; right: boolean } {
  const [unused] = factor.backupCodes;
  const [used] = factor.usedCodes;
  const step = Math.floor(Date.now() / STEP);
  const next = Math.max(factor.lastStep + 1, step);
  // The processes read the clock a little later, so the present code and the next one are always taken.
  if (kind === 0 && next <= step + 1) {
    factor.lastStep = next;
    return { method: "totp", code: codeAt(factor, next), right: true };
  }
  if (kind <= 1) return { method: "totp", code: codeAt(factor, factor.lastStep), right: false };
  if (kind === 2 && unused !== undefined) {
    factor.backupCodes.shift();
    factor.usedCodes.push(unused);
    return { method: "backup_code", code: unused, right: true };
  }
  return { method: "backup_code", code: kind === 3 ? (used ?? NO_CODE) : NO_CODE, right: false };
}

/** The newest access token of a session, about to be used. */
const token = (session: Session) => {
  see(session, session.accessTokens.at(-1));
  return session.accessTokens.at(-1) ?? "";
};
const see = (session: Session, accessToken: string | undefined) => {
  if (!good(session)) return;
  const { jti } = JSON.parse(Buffer.from(accessToken?.split(".")[1] ?? "", "base64url").toString());
  session.seen = Math.max(session.seen, Number(jti.split(".")[1]));
};

type Step = (model: Model, process: number, a: number, b: number) => Promise<void>;

const steps: Record<string, Step> = {
  async register(model, process, a) {
    if (model.persons.length >= 3) return;
    const person = { email: `model-${++emails}@example.com`, password: `password ${a}` };
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
    model.persons.push({ ...person, banned: false, epoch: 0, factor: undefined });
  },

  async signIn(model, process, a, b) {
    const person = pick(model.persons, a);
    if (!person) return;
    const right = b % 4 !== 0;
    const json = { email: person.email, password: right ? person.password : "wrong password" };
    const { status, data } = await call(process, "POST", "/auth/login", json);
    expect(status).toBe(!right || person.banned ? 401 : person.factor ? 202 : 200);
    if (status === 200) open(model, person, data);
    if (status !== 202) return;
    model.challenges.push({
      person,
      token: data.challenge,
      epoch: person.epoch,
      at: Date.now(),
      tries: 0,
      used: false,
    });
  },

  /** An app enrolled at one process and confirmed at the other. */
  async enrol(model, process, a) {
    const session = pick(model.sessions, a);
    if (!session || session.person.factor) return;
    const { password } = session.person;
    const enrolled = await call(process, "POST", "/auth/mfa/enrol", { password }, token(session));
    expect(enrolled.status).toBe(good(session) ? 201 : 401);
    if (enrolled.status !== 201) return;
    const { secret } = enrolled.data;
    const lastStep = Math.floor(Date.now() / STEP);
    const code = codeOf(secret, new Date(lastStep * STEP));
    const confirmed = await call(1 - process, "POST", "/auth/mfa/confirm", { code }, token(session));
    expect(confirmed.status).toBe(200);
    session.person.factor = { secret, lastStep, backupCodes: confirmed.data.backupCodes, usedCodes: [] };
  },

  async disable(model, process, a) {
    const session = pick(model.sessions, a);
    const factor = session?.person.factor;
    const code = factor?.backupCodes[0];
    if (!session || !factor || code === undefined) return;
    const json = { password: session.person.password, factor: { method: "backup_code", code } };
    const { status } = await call(process, "POST", "/auth/mfa/disable", json, token(session));
    expect(status).toBe(good(session) ? 204 : 401);
    if (status === 204) session.person.factor = undefined;
  },

  /** Any challenge that was ever given, mostly the last ones, with a code of any kind. */
  async answer(model, process, a, b) {
    const challenge = model.challenges.at(-1 - (a % Math.min(4, model.challenges.length || 1)));
    if (!challenge) return;
    if (Math.abs(Date.now() - challenge.at - CHALLENGE_TTL) < MARGIN) return;
    const { person } = challenge;
    const live = alive(challenge);
    // A challenge that is over uses nothing up.
    const factor = live ? person.factor : person.factor && structuredClone(person.factor);
    const { right, ...given } = factor
      ? choose(factor, [0, 0, 1, 2, 2, 3, 4][b % 7] ?? 0)
      : { method: "totp", code: "123456", right: false };
    const json = { challenge: challenge.token, ...given };
    const { status, data } = await call(process, "POST", "/auth/mfa/challenge", json);
    expect(status).toBe(!live ? 401 : right ? 200 : 422);
    // Counted also when the account has changed: what is over for one reason may be over for another.
    challenge.tries++;
    if (status !== 200) return;
    challenge.used = true;
    open(model, person, data);
  },

  /** One code on both processes at once: one session. */
  async answerAtOnce(model, _process, a, b) {
    const challenge = model.challenges.at(-1);
    const factor = challenge?.person.factor;
    if (!challenge || !factor || !alive(challenge)) return;
    const { right, ...given } = choose(factor, b % 2 === 0 ? 0 : 2);
    const json = { challenge: challenge.token, ...given };
    const answers = await Promise.all(
      [0, 1, 0, 1, a % 2].map((p) => call(p, "POST", "/auth/mfa/challenge", json)),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(right ? 1 : 0);
    expect(statuses.every((status) => [200, 401, 422].includes(status))).toBe(true);
    challenge.tries += answers.length;
    const won = answers.find(({ status }) => status === 200);
    if (!won) return;
    challenge.used = true;
    open(model, challenge.person, won.data);
  },

  /** Any refresh token that a session ever had, mostly the last ones. */
  async refresh(model, process, a, b) {
    const session = pick(model.sessions, a);
    if (!session) return;
    const age = Math.min([0, 0, 0, 1, 1, 2, 3, 5][b % 8] ?? 0, session.refreshTokens.length - 1);
    const given = session.refreshTokens.at(-1 - age) ?? "";
    const since = Date.now() - session.rotatedAt;
    const lost = session.seen < session.refreshTokens.length - 1;
    if (age === 1 && !lost && Math.abs(since - REFRESH_GRACE) < MARGIN) return;
    const { status, data } = await call(process, "POST", "/auth/refresh", { refreshToken: given });
    const fits = age === 0 || (age === 1 && (lost || since < REFRESH_GRACE));
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
    see(session, given);
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

  async signOut(model, process, a, b) {
    const session = pick(model.sessions, a);
    if (!session) return;
    const given = pick(session.accessTokens, b);
    expect((await call(process, "POST", "/auth/logout", undefined, given)).status).toBe(204);
    session.live = false;
  },

  /** By any refresh token that a session ever had, and the access token of another: both end. */
  async signOutTwo(model, process, a, b) {
    const [one, other] = [pick(model.sessions, a), pick(model.sessions, b)];
    if (!one || !other) return;
    const json = { refreshToken: pick(one.refreshTokens, b) };
    expect((await call(process, "POST", "/auth/logout", json, token(other))).status).toBe(204);
    one.live = false;
    other.live = false;
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
    if (status !== 200) return;
    by.person.epoch++;
    end(model, (session) => session.person === by.person && session !== by);
  },

  async changePassword(model, process, a, b) {
    const by = pick(model.sessions, a);
    if (!by) return;
    const json = { currentPassword: by.person.password, newPassword: `new password ${b}` };
    const { status } = await call(process, "POST", "/auth/change-password", json, token(by));
    expect(status).toBe(good(by) ? 204 : 401);
    if (status !== 204) return;
    by.person.password = json.newPassword;
    by.person.epoch++;
    end(model, (session) => session.person === by.person && session !== by);
  },

  async banOrUnban(model, process, a) {
    const person = pick(model.persons, a);
    if (!person) return;
    person.banned = !person.banned;
    const json = { ban: person.banned ? { reason: "model" } : null };
    const path = `/api/users/${await idOf(person)}`;
    expect((await call(process, "PATCH", path, json, administrator)).status).toBe(200);
    if (!person.banned) return;
    person.epoch++;
    end(model, (session) => session.person === person);
  },

  async administratorEnds(model, process, a) {
    const person = pick(model.persons, a);
    if (!person) return;
    const open = model.sessions.filter((session) => session.person === person && session.live);
    const path = `/api/users/${await idOf(person)}/sessions`;
    const { status, data } = await call(process, "DELETE", path, undefined, administrator);
    expect([status, data]).toEqual([200, { ended: open.length }]);
    person.epoch++;
    end(model, (session) => session.person === person);
  },
};

/** Somebody new with a factor, and a challenge of theirs. */
async function owing(): Promise<Challenge> {
  const model: Model = { persons: [], sessions: [], challenges: [] };
  await steps.register?.(model, 0, 1, 0);
  await steps.signIn?.(model, 0, 0, 1);
  await steps.enrol?.(model, 1, 0, 0);
  await steps.signIn?.(model, 0, 0, 1);
  return model.challenges[0] as Challenge;
}

test.each([
  ["of the app", 0],
  ["on paper", 2],
])(
  "a code %s, answered 20 times at once on two processes, opens one session",
  async (_, kind) => {
    const { person, token: challenge } = await owing();
    const { right, ...given } = choose(person.factor as Factor, kind);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        call(i % 2, "POST", "/auth/mfa/challenge", { challenge, ...given }),
      ),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(right).toBe(true);
    expect(statuses[0]).toBe(200);
    for (const status of statuses.slice(1)) expect([401, 422]).toContain(status);
  },
  120_000,
);

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
      "answer",
      "answer",
    ];
    const name = fc.constantFrom(...names, ...Object.keys(steps));
    const command = fc.tuple(name, fc.nat(1), fc.nat(63), fc.nat(63)).map((parts) => new Command(...parts));
    const beginning = [
      new Command("register", 0, 1, 0),
      new Command("register", 1, 2, 0),
      new Command("signIn", 0, 0, 1),
      new Command("signIn", 1, 1, 1),
      new Command("enrol", 1, 1, 0),
      new Command("signIn", 0, 1, 1),
      new Command("answerAtOnce", 0, 0, 0),
      new Command("signIn", 1, 1, 1),
      new Command("answerAtOnce", 1, 1, 1),
      new Command("signIn", 0, 1, 1),
    ];
    await fc.assert(
      fc.asyncProperty(fc.commands([command], { maxCommands: 40, size: "max" }), async (commands) => {
        const model: Model = { persons: [], sessions: [], challenges: [] };
        await fc.asyncModelRun(() => ({ model, real: null }), beginning);
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

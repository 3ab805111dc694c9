import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { DAY, HOUR, MINUTE, SECOND } from "../lib/clock";
import type { SessionEndReason } from "./sessions.store";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp();
beforeEach(() => {
  t.mails.length = 0;
});

const ORIGIN = "http://localhost:3000";
const post = (path: string, json: unknown, headers: Record<string, string> = {}, token?: string) =>
  t.request(`/auth/${path}`, { method: "POST", json, headers, token });
const me = async (token: string) => (await t.request("/api/users/me", { token })).status;
const refresh = (refreshToken: string) => post("refresh", { refreshToken });
const sidOf = (person: SignedInPerson) => person.refreshToken.split(".")[0] ?? "";
const again = async ({ email, password }: SignedInPerson) =>
  (await (await post("login", { email, password })).json()).data as {
    accessToken: string;
    refreshToken: string;
    deviceToken: string;
  };
const end = (person: SignedInPerson, reason: SessionEndReason) =>
  t.deps.mysql.transaction((tx) =>
    t.deps.sessions.endAll(person.id, { reason, now: t.deps.clock.now() }, tx),
  );
const ban = (person: SignedInPerson) =>
  t.deps.mysql.on().user.update({ where: { id: person.id }, data: { bannedAt: t.deps.clock.now() } });

describe("refresh", () => {
  test("rotates; the immediate parent gives the same successor for ten seconds and no longer", async () => {
    const person = await t.signIn();
    const first = (await (await refresh(person.refreshToken)).json()).data;
    expect(first.refreshToken).not.toBe(person.refreshToken);
    expect(await me(first.accessToken)).toBe(200);
    t.clock.advance(10 * SECOND);
    const repeated = await refresh(person.refreshToken);
    expect((await repeated.json()).data.refreshToken).toBe(first.refreshToken);
    t.clock.advance(1);
    expect((await refresh(person.refreshToken)).status).toBe(401);
    expect((await refresh(first.refreshToken)).status).toBe(401);
    expect(await me(first.accessToken)).toBe(401);
  });

  test("one whose answer was lost is repeated hours later, again and again, and gets the same successor", async () => {
    const person = await t.signIn();
    const lost = (await (await refresh(person.refreshToken)).json()).data;
    for (const wait of [12 * SECOND, 2 * HOUR, DAY]) {
      t.clock.advance(wait);
      const repeated = await refresh(person.refreshToken);
      expect(repeated.status).toBe(200);
      expect((await repeated.json()).data.refreshToken).toBe(lost.refreshToken);
    }
    const next = (await (await refresh(lost.refreshToken)).json()).data;
    expect(await me(next.accessToken)).toBe(200);
    // The old one is two behind by now.
    expect((await refresh(person.refreshToken)).status).toBe(401);
    expect(await me(next.accessToken)).toBe(401);
  });

  test.each(["access token", "refresh token"])(
    "theft is found once the %s of the successor was used: the session ends and its owner gets a mail",
    async (used) => {
      const person = await t.signIn();
      const thief = (await (await refresh(person.refreshToken)).json()).data;
      if (used === "access token") expect(await me(thief.accessToken)).toBe(200);
      else expect((await refresh(thief.refreshToken)).status).toBe(200);
      t.clock.advance(12 * SECOND);
      const answers = await Promise.all([refresh(person.refreshToken), refresh(person.refreshToken)]);
      expect(answers.map(({ status }) => status)).toEqual([401, 401]);
      expect(await me(thief.accessToken)).toBe(401);
      expect((await refresh(thief.refreshToken)).status).toBe(401);
      await t.runner.runDue();
      const notices = t.mails.filter(({ to }) => to === person.email);
      expect(notices.map(({ subject }) => subject)).toEqual(["A sign-in of yours was ended"]);
    },
  );

  test("two who share a stolen token are found out whoever comes first, at the latest at the next turn", async () => {
    const person = await t.signIn();
    // Both were given the same successor, since neither used it before.
    const one = (await (await refresh(person.refreshToken)).json()).data;
    t.clock.advance(MINUTE);
    const other = (await (await refresh(person.refreshToken)).json()).data;
    expect(other.refreshToken).toBe(one.refreshToken);
    const ahead = (await (await refresh(one.refreshToken)).json()).data;
    expect(await me(ahead.accessToken)).toBe(200);
    t.clock.advance(15 * MINUTE);
    expect((await refresh(other.refreshToken)).status).toBe(401);
    expect((await refresh(ahead.refreshToken)).status).toBe(401);
  });

  test("twenty tabs at once get one successor and nobody is signed out", async () => {
    const person = await t.signIn();
    const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(person.refreshToken)));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    const tokens = await Promise.all(answers.map(async (answer) => (await answer.json()).data));
    expect(new Set(tokens.map(({ refreshToken }) => refreshToken)).size).toBe(1);
    expect((await t.deps.sessions.find(sidOf(person)))?.refreshCounter).toBe(1);
    for (const { accessToken } of tokens) expect(await me(accessToken)).toBe(200);
    expect((await refresh(tokens[0].refreshToken)).status).toBe(200);
  });

  test("an older one ends the family, and the person sees why", async () => {
    const person = await t.signIn();
    const elsewhere = await again(person);
    const first = (await (await refresh(person.refreshToken)).json()).data;
    const second = (await (await refresh(first.refreshToken)).json()).data;
    const reused = await refresh(person.refreshToken);
    expect(reused.status).toBe(401);
    expect((await refresh(second.refreshToken)).status).toBe(401);
    expect(await me(second.accessToken)).toBe(401);
    expect(await me(elsewhere.accessToken)).toBe(200);
    const list = await t.request("/auth/sessions?state=ended", { token: elsewhere.accessToken });
    expect((await list.json()).data).toEqual([
      expect.objectContaining({
        id: sidOf(person),
        endReason: "refresh_reuse",
        endDetail: "its refresh token was used twice, from 127.0.0.1",
      }),
    ]);
  });

  test("ends after seven days without use and thirty in all", async () => {
    const idle = await t.signIn();
    t.clock.advance(7 * DAY);
    expect((await refresh(idle.refreshToken)).status).toBe(401);
    const person = await t.signIn();
    let token = person.refreshToken;
    for (let day = 6; day < 30; day += 6) {
      t.clock.advance(6 * DAY);
      token = (await (await refresh(token)).json()).data.refreshToken;
    }
    t.clock.advance(6 * DAY - 1);
    const last = (await (await refresh(token)).json()).data;
    expect(await me(last.accessToken)).toBe(200);
    t.clock.advance(1);
    expect(await me(last.accessToken)).toBe(401);
    expect((await refresh(last.refreshToken)).status).toBe(401);
  });

  test("an administrator's after one hour without use and 24 in all", async () => {
    const idle = await t.signIn({ roles: ["admin"] });
    t.clock.advance(HOUR);
    expect((await refresh(idle.refreshToken)).status).toBe(401);
    const person = await t.signIn({ roles: ["admin"] });
    let token = person.refreshToken;
    for (let i = 0; i < 26; i++) {
      t.clock.advance(55 * MINUTE);
      token = (await (await refresh(token)).json()).data.refreshToken;
    }
    t.clock.advance(10 * MINUTE);
    expect((await refresh(token)).status).toBe(401);
  });

  test("who becomes an administrator gets an administrator's limits", async () => {
    const person = await t.signIn();
    t.clock.advance(2 * HOUR);
    const { accessToken } = (await (await refresh(person.refreshToken)).json()).data;
    await t.deps.roles.grantNamed(person.id, "admin", t.deps.clock.now());
    expect(await me(accessToken)).toBe(200);
    t.clock.advance(HOUR);
    expect((await refresh(person.refreshToken)).status).toBe(401);
  });

  test("after reuse, sign-out, ban, reset and deletion: one and the same 401", async () => {
    const reused = await t.signIn();
    const successor = (await (await refresh(reused.refreshToken)).json()).data;
    await refresh(successor.refreshToken);
    await refresh(reused.refreshToken);
    const out = await t.signIn();
    await post("logout", undefined, {}, out.accessToken);
    const banned = await t.signIn();
    await ban(banned);
    const reset = await t.signIn();
    await end(reset, "password_reset");
    const deleted = await t.signIn();
    await t.deps.mysql.on().user.update({ where: { id: deleted.id }, data: { deletedAt: new Date() } });
    const bodies = new Set<string>();
    for (const token of [
      ...[reused, out, banned, reset, deleted].map(({ refreshToken }) => refreshToken),
      "nonsense",
      `${t.deps.random.id()}.0.${"A".repeat(43)}`,
      t.deps.tokens.refresh(t.deps.random.id(), 0),
    ]) {
      const answer = await refresh(token);
      expect(answer.status).toBe(401);
      const { requestId: _, ...body } = await answer.json();
      bodies.add(JSON.stringify(body));
    }
    expect(bodies.size).toBe(1);
    for (const { accessToken } of [reused, out, banned, reset, deleted])
      expect(await me(accessToken)).toBe(401);
  });

  test("nothing usable lies in the database", async () => {
    const person = await t.signIn();
    const row = JSON.stringify(await t.deps.sessions.find(sidOf(person)));
    expect(row).not.toContain(person.refreshToken.split(".")[2] ?? "");
    expect(row).not.toContain(person.accessToken);
  });

  test("a counter that was never given is refused and ends nothing", async () => {
    const person = await t.signIn();
    const [id = "", , mac = ""] = person.refreshToken.split(".");
    for (const counter of ["1", "-1", "00", "0x0", "1e0", "999999999999"]) {
      expect((await refresh(`${id}.${counter}.${mac}`)).status).toBe(401);
    }
    expect((await refresh(person.refreshToken)).status).toBe(200);
  });
});

describe("a sign-in that races with the end of all sessions", () => {
  test("cannot leave a session behind", async () => {
    for (let round = 0; round < 5; round++) {
      const person = await t.signIn();
      const [logins] = await Promise.all([
        Promise.all(Array.from({ length: 4 }, () => post("login", person, {}).then(({ status }) => status))),
        ban(person).then(() => end(person, "banned")),
      ]);
      expect(logins.every((status) => [200, 401, 422].includes(status))).toBe(true);
      const open = await t.deps.mysql.on().session.count({ where: { userId: person.id, endedAt: null } });
      expect(open).toBe(0);
    }
  });

  test("a challenge from before is refused after", async () => {
    const person = await t.signIn();
    const user = await t.deps.users.findById(person.id);
    const { completeSignIn } = await import("./complete-sign-in");
    const claims = { userId: person.id, epoch: user?.authEpoch ?? 0, deviceId: null };
    const origin = { ip: "127.0.0.1", userAgent: "test" };
    expect((await completeSignIn(t.deps, claims, "totp", origin)).user.id).toBe(person.id);
    await end(person, "password_reset");
    expect(completeSignIn(t.deps, claims, "totp", origin)).rejects.toThrow("unauthenticated");
  });
});

describe("browsers", () => {
  const browser = { origin: ORIGIN };
  const cookiesOf = (answer: Response) => answer.headers.getSetCookie();
  const pair = (cookies: string[]) => cookies.map((cookie) => cookie.split(";")[0]).join("; ");

  test("get the refresh token as an HttpOnly SameSite cookie and not in the body", async () => {
    const { email, password } = await t.signIn();
    const answer = await post("login", { email, password }, browser);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const body = (await answer.json()).data;
    expect(body.refreshToken).toBeUndefined();
    expect(body.deviceToken).toBeUndefined();
    const cookies = cookiesOf(answer);
    expect(cookies).toHaveLength(2);
    for (const cookie of cookies) expect(cookie).toMatch(/; Path=\/auth.*; HttpOnly; SameSite=Strict/);
    const refreshed = await post("refresh", {}, { ...browser, cookie: pair(cookies) });
    expect(refreshed.status).toBe(200);
    expect(pair(cookiesOf(refreshed))).toStartWith("aizy_refresh=");
    const { accessToken } = (await refreshed.json()).data;
    const out = await post("logout", undefined, { ...browser, cookie: pair(cookies) }, accessToken);
    expect(out.status).toBe(204);
    expect(cookiesOf(out)[0]).toMatch(/^aizy_refresh=;.*Max-Age=0/);
  });

  test("tabs whose requests and answers overtake each other keep the session; a cookie that is two steps behind ends it", async () => {
    const { email, password } = await t.signIn();
    const [first = "", device = ""] = cookiesOf(await post("login", { email, password }, browser)).map(
      (cookie) => cookie.split(";")[0],
    );
    const refreshWith = async (cookie: string) => {
      const answer = await post("refresh", {}, { ...browser, cookie: `${cookie}; ${device}` });
      return { status: answer.status, cookie: cookiesOf(answer)[0]?.split(";")[0] ?? "" };
    };
    const { cookie: second } = await refreshWith(first);
    expect(second).not.toBe(first);
    // Another tab begins with the new one while a third is still under way with the old one, in any order.
    for (const cookie of [second, first, second, second, first])
      expect(await refreshWith(cookie)).toEqual({ status: 200, cookie: second });
    t.clock.advance(10 * SECOND + 1);
    const { cookie: third } = await refreshWith(second);
    expect([first, second]).not.toContain(third);
    expect(await refreshWith(second)).toEqual({ status: 200, cookie: third });
    expect((await refreshWith(first)).status).toBe(401);
    expect((await refreshWith(third)).status).toBe(401);
  });

  test("a cookie without an Origin, or from a foreign page, does nothing", async () => {
    const { email, password } = await t.signIn();
    const cookie = pair(cookiesOf(await post("login", { email, password }, browser)));
    expect((await post("refresh", {}, { cookie })).status).toBe(401);
    for (const origin of ["https://evil.example", "null", "http://localhost:3000.evil.example", "file://"]) {
      const answer = await post("refresh", {}, { cookie, origin });
      expect([origin, answer.status]).toEqual([origin, 403]);
      expect((await answer.json()).code).toBe("origin_not_allowed");
      expect((await post("login", { email, password }, { origin })).status).toBe(403);
    }
    expect((await post("refresh", {}, { cookie, ...browser })).status).toBe(200);
  });
});

describe("signing out", () => {
  const browser = { origin: ORIGIN };
  const live = async (sessionId: string) => (await t.deps.sessions.find(sessionId))?.endedAt === null;
  const out = async ({
    body,
    token,
    headers,
  }: {
    body?: unknown;
    token?: string;
    headers?: Record<string, string>;
  } = {}) => {
    const answer = await post("logout", body, headers, token);
    return { status: answer.status, cookies: answer.headers.getSetCookie() };
  };
  /** A person signed in in a browser: its session, and what the browser sends and holds. */
  const inBrowser = async (person: SignedInPerson) => {
    const answer = await post("login", { email: person.email, password: person.password }, browser);
    const cookies = answer.headers.getSetCookie();
    const cookie = cookies.map((one) => one.split(";")[0]).join("; ");
    const { accessToken } = (await answer.json()).data;
    const sessionId = /aizy_refresh=([0-9a-f-]{36})/.exec(cookie)?.[1] ?? "";
    return { sessionId, cookie, cookies, accessToken, headers: { ...browser, cookie } };
  };

  test("after idle minutes at a shared computer: the cookie alone ends the session and is taken back", async () => {
    const person = await t.signIn();
    const { sessionId, headers, cookies, accessToken } = await inBrowser(person);
    t.clock.advance(16 * MINUTE);
    expect(await me(accessToken)).toBe(401);
    const answer = await out({ headers });
    expect(answer.status).toBe(204);
    const attributes = (cookie: string) =>
      cookie
        .split("; ")
        .slice(1)
        .filter((attribute) => !/^(Max-Age|Expires)=/.test(attribute))
        .sort();
    expect(answer.cookies).toEqual([expect.stringMatching(/^aizy_refresh=;.*Max-Age=0/)]);
    expect(attributes(answer.cookies[0] ?? "")).toEqual(attributes(cookies[0] ?? ""));
    expect(await live(sessionId)).toBe(false);
    expect((await post("refresh", {}, headers)).status).toBe(401);
    const row = await t.deps.sessions.find(sessionId);
    expect(row?.endReason).toBe("signed_out");
    expect(await live(sidOf(person))).toBe(true);
  });

  test.each(["access", "dead access", "refresh", "parent", "grandparent"])(
    "by the %s token alone",
    async (kind) => {
      const person = await t.signIn();
      const first = (await (await refresh(person.refreshToken)).json()).data;
      const second = (await (await refresh(first.refreshToken)).json()).data;
      if (kind === "dead access") t.clock.advance(DAY);
      const tokens = new Map([
        ["refresh", second],
        ["parent", first],
        ["grandparent", person],
      ]);
      const refreshToken = tokens.get(kind)?.refreshToken;
      const given = refreshToken ? { body: { refreshToken } } : { token: second.accessToken };
      expect((await out(given)).status).toBe(204);
      expect(await live(sidOf(person))).toBe(false);
      expect((await out(given)).status).toBe(204);
      const entries = await t.deps.mysql.on().auditEntry.findMany({ where: { subjectUserId: person.id } });
      expect(entries.filter(({ action }) => action === "session.signed_out")).toHaveLength(1);
    },
  );

  test("with nothing, or with what is no token of ours, is 204 and ends nothing", async () => {
    const person = await t.signIn();
    const [id = "", counter = "", mac = ""] = person.refreshToken.split(".");
    const [head = "", body = "", signature = ""] = person.accessToken.split(".");
    const bodies = [
      undefined,
      {},
      { refreshToken: null },
      ...[
        "",
        "x",
        `${id}.${Number(counter) + 1}.${mac}`,
        `${id}.${counter}.${"A".repeat(43)}`,
        "x".repeat(100_000),
      ].map((refreshToken) => ({ refreshToken })),
      { refreshToken: person.accessToken },
    ];
    for (const one of bodies) expect((await out({ body: one })).status).toBe(204);
    const forged = Buffer.from(JSON.stringify({ sid: id, sub: person.id })).toString("base64url");
    for (const token of [
      "x",
      "a.b.c",
      `${head}.${forged}.${signature}`,
      `${head}.${body}.`,
      person.refreshToken,
    ]) {
      expect((await out({ token })).status).toBe(204);
    }
    for (const authorization of ["Bearer", "Basic eDp4", `Bearer ${"a".repeat(5000)}`]) {
      expect((await out({ headers: { authorization } })).status).toBe(204);
    }
    const named = { "content-type": "application/json" };
    expect((await t.request("/auth/logout", { method: "POST", headers: named })).status).toBe(204);
    const empty = { method: "POST", headers: { ...named, "content-length": "0" }, body: "" };
    expect((await t.request("/auth/logout", empty)).status).toBe(204);
    expect(await live(id)).toBe(true);
    expect(await me(person.accessToken)).toBe(200);
  });

  test("ends the sessions of the cookie, of the body and of the access token, whosever they are", async () => {
    const [ann, ben, cem] = [await t.signIn(), await t.signIn(), await t.signIn()];
    const { sessionId, headers } = await inBrowser(ann);
    const body = { refreshToken: ben.refreshToken };
    expect((await out({ body, headers, token: cem.accessToken })).status).toBe(204);
    expect(await Promise.all([sessionId, sidOf(ben), sidOf(cem)].map(live))).toEqual([false, false, false]);
    expect(await live(sidOf(ann))).toBe(true);
    for (const [person, session] of [
      [ann, sessionId],
      [ben, sidOf(ben)],
      [cem, sidOf(cem)],
    ] as const) {
      const entry = await t.deps.mysql.on().auditEntry.findFirst({
        where: { action: "session.signed_out", subjectUserId: person.id },
      });
      expect(entry).toMatchObject({ actorId: person.id, detail: { sessionId: session } });
    }
  });

  test("a foreign page cannot make a browser sign out; without an Origin the cookie ends nothing", async () => {
    const person = await t.signIn();
    const { sessionId, cookie } = await inBrowser(person);
    for (const origin of ["https://evil.example", "null"]) {
      const answer = await out({ headers: { cookie, origin } });
      expect([answer.status, answer.cookies]).toEqual([403, []]);
    }
    const { status, cookies } = await out({ headers: { cookie } });
    expect([status, cookies.length]).toEqual([204, 1]);
    expect(await live(sessionId)).toBe(true);
  });

  test("twenty times at once ends it once", async () => {
    const person = await t.signIn();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => out({ body: { refreshToken: person.refreshToken } })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(204));
    const where = { action: "session.signed_out", subjectUserId: person.id };
    expect(await t.deps.mysql.on().auditEntry.count({ where })).toBe(1);
  });
});

describe("sessions", () => {
  test("are listed with device, place, first and last use and which is this one, in pages", async () => {
    const person = await t.signIn();
    const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
    for (let i = 0; i < 4; i++) {
      t.clock.advance(1);
      await post("login", { email: person.email, password: person.password }, { "user-agent": firefox });
    }
    const first = await (await t.request("/auth/sessions?limit=3", { token: person.accessToken })).json();
    expect(first.page.hasMore).toBe(true);
    expect(first.data[0]).toMatchObject({
      device: "Firefox on Linux",
      ip: "127.0.0.1",
      current: false,
      endedAt: null,
    });
    const rest = `/auth/sessions?limit=3&cursor=${first.page.nextCursor}`;
    const second = await (await t.request(rest, { token: person.accessToken })).json();
    expect(second.data.map(({ current }: { current: boolean }) => current)).toEqual([false, true]);
    expect(second.page).toEqual({ nextCursor: null, hasMore: false });
    const foreign = await t.signIn();
    expect((await t.request(rest, { token: foreign.accessToken })).status).toBe(400);
  });

  test("end one, end the others; another person's is 404", async () => {
    const person = await t.signIn();
    const [a, b, c] = [await again(person), await again(person), await again(person)];
    const stranger = await t.signIn();
    const remove = async (id: string, token: string) =>
      (await t.request(`/auth/sessions/${id}`, { method: "DELETE", token })).status;
    expect(await remove(sidOf(person), stranger.accessToken)).toBe(404);
    expect(await remove("nonsense", person.accessToken)).toBe(404);
    expect(await remove(t.deps.random.id(), person.accessToken)).toBe(404);
    expect(await me(person.accessToken)).toBe(200);
    expect(await remove(a.refreshToken.split(".")[0] ?? "", person.accessToken)).toBe(204);
    expect(await me(a.accessToken)).toBe(401);
    expect(await me(b.accessToken)).toBe(200);
    const others = await t.request("/auth/sessions", { method: "DELETE", token: person.accessToken });
    expect((await others.json()).data).toEqual({ ended: 2 });
    expect(await me(b.accessToken)).toBe(401);
    expect(await me(c.accessToken)).toBe(401);
    expect(await me(person.accessToken)).toBe(200);
    expect(await me(stranger.accessToken)).toBe(200);
  });

  test("the last use is written at most once a minute", async () => {
    const person = await t.signIn();
    const lastUsed = async () => (await t.deps.sessions.find(sidOf(person)))?.lastUsedAt.getTime();
    const start = await lastUsed();
    t.clock.advance(59 * SECOND);
    await me(person.accessToken);
    expect(await lastUsed()).toBe(start);
    t.clock.advance(2 * SECOND);
    await Promise.all([me(person.accessToken), me(person.accessToken)]);
    expect(await lastUsed()).toBe(t.clock.now().getTime());
  });

  test("a sign-in from a device never seen is told of by mail, one from a known device is not", async () => {
    const person = await t.signIn();
    await t.runner.runDue();
    t.mails.length = 0;
    const { deviceToken } = await again(person);
    await t.runner.runDue();
    expect(t.mails).toEqual([]);
    const login = (body: object) =>
      post(
        "login",
        { email: person.email, password: person.password, ...body },
        { "user-agent": "curl/8.0" },
      );
    expect((await login({ deviceToken })).status).toBe(200);
    await t.runner.runDue();
    expect(t.mails).toEqual([]);
    const stranger = await t.signIn();
    expect(
      (
        await post(
          "login",
          { email: stranger.email, password: stranger.password },
          { "user-agent": "<b>x/1" },
        )
      ).status,
    ).toBe(200);
    await t.runner.runDue();
    expect(t.mails).toEqual([
      expect.objectContaining({ to: stranger.email, subject: "New sign-in to your account" }),
    ]);
    expect(t.mails[0]?.html).not.toContain("<b>x");
  });
});

describe("callers of one moment", () => {
  test("are each who they are; a session that ended meanwhile ends for its owner alone", async () => {
    const people = await Promise.all(Array.from({ length: 9 }, (_, n) => t.signIn({ name: `Person ${n}` })));
    const ask = () =>
      Promise.all(
        [...people, ...people].map(async ({ accessToken }) => {
          const answer = await t.request("/api/users/me", { token: accessToken });
          const { data } = (await answer.json()) as { data?: { id: string } };
          return data?.id ?? answer.status;
        }),
      );
    const ids = people.map(({ id }) => id);
    expect(await ask()).toEqual([...ids, ...ids]);
    const [first, second, third] = people as [SignedInPerson, SignedInPerson, SignedInPerson];
    await end(first, "ended_by_user");
    await ban(second);
    const left = ids.map((id, index) => (index < 2 ? 401 : id));
    expect(await ask()).toEqual([...left, ...left]);
    // A token that names somebody else's session is nobody's, however good the session is for its owner.
    const { token } = await t.deps.tokens.access(first.id, sidOf(third), `${t.deps.random.id()}.0`);
    expect(await Promise.all([me(token), me(third.accessToken), me(token)])).toEqual([401, 200, 401]);
  });
});

describe("change of the password", () => {
  const change = (person: { accessToken: string }, currentPassword: unknown, newPassword: unknown) =>
    post("change-password", { currentPassword, newPassword }, {}, person.accessToken);

  test("asks the current one, keeps this session, ends the others, tells by mail", async () => {
    const person = await t.signIn();
    const other = await again(person);
    expect((await change(person, "not the password", "a new password")).status).toBe(401);
    expect((await change(person, person.password, "short")).status).toBe(422);
    expect((await change(person, person.password, person.email)).status).toBe(422);
    expect((await change({ accessToken: "" }, person.password, "a new password")).status).toBe(401);
    expect((await change(person, person.password, "a new password")).status).toBe(204);
    expect(await me(person.accessToken)).toBe(200);
    expect((await refresh(person.refreshToken)).status).toBe(200);
    expect(await me(other.accessToken)).toBe(401);
    expect((await post("login", { email: person.email, password: person.password })).status).toBe(401);
    expect((await post("login", { email: person.email, password: "a new password" })).status).toBe(200);
    await t.runner.runDue();
    expect(t.mails.map(({ subject }) => subject)).toEqual(["Your password was changed"]);
  });

  test("ten at once with the right current one: one takes", async () => {
    const person = await t.signIn();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => change(person, person.password, `new password ${i}`)),
    );
    const taken = answers.flatMap(({ status }, i) => (status === 204 ? [i] : []));
    expect(taken).toHaveLength(1);
    const password = `new password ${taken[0]}`;
    expect((await post("login", { email: person.email, password })).status).toBe(200);
  });
});

describe("recovery", () => {
  const forgot = (email: string, headers = {}) => post("forgot-password", { email }, headers);
  const linkTo = async (email: string) => {
    await t.runner.runDue();
    return /(\S+)#token=(\S+)/.exec(t.mails.filter(({ to }) => to === email).at(-1)?.text ?? "");
  };
  const reset = async (token: unknown, password = "the new password") =>
    (await post("reset-password", { token, password })).status;

  test("a link from the configured origin, good once; every session ends and the owner is told", async () => {
    const person = await t.signIn();
    const headers = { host: "evil.example", "x-forwarded-host": "evil.example" };
    expect((await forgot(person.email.toUpperCase(), headers)).status).toBe(202);
    const [, page, token] = (await linkTo(person.email)) ?? [];
    expect(page).toBe(`${t.deps.config.appUrl}/reset-password`);
    expect(t.mails[0]?.html).not.toContain("evil.example");
    expect(await reset(token, "12345678")).toBe(422);
    const statuses = await Promise.all(Array.from({ length: 10 }, () => reset(token)));
    expect(statuses.sort()).toEqual([204, ...Array(9).fill(422)]);
    expect(await me(person.accessToken)).toBe(401);
    expect((await refresh(person.refreshToken)).status).toBe(401);
    expect((await post("login", { email: person.email, password: person.password })).status).toBe(401);
    expect((await post("login", { email: person.email, password: "the new password" })).status).toBe(200);
    await t.runner.runDue();
    expect(t.mails.at(-1)?.subject).toBe("Your password was reset");
  });

  test("a used link takes the other links with it; a link ends after 30 minutes", async () => {
    const person = await t.signIn();
    await forgot(person.email);
    const first = (await linkTo(person.email))?.[2];
    await forgot(person.email);
    const second = (await linkTo(person.email))?.[2];
    expect(await reset(first)).toBe(204);
    expect(await reset(second)).toBe(422);
    await forgot(person.email);
    const third = (await linkTo(person.email))?.[2];
    t.clock.advance(30 * MINUTE);
    expect(await reset(third)).toBe(422);
  });

  test("unknown, unverified and banned addresses get the same answer and no link", async () => {
    const banned = await t.signIn();
    await ban(banned);
    await post("register", { email: "pending@example.com", password: "correct horse", name: "P" });
    await t.runner.runDue();
    t.mails.length = 0;
    for (const email of ["nobody@example.com", "pending@example.com", banned.email]) {
      const answer = await forgot(email);
      expect([answer.status, await answer.json()]).toEqual([202, { data: { expiresIn: 1800 } }]);
    }
    await t.runner.runDue();
    expect(t.mails).toEqual([]);
  });

  test("malformed and foreign tokens are 422, objects too", async () => {
    const person = await t.signIn();
    const registered = await post("register", {
      email: "x@example.com",
      password: "correct horse",
      name: "X",
    });
    const { registrationId } = (await registered.json()).data;
    for (const token of [
      "",
      "x",
      { $ne: null },
      null,
      `${registrationId}.${"A".repeat(43)}`,
      person.refreshToken,
      person.accessToken.slice(0, 200),
    ]) {
      expect(await reset(token)).toBe(422);
    }
  });
});

describe("hostile text", () => {
  test("never ends in a 500", async () => {
    const person = await t.signIn();
    const { token } = { token: person.accessToken };
    for (const id of ["%C3%A9", "%F0%9F%A6%8A", "%00", "%27%20OR%201=1", "x".repeat(5000), "%ED%A0%80"]) {
      const answer = await t.request(`/auth/sessions/${id}`, { method: "DELETE", token });
      expect([id.slice(0, 20), answer.status]).toEqual([id.slice(0, 20), 404]);
    }
    for (const query of [
      "limit=0",
      "limit=1e9",
      "limit=x",
      "state=all&state=ended",
      "cursor=%00",
      "x[$ne]=1",
    ]) {
      const { status } = await t.request(`/auth/sessions?${query}`, { token });
      expect([query, status >= 400 && status < 500]).toEqual([query, true]);
    }
    let i = 0;
    for (const text of [
      "\ud800lone",
      "a\u0000b",
      "\u202eback",
      "🦊".repeat(200),
      "é".repeat(200),
      "\ufeff",
      "A'; --",
    ]) {
      const json = { email: `hostile-${i++}@example.com`, password: `${text} password`, name: text };
      const { status } = await post("register", json);
      expect([text.slice(0, 10), status === 202 || status === 422]).toEqual([text.slice(0, 10), true]);
      const login = { email: person.email, password: text };
      expect((await post("login", login)).status).toBe(text.isWellFormed() ? 401 : 422);
    }
    const headers = { "user-agent": `é${"x".repeat(2000)}` };
    expect((await post("login", { email: person.email, password: person.password }, headers)).status).toBe(
      200,
    );
  });

  test("bodies that are no JSON object are 4xx", async () => {
    for (const body of [
      "null",
      "[]",
      "1",
      '"x"',
      "{",
      "",
      '{"email":"a@example.com","email":{"$ne":1}}',
      "[".repeat(10_000),
    ]) {
      for (const path of [
        "login",
        "register",
        "refresh",
        "verify-otp",
        "forgot-password",
        "reset-password",
      ]) {
        const init = { method: "POST", body, headers: { "content-type": "application/json" } };
        const { status } = await t.request(`/auth/${path}`, init);
        expect([path, body.slice(0, 10), status >= 400 && status < 500]).toEqual([
          path,
          body.slice(0, 10),
          true,
        ]);
      }
    }
  });
});

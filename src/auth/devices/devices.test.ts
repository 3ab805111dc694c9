import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { DAY, MINUTE } from "../../lib/clock";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp(() => ({ trustedProxies: ["127.0.0.1"] }));
beforeEach(() => {
  t.mails.length = 0;
});

const ORIGIN = "http://localhost:3000";
let addresses = 0;
const call = (
  method: string,
  path: string,
  { json, token, headers = {} }: { json?: unknown; token?: string; headers?: Record<string, string> } = {},
) =>
  t.request(`/auth/${path}`, {
    method,
    ...(json === undefined ? {} : { json }),
    ...(token === undefined ? {} : { token }),
    headers: { "x-forwarded-for": `10.3.${addresses >> 8}.${addresses++ & 255}`, ...headers },
  });
const signIn = async ({ email, password }: Pick<SignedInPerson, "email" | "password">, extra: object = {}) =>
  (await (await call("POST", "login", { json: { email, password, ...extra } })).json()).data as {
    accessToken: string;
    deviceToken: string;
  };
const list = async (token: string) =>
  (await (await call("GET", "devices", { token })).json()).data as { id: string; current: boolean }[];
/** True when the token makes its device a known one: strangers wait behind a ceiling that it passes. */
const isKnown = async (person: Pick<SignedInPerson, "email" | "password">, deviceToken: string) => {
  for (let i = 0; i < 100; i++) {
    const guesser = { account: person.email, ip: `198.51.100.${i % 10}` };
    await t.deps.throttle.guess("password", guesser, async () => null).catch(() => null);
  }
  const json = { email: person.email, password: person.password, deviceToken };
  return (await call("POST", "login", { json })).status === 200;
};
const resetToken = async (email: string) => {
  await call("POST", "forgot-password", { json: { email } });
  await t.runner.runDue();
  return /#token=(\S+)/.exec(t.mails.findLast(({ to }) => to === email)?.text ?? "")?.[1];
};

describe("known devices", () => {
  test("are listed with name, place and time, the last used first, in pages, each once", async () => {
    const person = await t.signIn();
    const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
    t.clock.advance(MINUTE);
    const headers = { "user-agent": firefox, "x-forwarded-for": "192.0.2.7" };
    const json = { email: person.email, password: person.password };
    const { accessToken, deviceToken } = (await (await call("POST", "login", { json, headers })).json()).data;
    t.clock.advance(MINUTE);
    await signIn(person, { deviceToken });
    const first = await (await call("GET", "devices?limit=1", { token: accessToken })).json();
    expect(first.data).toEqual([
      expect.objectContaining({ current: true, lastUsedAt: t.clock.now().toISOString() }),
    ]);
    const rest = await call("GET", `devices?limit=1&cursor=${first.page.nextCursor}`, { token: accessToken });
    const second = await rest.json();
    expect(second.data).toEqual([expect.objectContaining({ current: false })]);
    expect(second.page).toEqual({ nextCursor: null, hasMore: false });
    const stranger = await t.signIn();
    expect(
      (
        await call("GET", `devices?limit=1&cursor=${first.page.nextCursor}`, {
          token: stranger.accessToken,
        })
      ).status,
    ).toBe(400);
    t.clock.advance(181 * DAY);
    expect(await list((await signIn(person)).accessToken)).toHaveLength(1);
  });

  test("one that is forgotten is a stranger's from then on; its session goes on, another sign-in is a new one", async () => {
    const person = await t.signIn();
    const phone = await signIn(person);
    const [own] = (await list(phone.accessToken)).filter(({ current }) => current);
    const stranger = await t.signIn();
    const forget = (id: string, token: string) => call("DELETE", `devices/${id}`, { token });
    expect((await forget(own?.id ?? "", stranger.accessToken)).status).toBe(404);
    expect((await forget("nonsense", person.accessToken)).status).toBe(404);
    expect((await forget(own?.id ?? "", person.accessToken)).status).toBe(204);
    expect((await forget(own?.id ?? "", person.accessToken)).status).toBe(404);
    expect((await list(person.accessToken)).map(({ id }) => id)).not.toContain(own?.id ?? "");
    expect((await t.request("/api/users/me", { token: phone.accessToken })).status).toBe(200);
    const again = await signIn(person, { deviceToken: phone.deviceToken });
    const [fresh] = (await list(again.accessToken)).filter(({ current }) => current);
    expect(fresh?.id).not.toBe(own?.id ?? "");
    expect(await isKnown(person, phone.deviceToken)).toBe(false);
    expect(await isKnown(person, again.deviceToken)).toBe(true);
  });

  test("all but this one are forgotten at once, alone or with all other sessions", async () => {
    for (const path of ["devices", "sessions?forgetDevices=true"]) {
      const person = await t.signIn();
      const [mine, lost] = [await signIn(person), await signIn(person)];
      const answer = await call("DELETE", path, { token: mine.accessToken });
      const counts = path === "devices" ? { forgotten: 2 } : { ended: 2, forgotten: 2 };
      expect((await answer.json()).data).toEqual(counts);
      expect(await list(mine.accessToken)).toEqual([expect.objectContaining({ current: true })]);
      expect(await isKnown(person, lost.deviceToken)).toBe(false);
      expect(await isKnown(person, mine.deviceToken)).toBe(true);
    }
    const person = await t.signIn();
    const other = await signIn(person);
    const answer = await call("DELETE", "sessions", { token: person.accessToken });
    expect((await answer.json()).data).toEqual({ ended: 1 });
    expect(await isKnown(person, other.deviceToken)).toBe(true);
    expect((await call("DELETE", "sessions?forgetDevices=1", { token: person.accessToken })).status).toBe(
      422,
    );
  });

  test("a reset forgets all of them when asked, a change of password all others, an administrator all", async () => {
    const acts: [boolean, (person: SignedInPerson) => Promise<Response>][] = [];
    for (const forgetDevices of [true, false]) {
      acts.push([
        forgetDevices,
        async ({ email }) => {
          const json = { token: await resetToken(email), password: "the new password", forgetDevices };
          return call("POST", "reset-password", { json });
        },
      ]);
      acts.push([
        forgetDevices,
        ({ password, accessToken }) =>
          call("POST", "change-password", {
            json: { currentPassword: password, newPassword: "the new password", forgetDevices },
            token: accessToken,
          }),
      ]);
    }
    for (const [forgets, act] of acts) {
      const person = await t.signIn();
      const { deviceToken } = await signIn(person);
      expect((await act(person)).status).toBe(204);
      const now = { email: person.email, password: "the new password" };
      expect(await isKnown(now, deviceToken)).toBe(!forgets);
    }
    const [admin, person] = [await t.signIn({ roles: ["admin"] }), await t.signIn()];
    const { deviceToken } = await signIn(person);
    const path = `/api/users/${person.id}/sessions?forgetDevices=true`;
    const ended = await t.request(path, { method: "DELETE", token: admin.accessToken });
    expect((await ended.json()).data).toEqual({ ended: 2, forgotten: 2 });
    expect(await isKnown(person, deviceToken)).toBe(false);
  });

  test("one forgotten between the password and the code is no known one after the code", async () => {
    const person = await t.signIn();
    const id = t.deps.random.id();
    const user = await t.deps.users.findById(person.id);
    const { completeSignIn } = await import("../complete-sign-in");
    const proven = { userId: person.id, epoch: user?.authEpoch ?? 0, deviceId: id };
    const origin = { ip: "192.0.2.9", userAgent: "test" };
    await completeSignIn(t.deps, proven, "totp", origin);
    expect((await call("DELETE", `devices/${id}`, { token: person.accessToken })).status).toBe(204);
    const { deviceToken = "" } = await completeSignIn(t.deps, proven, "totp", origin);
    expect(t.deps.tokens.readDevice(deviceToken, person.id)).not.toBe(id);
  });
});

describe("two people on one browser", () => {
  const browser = (cookie = "") => ({ origin: ORIGIN, ...(cookie === "" ? {} : { cookie }) });
  const cookieOf = (answer: Response) =>
    /aizy_device=[^;]*/.exec(answer.headers.getSetCookie().join("\n"))?.[0] ?? "";
  const enter = async ({ email, password }: SignedInPerson, cookie: string) => {
    const answer = await call("POST", "login", { json: { email, password }, headers: browser(cookie) });
    expect(answer.status).toBe(200);
    return cookieOf(answer);
  };
  const tokensIn = (cookie: string) => cookie.replace("aizy_device=", "").split("~");

  test("are both known there, in whatever order they sign in", async () => {
    const [ann, ben] = [await t.signIn(), await t.signIn()];
    let cookie = await enter(ann, "");
    cookie = await enter(ben, cookie);
    cookie = await enter(ann, cookie);
    cookie = await enter(ann, cookie);
    expect(tokensIn(cookie).map((token) => t.deps.tokens.deviceOwner(token))).toEqual([ann.id, ben.id]);
    for (const person of [ann, ben]) {
      const devices = await t.deps.mysql.on().knownDevice.count({ where: { userId: person.id } });
      // One of the test's own sign-in, and this browser.
      expect(devices).toBe(2);
      for (const token of tokensIn(cookie)) {
        expect(await isKnown(person, token)).toBe(t.deps.tokens.deviceOwner(token) === person.id);
      }
    }
  });

  test("a cookie keeps at most ten, none that is not ours or is too old, and stays below 4 KB", async () => {
    const person = await t.signIn();
    const others = Array.from({ length: 14 }, () =>
      t.deps.tokens.device(t.deps.random.id(), t.deps.random.id()),
    );
    const cookie = await enter(person, `aizy_device=${["x", ...others.slice(0, 9), "a.b"].join("~")}`);
    expect(tokensIn(cookie)).toEqual([expect.stringContaining("."), ...others.slice(0, 9)]);
    const full = await enter(person, `aizy_device=${others.join("~")}`);
    expect(tokensIn(full)).toHaveLength(10);
    expect(t.deps.tokens.deviceOwner(tokensIn(full)[0] ?? "")).toBe(person.id);
    expect(full.length).toBeLessThan(4000);
    t.clock.advance(181 * DAY);
    expect(tokensIn(await enter(person, full))).toHaveLength(1);
  });
});

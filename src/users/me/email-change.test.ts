import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { around } from "../../../test/interleave";
import { codeOf, enrolled, wrongCode } from "../../../test/second-factor";
import { HOUR, MINUTE } from "../../lib/clock";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp(() => ({ appUrl: "https://shop.example", trustedProxies: ["127.0.0.1"] }));
beforeEach(() => {
  t.mails.length = 0;
});

let addresses = 0;
const fresh = () => `new-${t.deps.random.id()}@example.com`;
const call = (
  method: string,
  path: string,
  { json, token, headers = {} }: { json?: unknown; token?: string; headers?: Record<string, string> } = {},
) =>
  t.request(`/api/users/me/settings${path}`, {
    method,
    ...(json === undefined ? {} : { json }),
    ...(token === undefined ? {} : { token }),
    headers: { "x-forwarded-for": `10.2.${addresses >> 8}.${addresses++ & 255}`, ...headers },
  });
const ask = (person: SignedInPerson, newEmail: unknown, extra: object = {}) =>
  call("POST", "/email-change", {
    json: { newEmail, password: person.password, ...extra },
    token: person.accessToken,
  });
const confirm = (token: string) => call("POST", "/email-change/confirm", { json: { token } });
const pending = async (person: SignedInPerson) =>
  (await (await call("GET", "", { token: person.accessToken })).json()).data.email;
const mailsTo = async (address: string) => {
  await t.runner.runDue();
  return t.mails.filter(({ to }) => to === address);
};
const linkTo = async (address: string) => {
  const mails = await mailsTo(address);
  const [, token] = /#token=(\S+)/.exec(mails.at(-1)?.text ?? "") ?? [];
  if (token === undefined) throw new Error(`no link went to ${address}: ${JSON.stringify(mails)}`);
  return token;
};
const rowOf = (id: string) => t.deps.mysql.on().user.findUniqueOrThrow({ where: { id } });
const signIn = (email: string, password: string) =>
  t.request("/auth/login", { method: "POST", json: { email, password } });
const actions = async (person: SignedInPerson) =>
  (
    await t.deps.mysql.on().auditEntry.findMany({
      where: { subjectUserId: person.id, action: { startsWith: "email_change." } },
      orderBy: [{ at: "asc" }, { id: "asc" }],
    })
  ).map(({ action }) => action);
/** A change with the links of both sides. */
const opened = async (person: SignedInPerson, newEmail = fresh()) => {
  expect((await ask(person, newEmail)).status).toBe(202);
  return { newEmail, oldLink: await linkTo(person.email), newLink: await linkTo(newEmail) };
};

describe("a change of address", () => {
  test.each(["old", "new"] as const)(
    "needs both links, whichever comes first (%s); the old address is told",
    async (first) => {
      const person = await t.signIn({ name: "Ann" });
      const newEmail = fresh().replace("new", "New");
      const asked = await ask(person, newEmail);
      expect(asked.status).toBe(202);
      const { data } = await asked.json();
      expect(data).toEqual({
        id: expect.any(String),
        newEmail,
        requestedAt: t.clock.now().toISOString(),
        expiresAt: new Date(t.clock.now().getTime() + HOUR).toISOString(),
        effectiveAt: null,
        confirmed: { old: false, new: false },
      });
      const links = { old: await linkTo(person.email), new: await linkTo(newEmail) };
      for (const { text } of t.mails) expect(text).toContain("https://shop.example/confirm-email#token=");
      const second = first === "old" ? "new" : "old";
      const half = await confirm(links[first]);
      expect(await half.json()).toEqual({ data: { status: "waiting", waitingFor: second } });
      expect((await pending(person)).pending.confirmed[first]).toBe(true);
      expect((await rowOf(person.id)).email).toBe(person.email);
      expect((await signIn(newEmail, person.password)).status).toBe(401);
      t.mails.length = 0;
      const done = await confirm(links[second]);
      expect(await done.json()).toEqual({ data: { status: "completed", waitingFor: null } });
      expect(await pending(person)).toEqual({ address: newEmail, pending: null });
      expect(await rowOf(person.id)).toMatchObject({
        email: newEmail,
        emailCanonical: newEmail.toLowerCase(),
        version: 3,
      });
      expect((await mailsTo(person.email)).map(({ subject }) => subject)).toEqual([
        "Your address was changed",
      ]);
      expect((await signIn(newEmail, person.password)).status).toBe(200);
      expect((await signIn(person.email, person.password)).status).toBe(401);
      expect(await actions(person)).toEqual(["email_change.requested", "email_change.completed"]);
    },
  );

  test("a link works once, also when it is followed twenty times at once", async () => {
    const person = await t.signIn();
    const { oldLink, newLink } = await opened(person);
    const answers = await Promise.all(Array.from({ length: 20 }, () => confirm(oldLink)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(19).fill(422)]);
    expect((await confirm(newLink)).status).toBe(200);
    expect((await confirm(newLink)).status).toBe(422);
    expect((await confirm(oldLink)).status).toBe(422);
  });

  test("both links followed at once make the change, in one of the two answers", async () => {
    for (let round = 0; round < 5; round++) {
      const person = await t.signIn();
      const { newEmail, oldLink, newLink } = await opened(person);
      const answers = await Promise.all([confirm(oldLink), confirm(newLink)]);
      const states = await Promise.all(answers.map(async (answer) => (await answer.json()).data.status));
      expect(states.sort()).toEqual(["completed", "waiting"]);
      expect((await rowOf(person.id)).email).toBe(newEmail);
    }
  });

  test("links are wrong on the other side, in another change, changed, or of another kind", async () => {
    const [ann, bob] = [await t.signIn(), await t.signIn()];
    const a = await opened(ann);
    const b = await opened(bob);
    const [id = "", , secret = ""] = a.oldLink.split(".");
    const wrong = [
      `${id}.new.${secret}`,
      `${b.oldLink.split(".")[0]}.old.${secret}`,
      `${id}.old.${secret.slice(0, -1)}${secret.endsWith("A") ? "B" : "A"}`,
      `${id}.old.`,
      `${id}.${secret}`,
      `${t.deps.random.id()}.old.${secret}`,
      `${a.oldLink}=`,
      "",
      "é".repeat(100),
    ];
    const bodies = new Set<string>();
    for (const token of wrong) {
      const answer = await confirm(token);
      expect(answer.status).toBe(422);
      bodies.add((await answer.json()).detail);
    }
    expect(bodies.size).toBe(1);
    for (const token of [{ $ne: null }, 5, null, ["x"]]) {
      expect((await call("POST", "/email-change/confirm", { json: { token } })).status).toBe(422);
    }
    await t.request("/auth/forgot-password", { method: "POST", json: { email: ann.email } });
    expect((await confirm(await linkTo(ann.email))).status).toBe(422);
    const reset = await t.request("/auth/reset-password", {
      method: "POST",
      json: { token: a.oldLink.replace(".old.", "."), password: "a brand new password" },
    });
    expect(reset.status).toBe(422);
    expect((await confirm(a.oldLink)).status).toBe(200);
  });

  test("expires after an hour, before its links are followed and between them", async () => {
    const person = await t.signIn();
    const first = await opened(person);
    t.clock.advance(30 * MINUTE);
    expect((await confirm(first.oldLink)).status).toBe(200);
    t.clock.advance(30 * MINUTE);
    expect((await confirm(first.newLink)).status).toBe(422);
    expect((await rowOf(person.id)).email).toBe(person.email);
    const again = await t.request("/auth/refresh", {
      method: "POST",
      json: { refreshToken: person.refreshToken },
    });
    const token = (await again.json()).data.accessToken;
    expect(await pending({ ...person, accessToken: token })).toEqual({
      address: person.email,
      pending: null,
    });
  });

  test("is taken back by its owner; another one replaces it", async () => {
    const person = await t.signIn();
    const first = await opened(person);
    const second = await opened(person);
    expect((await pending(person)).pending.newEmail).toBe(second.newEmail);
    expect((await confirm(first.newLink)).status).toBe(422);
    expect((await confirm(second.oldLink)).status).toBe(200);
    expect((await call("DELETE", "/email-change", { token: person.accessToken })).status).toBe(204);
    expect((await call("DELETE", "/email-change", { token: person.accessToken })).status).toBe(404);
    expect((await confirm(second.newLink)).status).toBe(422);
    expect((await pending(person)).pending).toBeNull();
    expect((await rowOf(person.id)).email).toBe(person.email);
    expect(await actions(person)).toEqual([
      "email_change.requested",
      "email_change.requested",
      "email_change.cancelled",
    ]);
  });

  test("many asked for at once leave one open", async () => {
    const person = await t.signIn();
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(person, fresh())));
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(202));
    const open = await t.deps.mysql.on().emailChange.count({ where: { userId: person.id, endedAt: null } });
    expect(open).toBe(1);
  });
});

describe("who asks", () => {
  test("must know the password; a wrong one is in the audit log and counted", async () => {
    const person = await t.signIn();
    const headers = { "x-forwarded-for": "10.9.9.9" };
    const wrong = () =>
      call("POST", "/email-change", {
        json: { newEmail: fresh(), password: "not it at all" },
        token: person.accessToken,
        headers,
      });
    expect((await wrong()).status).toBe(401);
    expect((await ask(person, fresh(), { password: undefined })).status).toBe(422);
    expect(await actions(person)).toEqual(["email_change.refused"]);
    expect(await mailsTo(person.email)).toEqual([]);
    for (let n = 0; n < 9; n++) await wrong();
    const blocked = await ask(person, fresh());
    expect(blocked.status).toBe(429);
    expect(blocked.headers.get("retry-after")).toMatch(/^\d+$/);
  });

  test("is asked for the second factor when there is one", async () => {
    const person = await t.signIn();
    const { secret } = await enrolled(t, person);
    t.clock.advance(MINUTE);
    const without = await ask(person, fresh());
    expect(without.status).toBe(422);
    expect((await without.json()).errors[0]).toMatchObject({ path: "factor", code: "required" });
    const wrong = await ask(person, fresh(), {
      factor: { method: "totp", code: wrongCode(secret, t.clock.now()) },
    });
    expect(wrong.status).toBe(422);
    const newEmail = fresh();
    const code = codeOf(secret, t.clock.now());
    expect((await ask(person, newEmail, { factor: { method: "totp", code } })).status).toBe(202);
    expect((await ask(person, newEmail, { factor: { method: "totp", code } })).status).toBe(422);
    expect((await pending(person)).pending.newEmail).toBe(newEmail);
  });

  test("is signed in, and no server's key", async () => {
    expect((await call("POST", "/email-change", { json: { newEmail: fresh(), password: "x" } })).status).toBe(
      401,
    );
    expect((await call("DELETE", "/email-change")).status).toBe(401);
  });

  const refused: [string, unknown][] = [
    ["a line break", "a@example.com\r\nBcc: b@example.com"],
    ["a line break at the end", "a@example.com\n"],
    ["two addresses", "a@example.com,b@example.com"],
    ["two addresses and a space", "a@example.com b@example.com"],
    ["a look-alike sign", "a＠example.com"],
    ["a name before it", "Ann <a@example.com>"],
    ["NUL", "a@example.com\u0000"],
    ["an invisible character", "a\u200b@example.com"],
    ["an operator", { $ne: null }],
    ["a list", ["a@example.com"]],
    ["300 characters", `${"a".repeat(290)}@example.com`],
    ["nothing", ""],
  ];
  test.each(refused)("an address with %s is refused and nothing is sent", async (_, newEmail) => {
    const person = await t.signIn();
    expect((await ask(person, newEmail)).status).toBe(422);
    expect(await mailsTo(person.email)).toEqual([]);
    expect((await pending(person)).pending).toBeNull();
  });

  test("may not add fields", async () => {
    const person = await t.signIn();
    for (const extra of [
      { emailVerified: true },
      { userId: person.id },
      { id: "x" },
      { appUrl: "https://e" },
    ]) {
      expect((await ask(person, fresh(), extra)).status).toBe(422);
    }
    const answer = await t.request("/api/users/me/settings/email-change", {
      method: "POST",
      body: `{"newEmail":"a@example.com","password":"x","__proto__":{"a":1}}`,
      token: person.accessToken,
      headers: { "content-type": "application/json" },
    });
    expect(answer.status).toBe(422);
  });

  test("gets 422 for the very address they have; another case of it is taken at once", async () => {
    const person = await t.signIn();
    expect((await ask(person, person.email)).status).toBe(422);
    const answer = await ask(person, person.email.toUpperCase());
    expect((await answer.json()).data.confirmed).toEqual({ old: true, new: true });
    expect(await pending(person)).toEqual({ address: person.email.toUpperCase(), pending: null });
    expect((await signIn(person.email, person.password)).status).toBe(200);
    expect((await mailsTo(person.email.toUpperCase())).map(({ subject }) => subject)).toEqual([
      "Your address was changed",
    ]);
    t.mails.length = 0;
  });

  test("nothing that they typed reaches the new address before it is proved", async () => {
    const person = await t.signIn({ name: "Win now at evil.example" });
    const newEmail = fresh();
    expect((await ask(person, newEmail)).status).toBe(202);
    const [mail] = await mailsTo(newEmail);
    expect(mail?.text).toContain("#token=");
    expect(JSON.stringify(mail)).not.toContain("evil.example");
    t.mails.length = 0;
  });

  test("no header of the request leads a link elsewhere", async () => {
    const person = await t.signIn();
    await call("POST", "/email-change", {
      json: { newEmail: fresh(), password: person.password },
      token: person.accessToken,
      headers: { host: "evil.example", "x-forwarded-host": "evil.example", origin: "https://evil.example" },
    });
    await t.runner.runDue();
    expect(t.mails).toHaveLength(2);
    for (const mail of t.mails) {
      expect(mail.text).not.toContain("evil.example");
      expect(mail.text).toContain("https://shop.example/confirm-email#token=");
    }
  });
});

describe("an address that someone else has", () => {
  test("gets the same answer; its holder gets a mail instead of a link", async () => {
    const [ann, bob] = [await t.signIn(), await t.signIn({ name: "Bob" })];
    const [taken, free] = [await ask(ann, bob.email.toUpperCase()), await ask(ann, fresh())];
    expect(taken.status).toBe(free.status);
    const shapeOf = async (answer: Response) => {
      const { data } = await answer.json();
      return { ...data, id: "", newEmail: "" };
    };
    expect(await shapeOf(taken)).toEqual(await shapeOf(free));
    const names = (answer: Response) => [...answer.headers.keys()].sort();
    expect(names(taken)).toEqual(names(free));
    // The second request ended the first change, so ask again.
    await t.runner.runDue();
    t.mails.length = 0;
    await ask(ann, bob.email.toUpperCase());
    const [mail, ...more] = await mailsTo(bob.email);
    expect(more).toEqual([]);
    expect(mail?.subject).toBe("Your address was given for another account");
    expect(mail?.text).not.toContain("token=");
    expect(mail?.text).not.toContain(ann.email);
    expect((await confirm(await linkTo(ann.email))).status).toBe(200);
    expect((await rowOf(bob.id)).email).toBe(bob.email);
    expect((await rowOf(ann.id)).email).toBe(ann.email);
  });

  test("two people who change to one address: one wins, the other is told 409", async () => {
    for (let round = 0; round < 5; round++) {
      const wanted = fresh();
      const people = [await t.signIn(), await t.signIn()];
      const links: string[] = [];
      for (const person of people) {
        const { oldLink, newLink } = await opened(person, wanted);
        expect((await confirm(oldLink)).status).toBe(200);
        links.push(newLink);
      }
      const answers = await Promise.all(links.map(confirm));
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
      const rows = await Promise.all(people.map(({ id }) => rowOf(id)));
      expect(rows.filter(({ email }) => email === wanted)).toHaveLength(1);
      const loser = people[answers.findIndex(({ status }) => status === 409)] as SignedInPerson;
      expect((await pending(loser)).pending).toBeNull();
      expect((await rowOf(loser.id)).email).toBe(loser.email);
    }
  });

  test("two people who swap their addresses keep their own", async () => {
    const [ann, bob] = [await t.signIn(), await t.signIn()];
    await ask(ann, bob.email);
    await ask(bob, ann.email);
    await t.runner.runDue();
    expect(t.mails.filter(({ text }) => text.includes("token="))).toHaveLength(2);
    expect([(await rowOf(ann.id)).email, (await rowOf(bob.id)).email]).toEqual([ann.email, bob.email]);
  });

  test("who proves it between the links and the change keeps it", async () => {
    const wanted = fresh();
    const person = await t.signIn();
    const { oldLink, newLink } = await opened(person, wanted);
    await confirm(oldLink);
    let owner: SignedInPerson | undefined;
    const undo = around(t.deps.users, "lockActive", {
      before: async () => {
        owner = await t.signIn({ email: wanted });
      },
    });
    const answer = await confirm(newLink);
    undo();
    expect(answer.status).toBe(409);
    expect((await answer.json()).code).toBe("already_exists");
    expect((await rowOf(owner?.id ?? "")).email).toBe(wanted);
  });

  test("a registration that never proved it makes way; its code no longer does anything", async () => {
    const wanted = fresh();
    const registered = await t.request("/auth/register", {
      method: "POST",
      json: { email: wanted, password: "the password of someone else", name: "Eve" },
    });
    const { registrationId } = (await registered.json()).data;
    const code = /^\d{6}$/m.exec((await mailsTo(wanted))[0]?.text ?? "")?.[0];
    const person = await t.signIn();
    const { oldLink, newLink } = await opened(person, wanted);
    await confirm(oldLink);
    expect((await confirm(newLink)).status).toBe(200);
    const verified = await t.request("/auth/verify-otp", {
      method: "POST",
      json: { registrationId, email: wanted, otp: code },
    });
    expect(verified.status).toBe(422);
    expect((await signIn(wanted, "the password of someone else")).status).toBe(401);
    expect((await signIn(wanted, person.password)).status).toBe(200);
  });
});

describe("what ends a change that is open, and what it ends", () => {
  test("a new password: whoever asked may have been a thief", async () => {
    const person = await t.signIn();
    const { oldLink, newLink } = await opened(person);
    await confirm(newLink);
    const changed = await t.request("/auth/change-password", {
      method: "POST",
      json: { currentPassword: person.password, newPassword: "quite another password" },
      token: person.accessToken,
    });
    expect(changed.status).toBe(204);
    expect((await pending(person)).pending).toBeNull();
    expect((await confirm(oldLink)).status).toBe(422);
    expect((await rowOf(person.id)).email).toBe(person.email);
  });

  test("a ban", async () => {
    const person = await t.signIn();
    const { oldLink, newLink } = await opened(person);
    await confirm(oldLink);
    await t.deps.mysql.on().user.update({ where: { id: person.id }, data: { bannedAt: t.clock.now() } });
    expect((await confirm(newLink)).status).toBe(422);
  });

  test("links for a new password that went to the old address die", async () => {
    const person = await t.signIn();
    const { newEmail, oldLink, newLink } = await opened(person);
    await t.request("/auth/forgot-password", { method: "POST", json: { email: person.email } });
    const reset = await linkTo(person.email);
    expect(reset).not.toBe(oldLink);
    await confirm(oldLink);
    await confirm(newLink);
    const answer = await t.request("/auth/reset-password", {
      method: "POST",
      json: { token: reset, password: "the password of a thief" },
    });
    expect(answer.status).toBe(422);
    expect((await signIn(newEmail, person.password)).status).toBe(200);
  });
});

describe("mail", () => {
  test("no link lies readable in the queue or the table", async () => {
    const person = await t.signIn();
    const { oldLink, newLink } = await opened(person);
    const jobs = await t.deps.mysql.on().job.findMany({ where: { kind: "mail.email_change" } });
    const rows = await t.deps.mysql.on().emailChange.findMany({ where: { userId: person.id } });
    const text = JSON.stringify([jobs, rows], (_, value) => (value instanceof Uint8Array ? "" : value));
    for (const link of [oldLink, newLink]) expect(text).not.toContain(link.split(".")[2] ?? "");
  });

  test("a mail that is sent again has a new link, and the earlier one is dead", async () => {
    const person = await t.signIn();
    await ask(person, fresh());
    const earlier = await linkTo(person.email);
    await t.deps.mysql.on().job.updateMany({
      where: { kind: "mail.email_change" },
      data: { status: "waiting", runAt: t.clock.now(), attempts: 1 },
    });
    const later = await linkTo(person.email);
    expect(later).not.toBe(earlier);
    expect((await confirm(earlier)).status).toBe(422);
    expect((await confirm(later)).status).toBe(200);
  });

  test("an address gets no more than 20 an hour from one source, and no answer shows it", async () => {
    const victim = fresh();
    const headers = { "x-forwarded-for": "10.8.8.8" };
    const person = await t.signIn();
    for (let n = 0; n < 25; n++) {
      const answer = await call("POST", "/email-change", {
        json: { newEmail: victim, password: person.password },
        token: person.accessToken,
        headers,
      });
      expect(answer.status).toBe(202);
      await t.runner.runDue();
    }
    expect(t.mails.filter(({ to }) => to === victim)).toHaveLength(20);
  });
});

describe("without the old mailbox", () => {
  const DAYS = 24 * HOUR;
  /** Somebody whose second factor was there for three days. */
  const settled = async () => {
    const person = await t.signIn();
    const { secret } = await enrolled(t, person);
    t.clock.advance(3 * DAYS);
    return { person, secret };
  };
  const signedIn = async (person: SignedInPerson, secret: string) => {
    const { challenge } = (await (await signIn(person.email, person.password)).json()).data;
    const json = { challenge, method: "totp", code: codeOf(secret, t.clock.now()) };
    const answer = await t.request("/auth/mfa/challenge", { method: "POST", json });
    t.clock.advance(30_000);
    return { ...person, accessToken: (await answer.json()).data.accessToken as string };
  };
  const lost = async (person: SignedInPerson, secret: string, newEmail: string) => {
    const factor = { method: "totp", code: codeOf(secret, t.clock.now()) };
    const answer = await ask(person, newEmail, { oldAddressLost: true, factor });
    t.clock.advance(30_000);
    return answer;
  };

  test("a second factor and three days stand in for it, and the old address is told", async () => {
    const { person: owner, secret } = await settled();
    const person = await signedIn(owner, secret);
    const newEmail = fresh();
    const asked = await lost(person, secret, newEmail);
    expect(asked.status).toBe(202);
    const effectiveAt = new Date((await asked.json()).data.effectiveAt);
    const told = (await mailsTo(person.email)).at(-1);
    expect(told?.text).toContain(newEmail);
    expect(told?.text).toContain("In 3 days");
    const confirmed = await confirm(await linkTo(newEmail));
    expect(await confirmed.json()).toEqual({ data: { status: "waiting", waitingFor: "delay" } });
    t.clock.set(new Date(effectiveAt.getTime() - 1));
    await t.runner.runDue();
    expect((await rowOf(person.id)).email).toBe(person.email);
    t.clock.set(effectiveAt);
    await t.runner.runDue();
    await t.runner.runDue();
    expect((await rowOf(person.id)).email).toBe(newEmail);
    expect((await mailsTo(person.email)).at(-1)?.subject).toBe("Your address was changed");
  });

  test("whoever reads the old mailbox ends it with a new password, and may agree at once", async () => {
    const { person: owner, secret } = await settled();
    const person = await signedIn(owner, secret);
    const [first, second] = [fresh(), fresh()];
    await lost(person, secret, first);
    const link = await linkTo(first);
    await t.deps.mysql.transaction((tx) =>
      t.deps.sessions.endAll(person.id, { reason: "password_reset", now: t.clock.now() }, tx),
    );
    expect((await confirm(link)).status).toBe(422);
    t.clock.advance(3 * DAYS);
    await t.runner.runDue();
    expect((await rowOf(person.id)).email).toBe(person.email);
    const again = await signedIn(owner, secret);
    await lost(again, secret, second);
    await confirm(await linkTo(second));
    expect(await (await confirm(await linkTo(person.email))).json()).toEqual({
      data: { status: "completed", waitingFor: null },
    });
  });

  test("not without a second factor, nor with one of yesterday", async () => {
    const person = await t.signIn();
    expect((await ask(person, fresh(), { oldAddressLost: true })).status).toBe(403);
    const { secret } = await enrolled(t, person);
    expect((await lost(person, secret, fresh())).status).toBe(403);
  });

  test("an administrator starts it for somebody: told, audited, and never above their own", async () => {
    const [admin, person, manager] = [
      await t.signIn({ roles: ["admin"] }),
      await t.signIn(),
      await t.signIn({ roles: ["manager"] }),
    ];
    const start = (by: SignedInPerson, id: string, what: string, json?: object) =>
      t.request(`/api/users/${id}/${what}`, {
        method: "POST",
        token: by.accessToken,
        headers: { "accept-language": "de" },
        ...(json ? { json } : {}),
      });
    const newEmail = fresh();
    expect((await start(manager, person.id, "email-change", { newEmail })).status).toBe(403);
    expect((await start(admin, admin.id, "email-change", { newEmail })).status).toBe(409);
    expect((await start(admin, person.id, "email-change", { newEmail: person.email })).status).toBe(422);
    expect((await start(admin, person.id, "email-change", { newEmail })).status).toBe(202);
    // In the person's language, not the administrator's.
    expect((await mailsTo(person.email)).at(-1)?.text).toContain("an administrator");
    expect((await confirm(await linkTo(newEmail))).status).toBe(200);
    expect((await rowOf(person.id)).email).toBe(person.email);
    t.clock.advance(3 * DAYS);
    await t.runner.runDue();
    expect((await rowOf(person.id)).email).toBe(newEmail);

    const { accessToken } = await (
      await t.request("/auth/login", {
        method: "POST",
        json: { email: admin.email, password: admin.password },
      })
    )
      .json()
      .then(({ data }) => data);
    const reset = await start({ ...admin, accessToken }, person.id, "password-reset");
    expect(reset.status).toBe(202);
    const mail = (await mailsTo(newEmail)).at(-1);
    expect(mail?.text).toContain("an administrator");
    const token = /reset-password#token=(\S+)/.exec(mail?.text ?? "")?.[1];
    const json = { token, password: "a new password of tests" };
    expect((await t.request("/auth/reset-password", { method: "POST", json })).status).toBe(204);
    const entries = await t.deps.mysql.on().auditEntry.findMany({
      where: { subjectUserId: person.id, actorId: admin.id },
      orderBy: { at: "asc" },
    });
    expect(entries.map(({ action }) => action)).toEqual([
      "user.email_change_started",
      "user.password_reset_started",
    ]);
  });
});

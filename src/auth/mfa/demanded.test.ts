/** Roles that demand a second factor. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { codeOf, enrolled } from "../../../test/second-factor";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp();
const post = (path: string, json: unknown, token?: string) =>
  t.request(`/auth/${path}`, { method: "POST", json, ...(token === undefined ? {} : { token }) });
const login = async ({ email, password }: Pick<SignedInPerson, "email" | "password">) =>
  (await (await post("login", { email, password })).json()).data;
const read = async (path: string, token: string, method = "GET") => {
  const answer = await t.request(path, { method, token });
  return answer.ok ? answer.status : (await answer.json()).code;
};
const me = (token: string) => read("/api/users/me", token);
let roles = 0;
/** A role that demands a second factor, made over the API. */
async function demandingRole(admin: SignedInPerson): Promise<{ id: string; name: string }> {
  const json = { name: `strict-${++roles}`, permissions: ["inventory:read"], requiresSecondFactor: true };
  const answer = await t.request("/api/users/roles", {
    method: "POST",
    json,
    token: admin.accessToken,
    headers: { "idempotency-key": t.deps.random.id() },
  });
  const { data } = await answer.json();
  expect([answer.status, data.requiresSecondFactor]).toEqual([201, true]);
  return data;
}
const demand = (admin: SignedInPerson, id: string, requiresSecondFactor: boolean) =>
  t.request(`/api/users/roles/${id}`, {
    method: "PATCH",
    json: { requiresSecondFactor },
    token: admin.accessToken,
    headers: { "if-match": "*" },
  });

describe("who has a role that demands a second factor, and none", () => {
  test("reaches enrolment and nowhere else; the first code opens the rest for this session", async () => {
    const admin = await t.signIn({ roles: ["admin"] });
    const role = await demandingRole(admin);
    const person = await t.signIn({ roles: [role.name] });
    const { accessToken, secondFactorRequired, refreshToken } = await login(person);
    expect(secondFactorRequired).toBe(true);
    for (const [method, path] of [
      ["GET", "/api/users/me"],
      ["GET", "/auth/sessions"],
      ["GET", "/auth/devices"],
      ["GET", "/auth/api-keys"],
      ["POST", "/auth/mfa/disable"],
      ["POST", "/auth/change-password"],
      ["GET", "/api/products/inventory/locations"],
      ["GET", "/api/users/me/preferences"],
    ] as const) {
      expect([path, await read(path, accessToken, method)]).toEqual([path, "second_factor_required"]);
    }
    expect(await read("/auth/mfa", accessToken)).toBe(200);
    const refreshed = (await (await post("refresh", { refreshToken })).json()).data;
    expect(refreshed.secondFactorRequired).toBe(true);
    expect(await me(refreshed.accessToken)).toBe("second_factor_required");
    await enrolled(t, { accessToken, password: person.password });
    expect(await me(accessToken)).toBe(200);
    expect(await me(refreshed.accessToken)).toBe(200);
    // A session that was opened by the password alone stays shut: it may be that of a thief.
    expect(await me(person.accessToken)).toBe("second_factor_required");
  });

  test("one who has it gives it and goes where they may; taken away again, everything is shut at once", async () => {
    const admin = await t.signIn({ roles: ["admin"] });
    const role = await demandingRole(admin);
    const person = await t.signIn({ roles: [role.name] });
    const { secret, backupCodes } = await enrolled(t, person);
    const { challenge } = await login(person);
    const json = { challenge, method: "totp", code: codeOf(secret, t.clock.now()) };
    const signedIn = (await (await post("mfa/challenge", json)).json()).data;
    expect(signedIn.secondFactorRequired).toBeUndefined();
    expect(await me(signedIn.accessToken)).toBe(200);
    const factor = { method: "backup_code", code: backupCodes[0] };
    const off = await post("mfa/disable", { password: person.password, factor }, signedIn.accessToken);
    expect(off.status).toBe(204);
    expect(await me(signedIn.accessToken)).toBe("second_factor_required");
  });

  test("a demand and its end count on the next request; others feel nothing of it", async () => {
    const admin = await t.signIn({ roles: ["admin"] });
    const role = await demandingRole(admin);
    expect((await demand(admin, role.id, false)).status).toBe(200);
    const [person, other] = [await t.signIn({ roles: [role.name] }), await t.signIn()];
    expect(await me(person.accessToken)).toBe(200);
    expect((await demand(admin, role.id, true)).status).toBe(200);
    expect(await me(person.accessToken)).toBe("second_factor_required");
    expect(await me(other.accessToken)).toBe(200);
    expect((await demand(admin, role.id, false)).status).toBe(200);
    expect(await me(person.accessToken)).toBe(200);
    const where = { action: "role.changed", detail: { path: "$.roleId", equals: role.id } };
    expect(await t.deps.mysql.on().auditEntry.count({ where })).toBe(3);
  });

  test("administrators may demand it of themselves; their permissions stay as they are", async () => {
    const admin = await t.signIn({ roles: ["admin"] });
    const { secret } = await enrolled(t, admin);
    const { challenge } = await login(admin);
    const json = { challenge, method: "totp", code: codeOf(secret, t.clock.now()) };
    const { accessToken } = (await (await post("mfa/challenge", json)).json()).data;
    const by = { ...admin, accessToken };
    const all = await (await t.request("/api/users/roles", { token: accessToken })).json();
    const { id } = all.data.find(({ name }: { name: string }) => name === "admin");
    const change = (body: object) =>
      t.request(`/api/users/roles/${id}`, {
        method: "PATCH",
        json: body,
        token: accessToken,
        headers: { "if-match": "*" },
      });
    expect((await change({ permissions: [], requiresSecondFactor: true })).status).toBe(409);
    expect((await demand(by, id, true)).status).toBe(200);
    const without = await t.signIn({ roles: ["admin"] });
    expect(await read("/api/users", without.accessToken)).toBe("second_factor_required");
    expect(await read("/api/users", accessToken)).toBe(200);
    expect((await demand(by, id, false)).status).toBe(200);
  });
});

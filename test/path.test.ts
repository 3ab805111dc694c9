import { describe, expect, test } from "bun:test";
import { useTestApp } from "./app";

const t = useTestApp();

describe("the whole path", () => {
  test("register, code by mail, verify, sign in, create, list, search, sign out", async () => {
    const email = "Ann@Example.com";
    const registered = await t.client.auth.register.$post({
      json: { email, password: "correct horse", name: "Ann" },
    });
    expect(registered.status).toBe(202);
    if (registered.status !== 202) throw new Error("not registered");
    const { registrationId } = (await registered.json()).data;
    expect(await t.runner.runDue()).toBe(1);
    const otp = /\b\d{6}\b/.exec(t.mails.find(({ to }) => to === email)?.text ?? "")?.[0] ?? "";
    const verified = await t.client.auth["verify-otp"].$post({
      json: { registrationId, email: "ann@example.COM", otp },
    });
    expect(verified.status).toBe(200);
    const login = await t.client.auth.login.$post({
      json: { email: "ANN@example.com", password: "correct horse" },
    });
    expect(login.status).toBe(200);
    const manager = await t.signIn({ roles: ["manager"] });
    const created = await t.client.api.products.$post(
      { json: { name: "Lamp", description: "Bright", price: 4900 } },
      manager.auth,
    );
    expect(created.status).toBe(201);
    const search = await t.client.api.products.search.$get({ query: { q: "lamp" } });
    expect(search.status).toBe(200);
    expect(JSON.stringify(await search.json())).toContain("Lamp");
    expect((await t.client.auth.logout.$post({}, manager.auth)).status).toBe(204);
    expect((await t.client.api.users.me.$get({}, manager.auth)).status).toBe(401);
  });
});

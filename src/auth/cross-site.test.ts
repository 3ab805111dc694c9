import { expect, test } from "bun:test";
import { useTestApp } from "../../test/app";

const SAME = "http://localhost:3000";
const CROSS = "https://shop.example";
const APP = "capacitor://localhost";

const t = useTestApp((config) => ({
  corsOrigins: [...config.corsOrigins, CROSS],
  crossSiteOrigins: [CROSS],
  nativeOrigins: [APP],
}));

const post = (path: string, json: unknown, headers: Record<string, string>) =>
  t.request(`/auth/${path}`, { method: "POST", json, headers });
const signIn = async (origin: string) => {
  const { email, password } = await t.signIn();
  return post("login", { email, password }, { origin });
};
const cookieOf = (answer: Response) =>
  answer.headers
    .getSetCookie()
    .map((cookie) => cookie.split(";")[0])
    .join("; ");

test("a page on another site gets cookies that it can send from there, and stays signed in", async () => {
  const answer = await signIn(CROSS);
  const cookies = answer.headers.getSetCookie();
  expect(cookies).toHaveLength(2);
  for (const cookie of cookies) {
    for (const part of ["HttpOnly", "Secure", "SameSite=None", "Partitioned", "Path=/auth"]) {
      expect(cookie).toContain(part);
    }
  }
  expect((await answer.json()).data.refreshToken).toBeUndefined();
  const cookie = cookieOf(answer);
  const refreshed = await post("refresh", {}, { origin: CROSS, cookie });
  expect(refreshed.status).toBe(200);
  expect(refreshed.headers.get("access-control-allow-origin")).toBe(CROSS);
  expect(refreshed.headers.getSetCookie()[0]).toContain("Partitioned");
  const out = await post("logout", {}, { origin: CROSS, cookie: cookieOf(refreshed) });
  expect(out.headers.getSetCookie()[0]).toMatch(/Max-Age=0.*Partitioned|Partitioned.*Max-Age=0/);
});

test("no other page can use such a cookie, nor can a request that names no page", async () => {
  const cookie = cookieOf(await signIn(CROSS));
  for (const origin of [
    "https://evil.example",
    "null",
    "https://shop.example.evil.example",
    "http://shop.example",
  ]) {
    for (const path of ["refresh", "logout"]) {
      const answer = await post(path, {}, { origin, cookie });
      expect([origin, path, answer.status]).toEqual([origin, path, 403]);
    }
  }
  expect((await post("refresh", {}, { cookie })).status).toBe(401);
  // A form, which asks no leave first, is nobody's either.
  const form = await t.request("/auth/refresh", {
    method: "POST",
    body: "a=b",
    headers: { origin: CROSS, cookie, "content-type": "application/x-www-form-urlencoded" },
  });
  expect(form.status).toBe(415);
  expect((await post("refresh", {}, { origin: CROSS, cookie })).status).toBe(200);
});

test("a page on this site goes on with SameSite=Strict", async () => {
  for (const cookie of (await signIn(SAME)).headers.getSetCookie()) {
    expect(cookie).toContain("SameSite=Strict");
    expect(cookie).not.toContain("Partitioned");
  }
});

test("an app gets its tokens in the body, and no cookie of it counts", async () => {
  const answer = await signIn(APP);
  expect(answer.headers.getSetCookie()).toEqual([]);
  expect(answer.headers.get("access-control-allow-origin")).toBe(APP);
  const { refreshToken, deviceToken } = (await answer.json()).data;
  expect(typeof deviceToken).toBe("string");
  expect((await post("refresh", {}, { origin: APP, cookie: `aizy_refresh=${refreshToken}` })).status).toBe(
    401,
  );
  const refreshed = await post("refresh", { refreshToken }, { origin: APP });
  expect(typeof (await refreshed.json()).data.refreshToken).toBe("string");
});

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { around } from "../../../test/interleave";
import { MINUTE } from "../../lib/clock";
import type { UserResponse } from "../mapper";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp();
const drawing = (width = 900, height = 600) =>
  sharp({ create: { width, height, channels: 3, background: { r: 20, g: 60, b: 200 } } });
const png = (width?: number, height?: number) => drawing(width, height).png().toBuffer();
const put = (
  person: SignedInPerson | undefined,
  bytes: Uint8Array,
  { name = "me.png", headers = {}, fields = {} }: { name?: string; headers?: object; fields?: object } = {},
) => {
  const form = new FormData();
  form.set("file", new File([new Uint8Array(bytes)], name));
  for (const [field, text] of Object.entries(fields)) form.set(field, text);
  return t.request("/api/users/me/avatar", {
    method: "PUT",
    body: form,
    ...(person === undefined ? {} : { token: person.accessToken }),
    headers: { ...headers },
  });
};
const read = async (person: SignedInPerson): Promise<UserResponse> =>
  (await (await t.request("/api/users/me", { token: person.accessToken })).json()).data;
const set = async (person: SignedInPerson, bytes: Uint8Array): Promise<UserResponse> => {
  const answer = await put(person, bytes);
  expect(answer.status).toBe(200);
  return (await answer.json()).data;
};
/** Every file that storage holds. */
const files = async () => {
  const folder = t.deps.config.storageDir;
  return (await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
};

describe("a picture of oneself", () => {
  test("is kept as WebP in three widths, shown with the account and at sign-in, and given to anyone", async () => {
    const person = await t.signIn();
    expect((await read(person)).avatar).toBeNull();
    const { avatar } = await set(person, await png());
    expect(avatar?.sources.map(({ type, width }) => [type, width])).toEqual([
      ["image/webp", 96],
      ["image/webp", 320],
      ["image/webp", 640],
    ]);
    expect((await read(person)).avatar).toEqual(avatar);
    const login = await t.request("/auth/login", {
      method: "POST",
      json: { email: person.email, password: person.password },
    });
    expect((await login.json()).data.user.avatar).toEqual(avatar);
    for (const { url, width } of avatar?.sources ?? []) {
      const answer = await t.request(url);
      expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "image/webp"]);
      expect(answer.headers.get("cache-control")).toBe("private, max-age=3600");
      expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
      expect((await sharp(await answer.bytes()).metadata()).width).toBe(width);
      const etag = answer.headers.get("etag") ?? "";
      const known = await t.request(url, { headers: { "if-none-match": etag } });
      expect([known.status, known.headers.get("etag")]).toEqual([304, etag]);
    }
    for (const file of await files()) expect(file).toMatch(/^avatars\/[0-9a-f-]{36}\/\d+\.webp$/);
  });

  test("loses its metadata, is turned upright and is never made larger", async () => {
    const person = await t.signIn();
    const bytes = await drawing(80, 40)
      .withExif({ IFD0: { Copyright: "Somebody" }, IFD3: { GPSLatitude: "52/1 30/1 0/1" } })
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    const { avatar } = await set(person, bytes);
    expect(avatar?.sources.map(({ width }) => width)).toEqual([40]);
    const kept = await sharp(await (await t.request(avatar?.sources[0]?.url ?? "")).bytes()).metadata();
    expect([kept.exif, kept.xmp, kept.icc, kept.height]).toEqual([undefined, undefined, undefined, 80]);
  });

  test("takes the place of the one before, whose files and addresses are gone", async () => {
    const person = await t.signIn();
    await t.runner.runDue();
    const before = await files();
    const first = await set(person, await png(100, 100));
    const second = await set(person, await png(200, 200));
    await t.runner.runDue();
    const gone = await t.request(first.avatar?.sources[0]?.url ?? "", { headers: { "if-none-match": "*" } });
    expect([gone.status, gone.headers.get("cache-control")]).toEqual([404, "no-store"]);
    expect((await t.request(second.avatar?.sources[0]?.url ?? "")).status).toBe(200);
    expect(await files()).toHaveLength(before.length + 2);
    const removed = await t.request("/api/users/me/avatar", { method: "DELETE", token: person.accessToken });
    expect(removed.status).toBe(204);
    await t.runner.runDue();
    expect((await read(person)).avatar).toBeNull();
    expect((await t.request(second.avatar?.sources[0]?.url ?? "")).status).toBe(404);
    expect(await files()).toEqual(before);
    const again = await t.request("/api/users/me/avatar", { method: "DELETE", token: person.accessToken });
    expect(again.status).toBe(204);
  });

  test("a stale tag is 412 and changes nothing; of many at once one stays, with its files alone", async () => {
    const person = await t.signIn();
    await t.runner.runDue();
    const before = (await files()).length;
    const bytes = await png(50, 50);
    const answer = await put(person, bytes, { headers: { "if-match": '"v99"' } });
    expect(answer.status).toBe(412);
    expect((await read(person)).avatar).toBeNull();
    const answers = await Promise.all(Array.from({ length: 5 }, () => put(person, bytes)));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(200));
    t.clock.advance(14 * MINUTE);
    const { avatar } = await read(person);
    t.clock.advance(2 * MINUTE);
    await t.runner.runDue();
    expect((await t.request(avatar?.sources[0]?.url ?? "")).status).toBe(200);
    expect(await files()).toHaveLength(before + 1);
  });

  test("a process that dies between the files and the record: a job removes the files", async () => {
    const person = await t.signIn();
    await t.runner.runDue();
    const before = await files();
    const undo = around(t.deps.users, "setAvatar", {
      before: () => {
        throw new Error("the process died here");
      },
    });
    expect((await put(person, await png(45, 45))).status).toBe(500);
    undo();
    expect((await files()).length).toBeGreaterThan(before.length);
    t.clock.advance(16 * MINUTE);
    await t.runner.runDue();
    expect(await files()).toEqual(before);
  });
});

describe("what is refused leaves nothing behind", () => {
  const cases: [string, () => Promise<Uint8Array>, string, number][] = [
    ["an SVG", async () => Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'/>"), "a.svg", 422],
    ["an SVG named as a PNG", async () => Buffer.from("<svg/>"), "a.png", 422],
    [
      "a page behind a PNG",
      async () => Buffer.concat([await png(9, 9), Buffer.from("<html>")]),
      "a.png",
      422,
    ],
    ["a picture named .php", () => png(9, 9), "a.png.php", 422],
    ["a truncated PNG", async () => (await png()).subarray(0, 300), "a.png", 422],
    ["no bytes", async () => new Uint8Array(0), "a.png", 422],
    ["41 megapixels", () => png(8200, 5000), "a.png", 413],
    ["11 MB", async () => new Uint8Array(11 * 1024 * 1024).fill(65), "a.png", 413],
  ];
  test.each(cases)("%s", async (_, make, name, status) => {
    const person = await t.signIn();
    const before = await files();
    const answer = await put(person, await make(), { name });
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toContain("problem+json");
    expect(await files()).toEqual(before);
    expect((await read(person)).avatar).toBeNull();
  });

  test("another field, another type, nobody and a server's key", async () => {
    const person = await t.signIn();
    const bytes = await png(20, 20);
    for (const fields of [{ alt: "x" }, { userId: "x" }, { __proto__: null, role: "admin" }]) {
      expect((await put(person, bytes, { fields })).status).toBe(422);
    }
    const json = await t.request("/api/users/me/avatar", {
      method: "PUT",
      json: { file: "x" },
      token: person.accessToken,
    });
    expect(json.status).toBe(415);
    expect((await put(undefined, bytes)).status).toBe(401);
    expect((await t.request("/api/users/me/avatar", { method: "DELETE" })).status).toBe(401);
  });

  test("addresses that lead elsewhere", async () => {
    const person = await t.signIn();
    const { avatar } = await set(person, await png(30, 30));
    const url = avatar?.sources[0]?.url ?? "";
    expect((await t.request(url.replace("30.webp", "31.webp"))).status).toBe(404);
    expect((await t.request(url.replace("30.webp", "..%2f30.webp"))).status).toBe(422);
    expect((await t.request(url.replace("30.webp", "30.avif"))).status).toBe(422);
    expect((await t.request(`/api/users/avatars/${t.deps.random.id()}/30.webp`)).status).toBe(404);
    expect((await t.request(`/api/users/avatars/${person.id}/30.webp`)).status).toBe(404);
    expect((await t.request("/api/users/avatars/x/30.webp")).status).toBe(422);
  });
});

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sectionsOf } from "../../src/users/me/archive";
import { eventsOf, STORED_EVENT } from "../analytics";
import { type SignedInPerson, useTestApp } from "../app";
import { eventually, type ServerProcess, startServer } from "../processes";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(120_000);

const t = useTestApp();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "aizy-disk-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Asks for an archive; no process makes it yet. */
async function askForArchive(): Promise<{ person: SignedInPerson; id: string }> {
  const person = await t.signIn();
  const answer = await t.request("/api/users/me/export", { method: "POST", token: person.accessToken });
  return { person, id: ((await answer.json()) as { data: { id: string } }).data.id };
}

const jobOf = (id: string) => t.deps.jobs.mysql.find(id);
const isUp = async (server: ServerProcess) => (await fetch(`${server.address}/health/live`)).status === 200;

/** Waits until the job has failed once with this reason, and then, when the fault is gone, until it is done. */
async function failsAndRecovers(
  server: ServerProcess,
  id: string,
  reason: RegExp,
  mend: () => Promise<unknown>,
) {
  await eventually(async () => reason.test((await jobOf(id))?.lastError ?? ""), `the failure ${reason}`);
  expect(await isUp(server)).toBe(true);
  const { person, id: other } = await askForArchive();
  expect(person.id).not.toBe("");
  await mend();
  await eventually(async () => (await jobOf(id))?.status === "done", "the next try");
  await eventually(async () => (await jobOf(other))?.status === "done", "another's job");
  expect(await isUp(server)).toBe(true);
  expect(await server.kill("SIGTERM")).toBe(0);
  expect(server.output()).not.toContain('"level":"fatal"');
}

describe.skipIf(process.platform !== "linux")("a disk that fails under a server (needs Linux)", () => {
  test.each([
    ["is not there", /piece 3-0 .* is not there/, async () => undefined],
    // The kernel answers EIO to whoever reads there.
    ["cannot be read", /EIO/, (path: string) => symlink("/proc/self/mem", path)],
  ])("a piece of an archive that %s fails its job; the server goes on", async (_, reason, spoil) => {
    const { person, id } = await askForArchive();
    const count = sectionsOf(t.deps, person.id, new Date()).length;
    const pieces = join(folder, "exports", id, "pieces");
    await mkdir(pieces, { recursive: true });
    const piece = (section: number) => join(pieces, `${section}-0`);
    for (let section = 0; section < count; section++) {
      if (section !== 3) await writeFile(piece(section), "{}\n");
    }
    await spoil(piece(3));
    // As a process left it that had written every piece and was about to pack them.
    const progress = { section: count, cursor: null, pieces: Array(count).fill(1) };
    await t.deps.mysql.on().job.update({ where: { id }, data: { progress } });
    const server = await startServer({ STORAGE_DIR: folder });
    try {
      await failsAndRecovers(server, id, reason, async () => {
        await rm(piece(3), { force: true });
        await writeFile(piece(3), "{}\n");
      });
    } finally {
      await server.kill();
    }
  });

  test.skipIf(process.getuid?.() !== 0)(
    "a full disk fails the job that writes (needs root); the server goes on",
    async () => {
      const small = join(folder, "small");
      await mkdir(small);
      const mount = (...words: string[]) =>
        Bun.spawnSync(["mount", ...words, "-t", "tmpfs", "tmpfs", small]).exitCode;
      expect(mount("-o", "size=64k")).toBe(0);
      let server: ServerProcess | undefined;
      try {
        const { person, id } = await askForArchive();
        await eventsOf(t).insertMany(
          Array.from({ length: 400 }, (_, n) => ({
            ...STORED_EVENT,
            _id: `full-${n}`,
            at: t.clock.now(),
            userId: person.id,
            visitor: `u:${person.id}`,
            properties: { n },
          })),
        );
        server = await startServer({ STORAGE_DIR: small });
        await failsAndRecovers(server, id, /ENOSPC/, async () =>
          expect(mount("-o", "remount,size=64m")).toBe(0),
        );
      } finally {
        await server?.kill();
        Bun.spawnSync(["umount", small]);
      }
    },
  );

  test.skipIf(process.getuid?.() !== 0)(
    "a full disk is 503 for pictures and imports, and leaves nothing behind (needs root)",
    async () => {
      const small = join(folder, "full");
      await mkdir(small);
      expect(Bun.spawnSync(["mount", "-o", "size=256k", "-t", "tmpfs", "tmpfs", small]).exitCode).toBe(0);
      let server: ServerProcess | undefined;
      try {
        const manager = await t.signIn({ roles: ["manager"] });
        server = await startServer({ STORAGE_DIR: small });
        const send = (method: string, path: string, body: BodyInit, headers = {}) =>
          fetch(`${server?.address}${path}`, {
            method,
            body,
            headers: { authorization: `Bearer ${manager.accessToken}`, ...headers },
          });
        const json = { "content-type": "application/json" };
        const made = await send("POST", "/api/products", JSON.stringify({ name: "Full", price: 1 }), json);
        const { id } = ((await made.json()) as { data: { id: string } }).data;
        // Noise does not compress: its smaller widths have room, the largest has not.
        const { default: sharp } = await import("sharp");
        const noise = crypto.getRandomValues(Buffer.alloc(60_000));
        const raw = Buffer.concat(
          Array.from({ length: (1200 * 1200 * 3) / 60_000 }, () => crypto.getRandomValues(noise)),
        );
        const picture = await sharp(raw, { raw: { width: 1200, height: 1200, channels: 3 } })
          .png()
          .toBuffer();
        const form = (alt?: string) => {
          const body = new FormData();
          body.set("file", new File([new Uint8Array(picture)], "a.png"));
          if (alt !== undefined) body.set("alt", alt);
          return body;
        };
        const lines = Array.from({ length: 9000 }, (_, n) =>
          JSON.stringify({ sku: `F-${n}`, name: `Full ${n}`, price: 1 }),
        );
        for (const answer of [
          await send("POST", `/api/products/${id}/images`, form("Noise")),
          await send("POST", "/api/products/import", lines.join("\n"), {
            "content-type": "application/x-ndjson",
          }),
        ]) {
          expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "30"]);
          expect(await answer.json()).toMatchObject({ code: "service_unavailable" });
        }
        const left = await readdir(small, { recursive: true, withFileTypes: true });
        expect(left.filter((entry) => entry.isFile())).toEqual([]);
        const small40 = await sharp(raw, { raw: { width: 40, height: 40, channels: 3 } })
          .png()
          .toBuffer();
        const body = new FormData();
        body.set("file", new File([new Uint8Array(small40)], "a.png"));
        expect((await send("PUT", "/api/users/me/avatar", body)).status).toBe(200);
      } finally {
        await server?.kill();
        Bun.spawnSync(["umount", small]);
      }
    },
  );
});

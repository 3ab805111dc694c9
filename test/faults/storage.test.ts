import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import sharp from "sharp";
import { HOUR } from "../../src/lib/clock";
import type { Storage } from "../../src/storage/storage";
import { useTestApp } from "../app";
import { unzip } from "../archive";
import { FAULTS, type StorageCall, withFaults } from "../storage-faults";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(600_000);

const t = useTestApp();
let productId: string;
let picture: Uint8Array<ArrayBuffer>;
let real: Storage;
/** What each call of storage becomes now. */
let fault: (call: StorageCall) => string | undefined = () => undefined;

beforeAll(async () => {
  real = t.deps.storage;
  t.deps.storage = withFaults(real, (call) => fault(call));
  const manager = await t.signIn({ roles: ["manager"] });
  const made = await t.client.api.products.$post({ json: { name: "Pictured", price: 100 } }, manager.auth);
  productId = ((await made.json()) as { data: { id: string } }).data.id;
  picture = new Uint8Array(
    await sharp({ create: { width: 40, height: 40, channels: 3, background: "red" } })
      .png()
      .toBuffer(),
  );
});

/** Each time anew: between two tries of a job more time passes than a token lives. */
const managerToken = async () => (await t.signIn({ roles: ["manager"] })).accessToken;

const form = () => {
  const body = new FormData();
  body.set("file", new File([picture], "a.png"));
  return body;
};
const ok = async (answer: Response) => {
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer;
};
const dataOf = async (answer: Response) =>
  ((await (await ok(answer)).json()) as { data: { id: string } }).data;

/** A job that waits to be run: its id, what its files have in their names, and whether it did its work. */
interface Scenario {
  store: "mysql" | "mongo";
  jobId: string;
  marks: string[];
  check(): Promise<void>;
}

const enqueued = async (
  store: "mysql" | "mongo",
  kind: string,
  payload: Record<string, string>,
  mark: string,
): Promise<Scenario> => {
  const jobId = t.deps.random.id();
  await t.deps.jobs[store].enqueue({ id: jobId, kind, payload, runAt: t.clock.now() });
  return { store, jobId, marks: [mark], check: async () => undefined };
};

const askForArchive = async () => {
  const person = await t.signIn();
  const avatar = { method: "PUT", body: form(), token: person.accessToken };
  await ok(await t.request("/api/users/me/avatar", avatar));
  const avatarId = (await t.deps.users.findById(person.id))?.avatarId ?? "";
  const { id } = await dataOf(
    await t.request("/api/users/me/export", { method: "POST", token: person.accessToken }),
  );
  return { person, avatarId, id };
};

const importing = async (type: string, text: string): Promise<Scenario> => {
  const { id } = await dataOf(
    await t.request("/api/products/import", {
      method: "POST",
      body: text,
      token: await managerToken(),
      headers: { "content-type": type },
    }),
  );
  return {
    store: "mongo",
    jobId: id,
    marks: [id],
    async check() {
      const answer = await t.request(`/api/products/import/${id}`, { token: await managerToken() });
      expect(await answer.json()).toMatchObject({
        data: { status: "done", result: { failed: 0, rows: 61 } },
      });
    },
  };
};

const rows = (line: (n: number) => string) => Array.from({ length: 60 }, (_, n) => line(n)).join("\n");

/** Every kind of job that touches stored files, each made as the application makes it. */
const SCENARIOS: Record<string, () => Promise<Scenario>> = {
  async "users.export"() {
    const { person, avatarId, id } = await askForArchive();
    return {
      store: "mysql",
      jobId: id,
      marks: [id, avatarId],
      async check() {
        const { email, password } = person;
        const { accessToken } = (await dataOf(
          await t.request("/auth/login", { method: "POST", json: { email, password } }),
        )) as unknown as { accessToken: string };
        const answer = await t.request(`/api/users/me/export/${id}/download`, { token: accessToken });
        const files = await unzip(await (await ok(answer)).bytes());
        expect((await sharp(files.get("picture.webp")).metadata()).width).toBe(40);
        expect(JSON.parse(files.get("account.json")?.toString() ?? "")).toMatchObject({ id: person.id });
      },
    };
  },
  async "users.export_expire"() {
    const { person, id } = await askForArchive();
    await t.runner.runDue();
    return enqueued("mysql", "users.export_expire", { exportId: id, userId: person.id }, id);
  },
  async "users.erase"() {
    const { person, avatarId, id } = await askForArchive();
    await t.runner.runDue();
    await ok(
      await t.request("/api/users/me", {
        method: "DELETE",
        json: { password: person.password },
        token: person.accessToken,
      }),
    );
    const job = await t.deps.mysql
      .on()
      .job.findUniqueOrThrow({ where: { dedupeKey: `users.erase:${person.id}` } });
    t.clock.set(new Date(Math.max(job.runAt.getTime(), t.clock.now().getTime())));
    return { store: "mysql", jobId: job.id, marks: [avatarId, id], check: async () => undefined };
  },
  "avatars.clean"() {
    const id = t.deps.random.id();
    return enqueued("mysql", "avatars.clean", { id }, id);
  },
  "bulk.import of NDJSON": () =>
    importing(
      "application/x-ndjson",
      `${rows((n) => JSON.stringify({ sku: `N-${n}`, name: `N ${n}`, price: 1 }))}\n\n`,
    ),
  "bulk.import of CSV": () => importing("text/csv", `sku,name,price\n${rows((n) => `C-${n},C ${n},1`)}\n`),
  async "bulk.export"() {
    const { id } = await dataOf(
      await t.request("/api/products/export", {
        method: "POST",
        json: { format: "ndjson" },
        token: await managerToken(),
      }),
    );
    return {
      store: "mongo",
      jobId: id,
      marks: [id],
      async check() {
        const path = `/api/products/export/${id}/file`;
        expect(await (await ok(await t.request(path, { token: await managerToken() }))).text()).toContain(
          '"Pictured"',
        );
      },
    };
  },
  "bulk.clean"() {
    const id = t.deps.random.id();
    return enqueued("mongo", "bulk.clean", { id }, id);
  },
  async "images.avif"() {
    const path = `/api/products/${productId}/images`;
    const { id } = await dataOf(
      await t.request(path, { method: "POST", body: form(), token: await managerToken() }),
    );
    const job = await t.deps.mongo.connection
      .collection<{ _id: string }>("jobs")
      .findOne({ kind: "images.avif", "payload.id": id });
    return {
      store: "mongo",
      jobId: job?._id ?? "",
      marks: [id],
      check: async () => expect((await t.deps.pictures.findById(id))?.avifWidths).toEqual([40]),
    };
  },
  "images.clean"() {
    const id = t.deps.random.id();
    return enqueued("mongo", "images.clean", { id }, id);
  },
};

const jobOf = ({ store, jobId }: Scenario) => t.deps.jobs[store].find(jobId);

/** Another job that is due, of the same database; what becomes of it. */
const canary = async ({ store }: Scenario) => {
  const kind = store === "mysql" ? "avatars.clean" : "bulk.clean";
  const other = await enqueued(store, kind, { id: t.deps.random.id() }, "");
  return async () => (await jobOf(other))?.status;
};

/** A call without what differs from one run to the next. */
const classOf = ({ name, key }: StorageCall) =>
  `${name} ${key.replace(/[0-9a-f-]{36}/g, "ID").replace(/\d+(-\d+)?(?=$|\.)/, "N")}`;

/** The calls that one kind of job makes on its files, by their class: how many there are. */
async function callsOf(
  begin: () => Promise<Scenario>,
): Promise<Map<string, StorageCall & { count: number }>> {
  const calls = new Map<string, StorageCall & { count: number }>();
  const scenario = await begin();
  fault = (call) => {
    if (!scenario.marks.some((mark) => call.key.includes(mark))) return undefined;
    const known = calls.get(classOf(call));
    calls.set(classOf(call), { ...call, count: (known?.count ?? 0) + 1 });
    return undefined;
  };
  await t.runner.runDue();
  fault = () => undefined;
  expect((await jobOf(scenario))?.status).toBe("done");
  await scenario.check();
  return calls;
}

/** Breaks the call of a class that comes as the `place`th in each run of the job. */
function breaking(scenario: Scenario, wanted: string, place: number, chosen: string) {
  let seen = 0;
  fault = (call) => {
    if (!scenario.marks.some((mark) => call.key.includes(mark)) || classOf(call) !== wanted) return undefined;
    return ++seen === place ? chosen : undefined;
  };
}

/** A file that was removed is not read again: the job that lacks it for good is given up at once. */
const FINAL = /^bulk\.import.* missing$/;

describe.each(Object.keys(SCENARIOS))("%s", (kind) => {
  const begin = SCENARIOS[kind] as () => Promise<Scenario>;

  test("fails with the reason at each broken call, lets others run, and does its work when the file is back", async () => {
    const calls = await callsOf(begin);
    expect(calls.size).toBeGreaterThan(0);
    for (const [wanted, { name, count }] of calls) {
      for (const place of new Set([1, count])) {
        for (const chosen of Object.keys(FAULTS[name])) {
          const what = `${wanted}, call ${place} of ${count}: ${chosen}`;
          const scenario = await begin();
          const other = await canary(scenario);
          breaking(scenario, wanted, place, chosen);
          await t.runner.runDue();
          fault = () => undefined;
          const failed = await jobOf(scenario);
          const final = FINAL.test(`${kind} ${chosen}`);
          expect([what, failed?.status]).toEqual([what, final ? "failed" : "waiting"]);
          expect([what, failed?.lastError]).toEqual([
            what,
            expect.stringMatching(chosen === "missing" ? /is not there|is gone/ : /^(EIO|ENOSPC): the test/),
          ]);
          expect([what, await other()]).toEqual([what, "done"]);
          if (final) continue;
          // Not at once: the next try waits.
          await t.runner.runDue();
          expect([what, (await jobOf(scenario))?.status]).toEqual([what, "waiting"]);
          t.clock.advance(HOUR);
          await t.runner.runDue();
          expect([what, (await jobOf(scenario))?.status]).toEqual([what, "done"]);
          await scenario.check();
        }
      }
    }
  });

  // An erasure is owed to the person: it is tried for days on end.
  test.skipIf(kind === "users.erase")("is given up with its reason when a file stays broken", async () => {
    for (const [wanted, { name }] of await callsOf(begin)) {
      const scenario = await begin();
      const chosen = Object.keys(FAULTS[name]).at(-1) ?? "";
      let tries = 0;
      for (; (await jobOf(scenario))?.status === "waiting"; tries++) {
        expect(tries).toBeLessThan(200);
        breaking(scenario, wanted, 1, chosen);
        await t.runner.runDue();
        t.clock.advance(HOUR);
      }
      fault = () => undefined;
      const given = await jobOf(scenario);
      expect([wanted, given?.status, given?.lastError]).toEqual([
        wanted,
        "failed",
        expect.stringMatching(/^(EIO|ENOSPC): the test/),
      ]);
      expect(tries).toBeGreaterThan(1);
    }
  });
});

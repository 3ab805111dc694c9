/** A rolling restart behind nginx, set up by the sample of deploy/: no request is lost, and no change made twice. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../local/processes";
import { type SignedInPerson, useTestApp } from "./app";
import { nginxPath } from "./nginx";
import { eventually, type Program, type ServerProcess, startProgram, startServer } from "./processes";

const t = useTestApp();
const running = new Set<Program>();
const folder = await mkdtemp(join(tmpdir(), "aizy-nginx-"));
afterAll(async () => {
  for (const program of running) await program.kill();
  await rm(folder, { recursive: true });
});

/** nginx with the sample's settings, but for its addresses, certificate and files. */
async function startNginx(port: number, copies: number[]): Promise<Program> {
  const sample = await readFile("deploy/nginx.conf", "utf8");
  const config = sample
    .replace(
      "worker_processes auto;",
      `master_process off;\ndaemon off;\npid ${folder}/pid;\nerror_log stderr;`,
    )
    .replace("http {", () => {
      const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
      return `http {\naccess_log off;\n${paths.map((name) => `${name}_temp_path ${folder}/${name};`).join("\n")}`;
    })
    .replace("127.0.0.1:5000", `127.0.0.1:${copies[0]}`)
    .replace("127.0.0.1:5001", `127.0.0.1:${copies[1]}`)
    .replace("listen 443 ssl;", `listen 127.0.0.1:${port};`)
    .replace(/^ *ssl_certificate.*$/gm, "");
  await writeFile(join(folder, "nginx.conf"), config);
  const program = startProgram(["-c", join(folder, "nginx.conf"), "-e", "stderr"], {}, nginxPath());
  running.add(program);
  return program;
}

describe.skipIf(nginxPath() === undefined)("a rolling restart behind nginx", () => {
  test("loses no request, reads and changes alike, over kept connections", async () => {
    const serve = async (port: number): Promise<ServerProcess> => {
      const server = await startServer({
        PORT: String(port),
        DRAIN_SECONDS: "3",
        TRUSTED_PROXIES: "127.0.0.1",
        WEB_CONCURRENCY: undefined,
      });
      running.add(server);
      return server;
    };
    const ports = [await freePort(), await freePort(), await freePort()] as const;
    const copies = [await serve(ports[0]), await serve(ports[1])];
    const nginx = await startNginx(ports[2], [ports[0], ports[1]]);
    const address = `http://127.0.0.1:${ports[2]}`;
    await eventually(
      () =>
        fetch(`${address}/health/ready`).then(
          ({ ok }) => ok,
          () => false,
        ),
      "an answer through nginx",
    );

    const people = await Promise.all(Array.from({ length: 8 }, () => t.signIn({ roles: ["manager"] })));
    const statuses: Record<string, number> = {};
    /** What was asked for, once each: the products by name, and each person's last name. */
    const asked = { products: [] as string[], names: new Map<string, string>() };
    let over = false;
    const send = async (
      kind: string,
      { auth }: SignedInPerson,
      method: string,
      path: string,
      json?: object,
    ) => {
      const answer = await fetch(address + path, {
        method,
        headers: {
          ...auth.headers,
          ...(json ? { "content-type": "application/json", "idempotency-key": crypto.randomUUID() } : {}),
        },
        ...(json ? { body: JSON.stringify(json) } : {}),
      });
      await answer.text();
      const key = `${kind} ${answer.status}`;
      statuses[key] = (statuses[key] ?? 0) + 1;
    };
    const call = async (person: SignedInPerson) => {
      for (let n = 0; !over; n++) {
        await send("live", person, "GET", "/health/live");
        await send("read", person, "GET", "/api/products?limit=1");
        const name = `${person.id} ${n}`;
        // nginx may send it twice, by its key; it must have been done once.
        if (n % 2 === 0) {
          asked.products.push(name);
          await send("product", person, "POST", "/api/products", { name, price: 100 });
        } else {
          asked.names.set(person.id, name);
          await send("profile", person, "PATCH", "/api/users/me", { name });
        }
        await Bun.sleep(5);
      }
    };
    const callers = people.map(call);
    for (const [n, copy] of copies.entries()) {
      copy.child.kill("SIGTERM");
      await copy.line(/stopping soon/);
      const ready = await fetch(`${copy.address}/health/ready`);
      expect(ready.status).toBe(503);
      expect(ready.headers.get("connection")).toBe("close");
      expect(await ready.json()).toMatchObject({ data: { status: "down", server: "down", mysql: "up" } });
      expect(await copy.ended()).toBe(0);
      await serve(ports[n] ?? 0);
    }
    over = true;
    await Promise.all(callers);
    const all = ["live 200", "product 201", "profile 200", "read 200"];
    expect(Object.keys(statuses).sort(), nginx.output()).toEqual(all);
    expect(statuses["product 201"]).toBeGreaterThan(50);
    // None lost, and none doubled.
    const products = await t.deps.mongo.connection.collection("products").find().toArray();
    expect(products.map(({ name }) => name).sort()).toEqual(asked.products.sort());
    const users = await t.deps.mysql
      .on()
      .user.findMany({ where: { id: { in: people.map(({ id }) => id) } } });
    expect(new Map(users.map(({ id, name }) => [id, name]))).toEqual(asked.names);
  }, 120_000);
});

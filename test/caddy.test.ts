/** The Caddyfile of deploy/ with TLS by Caddy's own authority, in front of a production server. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../local/processes";
import { useTestApp } from "./app";
import { eventually, type Program, type ServerProcess, startProgram, startServer } from "./processes";

useTestApp();

const caddy = process.env.CADDY || Bun.which("caddy");
const running = new Set<Program>();
const folder = await mkdtemp(join(tmpdir(), "aizy-caddy-"));
afterAll(async () => {
  for (const program of running) await program.kill();
  await rm(folder, { recursive: true });
});

/** An address of this machine that is not its own loopback, where there is one: a caller as others are. */
const HOST =
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";

/** Runs Caddy to its end. @returns its code and what it said */
async function runCaddy(words: string[], env: Record<string, string> = {}): Promise<[number, string]> {
  const program = startProgram(
    words,
    { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder, ...env },
    caddy ?? "",
  );
  return [await program.ended(), program.output()];
}

const version = async () => (await runCaddy(["version"]))[1].replace(/^v/, "").split(" ")[0]?.trim() ?? "";
/** https://github.com/caddyserver/caddy/pull/5841 */
const letsChangesWait = (number: string) => Bun.semver.satisfies(number, ">=2.7.5");

interface Answer {
  status: number;
  headers: IncomingMessage["headers"];
  text: string;
}

describe.skipIf(!caddy)("Caddy", () => {
  test("takes the sample as it is, and as compose.yaml sets it", async () => {
    const validate = ["validate", "--config", "deploy/Caddyfile", "--adapter", "caddyfile"];
    const samples: Record<string, string>[] = [{}, { SITE: "api.shop.test", COPIES: "app:5000" }];
    for (const env of samples)
      expect(await runCaddy(validate, env)).toEqual([0, expect.stringContaining("Valid configuration")]);
  }, 60_000);

  test("TLS, sign-in, sizes, events and addresses; a copy that is replaced costs no request", async () => {
    const [plain, secure, port] = [await freePort(), await freePort(), await freePort()];
    const site = `https://${HOST}:${secure}`;
    const sample = await readFile("deploy/Caddyfile", "utf8");
    const file = join(folder, "Caddyfile");
    const settings = [
      `http_port ${plain}`,
      `https_port ${secure}`,
      "admin off",
      "skip_install_trust",
      "local_certs",
    ];
    await writeFile(file, `{\n${settings.join("\n")}\nstorage file_system ${folder}/storage\n}\n${sample}`);
    const front = startProgram(
      ["run", "--config", file, "--adapter", "caddyfile"],
      { HOME: folder, XDG_CONFIG_HOME: folder, SITE: site, COPIES: `127.0.0.1:${port}` },
      caddy ?? "",
    );
    running.add(front);
    const serve = async (): Promise<ServerProcess> => {
      const server = await startServer({
        NODE_ENV: "production",
        PORT: String(port),
        HOST: "127.0.0.1",
        DRAIN_SECONDS: "2",
        TRUSTED_PROXIES: "127.0.0.1",
        APP_URL: "https://shop.test",
        CORS_ORIGINS: "https://shop.test",
        SMTP_URL: "smtp://127.0.0.1:2525",
        MAIL_FROM: "no-reply@shop.test",
        WEB_CONCURRENCY: undefined,
      });
      running.add(server);
      return server;
    };
    let server = await serve();
    const authority = join(folder, "storage/pki/authorities/local/root.crt");
    await eventually(() => Bun.file(authority).exists(), "Caddy's own authority");
    const ca = await readFile(authority, "utf8");

    /** Opens a request through Caddy, whose certificate is checked. */
    const open = (
      path: string,
      given: { method?: string; headers?: Record<string, string>; body?: Uint8Array | string } = {},
    ) =>
      new Promise<IncomingMessage>((resolve, reject) => {
        const { method = "GET", headers = {}, body } = given;
        const outgoing = request(`${site}${path}`, { method, headers, ca }, resolve).on("error", reject);
        outgoing.end(body);
      });
    const ask = async (...words: Parameters<typeof open>): Promise<Answer> => {
      const answer = await open(...words);
      let text = "";
      for await (const chunk of answer) text += chunk;
      return { status: answer.statusCode ?? 0, headers: answer.headers, text };
    };
    const json = { "content-type": "application/json" };
    await eventually(
      () =>
        ask("/health/ready").then(
          ({ status }) => status === 200,
          () => false,
        ),
      "an answer through Caddy",
    );

    const redirected = await fetch(`http://${HOST}:${plain}/health/live`, { redirect: "manual" });
    expect([redirected.status, redirected.headers.get("location")]).toEqual([
      308,
      expect.stringMatching(/^https:\/\//),
    ]);
    expect((await ask("/metrics")).status).toBe(404);

    // The first administrator, as the guide makes one.
    const made = startProgram(["src/users/admin.cli.ts", "create", "ann@shop.test", "--generate"]);
    expect([await made.ended(), made.output()]).toEqual([0, expect.any(String)]);
    const password = /password[^:]*: (\S+)/i.exec(made.output())?.[1] ?? made.output();
    const signedIn = await ask("/auth/login", {
      method: "POST",
      headers: { ...json, origin: "https://shop.test", "x-forwarded-for": "203.0.113.7" },
      body: JSON.stringify({ email: "ann@shop.test", password }),
    });
    expect([signedIn.status, signedIn.text]).toEqual([200, expect.stringContaining("accessToken")]);
    expect(signedIn.headers["set-cookie"]?.join()).toMatch(/__Secure-aizy_refresh=[^;]+;.*Secure/);
    const { accessToken } = (JSON.parse(signedIn.text) as { data: { accessToken: string } }).data;
    const authorization = `Bearer ${accessToken}`;
    // Whom Caddy saw, not what the caller says of itself.
    const sessions = await ask("/auth/sessions", { headers: { authorization } });
    expect(JSON.parse(sessions.text)).toMatchObject({ data: [{ ip: HOST }] });

    const post = (path: string, bytes: number) =>
      ask(path, {
        method: "POST",
        headers: { ...json, authorization },
        body: new Uint8Array(bytes).fill(32),
      });
    // Within Caddy's limit, and refused by the server's own with its problem document.
    expect(JSON.parse((await post("/auth/login", 2 ** 20 * 2)).text)).toMatchObject({ status: 413 });
    expect((await post("/api/products", 2 ** 20 * 12)).status).toBe(413);
    const imported = await ask("/api/products/import?dryRun=true", {
      method: "POST",
      headers: { authorization, "content-type": "application/x-ndjson", "idempotency-key": "caddy-import-1" },
      body: `${JSON.stringify({ name: "Lamp", description: "x".repeat(1000), variants: [{ sku: "C-1", price: 9 }] })}\n${" ".repeat(2 ** 20 * 12)}\n`,
    });
    expect([imported.status, imported.text]).toEqual([202, expect.any(String)]);

    // An event arrives while the stream is open.
    const stream = await open("/api/analytics/live", { headers: { authorization } });
    expect(stream.headers["content-type"]).toContain("text/event-stream");
    const [first] = (await Promise.race([
      new Promise<string[]>((resolve) => stream.once("data", (chunk: Buffer) => resolve([String(chunk)]))),
      Bun.sleep(30_000).then(() => ["nothing came"]),
    ])) as string[];
    expect(first).toMatch(/^(event|id|data|retry|:)/m);
    stream.destroy();

    // One copy alone: whoever comes meanwhile waits for the next one.
    const statuses: Record<string, number> = {};
    let over = false;
    const callers = Array.from({ length: 4 }, async (_, n) => {
      while (!over) {
        const answer =
          n % 2 === 0 ? await ask("/health/live") : await ask("/auth/login", { method: "POST", body: "{}" });
        const key = `${n % 2 === 0 ? "read" : "change"} ${answer.status}`;
        statuses[key] = (statuses[key] ?? 0) + 1;
        await Bun.sleep(5);
      }
    });
    server.child.kill("SIGTERM");
    expect(await server.ended()).toBe(0);
    server = await serve();
    await eventually(() => ask("/health/ready").then(({ status }) => status === 200), "the new copy");
    over = true;
    await Promise.all(callers);
    // An old Caddy refuses changes meanwhile, which nobody has carried out; reads wait with any.
    const refused = letsChangesWait(await version()) ? [] : ["change 503"];
    const seen = Object.keys(statuses).filter((status) => !refused.includes(status));
    expect(seen.sort(), front.output()).toEqual(["change 415", "read 200"]);
  }, 180_000);
});

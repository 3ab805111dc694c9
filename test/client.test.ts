import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildClient } from "../local/build-client";
import { CHECKOUT } from "../local/paths";
import type { createClient } from "../src/client";
import { useTestApp } from "./app";

const t = useTestApp();
const frontend = mkdtempSync(join(tmpdir(), "aizy-frontend-"));
afterAll(() => rmSync(frontend, { recursive: true, force: true }));

const USE = `
import { createClient } from "aizy-backend/client";
const api = createClient("http://localhost:5000");

const answer = await api.api.products.search.$get({ query: { q: "lamp" } });
if (!answer.ok) throw new Error((await answer.json()).detail);
const { data } = await answer.json();
export const prices: number[] = data.map(({ price }) => price.amount);
// @ts-expect-error a product has no such field
export const wrongField = data[0]?.nothing;

const login = await api.auth.login.$post({ json: { email: "a@example.com", password: "b" } });
if (login.status === 401) (await login.json()).code satisfies string;
// @ts-expect-error an email is text
await api.auth.login.$post({ json: { email: 1, password: "b" } });
// @ts-expect-error there is no such route
await api.api.nothing.$get();
`;

test("a frontend with Hono alone compiles against the built client, and its calls reach the server", async () => {
  const client = join(frontend, "node_modules/aizy-backend");
  mkdirSync(join(frontend, "node_modules"), { recursive: true });
  const files = await buildClient(client);
  symlinkSync(join(CHECKOUT, "node_modules/hono"), join(frontend, "node_modules/hono"));
  writeFileSync(join(frontend, "use.ts"), USE);
  writeFileSync(
    join(frontend, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ESNext",
        module: "ESNext",
        moduleResolution: "bundler",
        lib: ["ESNext", "DOM", "DOM.Iterable"],
        types: [],
        strict: true,
        noEmit: true,
        // Hono lies beside it by a link; followed, it would find this checkout's other packages.
        preserveSymlinks: true,
      },
      files: ["use.ts"],
    }),
  );
  // With the declarations of libraries checked as well: whatever they lead to has to be there.
  const tsc = Bun.spawn([join(CHECKOUT, "node_modules/.bin/tsc"), "--project", frontend], { stdout: "pipe" });
  expect(await new Response(tsc.stdout).text()).toBe("");
  expect(await tsc.exited).toBe(0);

  // Nothing of the server is in it.
  expect(files).not.toContain("config.d.ts");
  expect(readFileSync(join(client, "client.js"), "utf8").length).toBeLessThan(2000);

  const built = (await import(join(client, "client.js"))) as { createClient: typeof createClient };
  const api = built.createClient("http://localhost", {
    fetch: (input: RequestInfo | URL, init?: RequestInit) => t.app.request(input, init),
  });
  const live = await api.health.live.$get();
  expect(await live.json()).toEqual({ data: { status: "up" } });
}, 240_000);

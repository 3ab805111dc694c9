/** The package that a frontend installs, as \`bun run build:client\` makes it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { buildClient } from "../local/build-client";
import { CHECKOUT } from "../local/paths";

const frontend = mkdtempSync(join(tmpdir(), "aizy-frontend-"));
const client = join(frontend, "node_modules/aizy-backend");
let files: string[];
beforeAll(async () => {
  mkdirSync(client, { recursive: true });
  files = await buildClient(client);
  symlinkSync(join(CHECKOUT, "node_modules/hono"), join(frontend, "node_modules/hono"));
});
afterAll(() => rmSync(frontend, { recursive: true, force: true }));

const USE = `
import { createAnalytics } from "aizy-backend/analytics";
import { ApiError, createClient, isApiError, type ErrorCode, type ListedProduct, type Problem, type Product } from "aizy-backend/client";
import { money } from "aizy-backend/format";
import { changeOf, keyOf, pagesOf, queryOf, useUser } from "aizy-backend/react";
import { forwardCookies } from "aizy-backend/server";

const shop = createClient("http://localhost:5000");
const { data, page } = await shop.api.products.search.$get({ query: { q: "lamp", limit: 5, "filter[attr.color]": "red" } });
export const prices: number[] = data.map(({ price }) => price.amount);
export const more: string | null = page.nextCursor;
// @ts-expect-error a product has no such field
export const wrongField = data[0]?.nothing;

const login = await shop.auth.login.$post({ json: { email: "a@example.com", password: "b" } });
export const token: string = login.status === 202 ? login.data.challenge : login.data.accessToken;
// @ts-expect-error an email is text
await shop.auth.login.$post({ json: { email: 1, password: "b" } });
// @ts-expect-error there is no such route
await shop.api.nothing.$get();
// @ts-expect-error nor such a method
await shop.api.products.$put();

const reserved = await shop.api.products.inventory.reservations.$post({ json: { lines: [] } } as never).result();
if (reserved.error?.code === "insufficient_stock") reserved.error.members.available satisfies number;
// @ts-expect-error the route has no such code
if (reserved.error?.code === "invalid_credentials") throw reserved.error;
if (!reserved.error) reserved.data.id satisfies string;

for await (const product of shop.api.products.$list({ query: { "filter[brand]": "Lux" } })) product satisfies ListedProduct;
// @ts-expect-error what is no list has no items
shop.api.users.me.$list();
for await (const { id } of shop.api.analytics.live.$events()) id satisfies string | undefined;
const { data: file } = await shop.api.products.export[":id"].file.$get({ param: { id: "1" } });
file.name satisfies string;

export const show = (product: Product) => money(product.price, "de");
export const told = (error: unknown) => {
  if (isApiError(error, "insufficient_stock")) return error.members.requested;
  return error instanceof ApiError ? (error.problem satisfies Problem | undefined) : undefined;
};
export const code: ErrorCode = "gone";
shop.session.onSignedOut((reason) => reason satisfies "signed_out" | "ended")();

const { signal } = new AbortController();
(await queryOf(shop.api.products[":id"].$get, { param: { id: "1" } }).queryFn({ signal })).data satisfies Product;
(await queryOf(shop.auth.sessions.$get).queryFn({ signal })).data.map(({ current }) => current);
// @ts-expect-error it wants an id
queryOf(shop.api.products[":id"].$get);
// @ts-expect-error what is no list has no pages
pagesOf(shop.api.users.me.$get);
(await pagesOf(shop.api.products.$get, { query: { limit: 2 } }).queryFn({ signal, pageParam: "x" })).data satisfies ListedProduct[];
await changeOf(shop.api.users.me.$patch).mutationFn({ json: { name: "Ann" }, ifMatch: '"v1"' });
await changeOf(shop.auth.logout.$post).mutationFn();
// @ts-expect-error a name is text
await changeOf(shop.api.users.me.$patch).mutationFn({ json: { name: 1 } });
export const who: string | undefined = useUser(shop)?.name;
keyOf(shop.api.users.me.$get)[0] satisfies string;
createAnalytics("http://localhost:5000/api/x", { consent: "granted" }).track("Product Viewed", { product_id: "1" });
createClient("http://localhost:5000", forwardCookies({ cookie: null, origin: "https://shop.example", onSetCookie: () => undefined }));
`;

const HONO = `
import type { ApiType } from "aizy-backend/hono";
import { hc } from "hono/client";

const answer = await hc<ApiType>("http://localhost:5000").api.products.search.$get({ query: { q: "lamp" } });
if (answer.ok) (await answer.json()).data[0]?.price.amount satisfies number | undefined;
else (await answer.json()).code satisfies string;
// @ts-expect-error there is no such route
hc<ApiType>("http://localhost:5000").api.nothing;
`;

/** Compiles a frontend that has nothing but the client and Hono. @returns what the compiler says */
async function compile(module: string, moduleResolution: string): Promise<string> {
  const folder = join(frontend, module);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "use.ts"), USE);
  writeFileSync(join(folder, "hono.ts"), HONO);
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        ...{ target: "ES2022", module, moduleResolution, lib: ["ES2022", "DOM", "DOM.Iterable"], types: [] },
        ...{ strict: true, noEmit: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
        // The client lies beside Hono, which is a link; followed, it would find this checkout's packages.
        preserveSymlinks: true,
      },
      files: ["use.ts", "hono.ts"],
    }),
  );
  // Declarations of libraries are checked as well: whatever they lead to has to be there.
  const tsc = Bun.spawn([join(CHECKOUT, "node_modules/.bin/tsc"), "--project", folder], { stdout: "pipe" });
  return await new Response(tsc.stdout).text();
}

describe("the client's package", () => {
  test("a frontend compiles against it, with Node's resolution and with a bundler's", async () => {
    const said = await Promise.all([compile("NodeNext", "NodeNext"), compile("ESNext", "bundler")]);
    expect(said).toEqual(["", ""]);
  });

  test("holds nothing of the server, needs nothing, and is small", () => {
    const { dependencies, exports } = JSON.parse(readFileSync(join(client, "package.json"), "utf8"));
    expect(dependencies).toBeUndefined();
    const entries = [...JSON.stringify(exports).matchAll(/":"(\.\/[^"]+)"/g)].map(([, path]) => path ?? "");
    expect(entries.length).toBe(29);
    expect(entries.filter((path) => !files.includes(path.slice(2)))).toEqual([]);
    for (const file of files.filter((name) => /\.(js|d\.ts)$/.test(name))) {
      const imported = [...readFileSync(join(client, file), "utf8").matchAll(/from ?"([^"]+)"/g)].map(
        ([, name]) => name,
      );
      const own = imported.filter((name) => !/^\.\/\w+\.js$/.test(name ?? ""));
      const other = { "hono.d.ts": ["hono"], "react.js": ["react"] }[file] ?? [];
      expect([file, own]).toEqual([file, other]);
    }
    const compressed = (file: string) => gzipSync(readFileSync(join(client, file)), { level: 9 }).length;
    expect(compressed("index.js")).toBeLessThan(6000);
    expect(compressed("analytics.js")).toBeLessThan(2000);
    expect(compressed("react.js")).toBeLessThan(1500);
  });
});

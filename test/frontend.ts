/** A frontend that has nothing but the client and Hono, and compilers that read it. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CHECKOUT } from "../local/paths";

/** Uses most of what the client has, and what its types have to refuse. */
export const USE = `
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

/**
 * A folder for frontends, with Hono; the package goes into what it returns.
 * @returns where a frontend looks for the client
 */
export function prepareFrontend(folder: string): string {
  const client = join(folder, "node_modules/aizy-backend");
  mkdirSync(client, { recursive: true });
  symlinkSync(join(CHECKOUT, "node_modules/hono"), join(folder, "node_modules/hono"));
  return client;
}

export interface Compiler {
  module: "Node16" | "NodeNext" | "ESNext";
  moduleResolution: "Node16" | "NodeNext" | "bundler";
  /** Unless it is left out, declarations of libraries are checked as well: whatever they lead to has to be there. */
  skipLibCheck?: boolean;
  /** Where `tsc` is, when not the project's own. */
  tsc?: string;
}

/** Compiles a frontend under `--strict`. @returns what the compiler says: nothing when all is well */
export async function compileFrontend(
  frontend: string,
  { tsc = join(CHECKOUT, "node_modules/.bin/tsc"), ...options }: Compiler,
): Promise<string> {
  const folder = join(frontend, Bun.hash(JSON.stringify([tsc, options])).toString(36));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "use.ts"), USE);
  writeFileSync(join(folder, "hono.ts"), HONO);
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        ...{ target: "ES2022", lib: ["ES2022", "DOM", "DOM.Iterable"], types: [] },
        ...{ strict: true, noEmit: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
        // The client lies beside Hono, which is a link; followed, it would find this checkout's packages.
        preserveSymlinks: true,
        ...options,
      },
      files: ["use.ts", "hono.ts"],
    }),
  );
  const child = Bun.spawn([tsc, "--project", folder], { stdout: "pipe" });
  return await new Response(child.stdout).text();
}

/** The sample frontend: its packages, and its pages beside `bin/dev --storefront`. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "../client/src/client";
import { CHECKOUT } from "./paths";
import { boundToParent } from "./processes";
import { commandEnv } from "./run";

/** Where the sample frontend is. */
export const STOREFRONT = join(CHECKOUT, "examples/storefront");

/** Whether the sample frontend has the packages that it is built with. */
export const hasStorefront = (): boolean => existsSync(join(STOREFRONT, "node_modules/vite"));

async function run(cwd: string, ...words: string[]): Promise<void> {
  const child = Bun.spawn([process.execPath, ...words], {
    ...{ cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  });
  const said = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0)
    throw new Error(`bun ${words.join(" ")} failed:\n${said.join("").trim().slice(-2000)}`);
}

/** Installs its packages from its lockfile, the client among them. @throws Error with what the installer said */
export async function installStorefront(): Promise<void> {
  await run(CHECKOUT, "local/build-client.ts");
  await run(STOREFRONT, "install", "--frozen-lockfile", "--silent");
}

/** Builds its pages on the client as it is now; installs its packages first, where they are missing. */
export async function buildStorefront(): Promise<void> {
  // Its copy of the client is another one after each change of the routes.
  await installStorefront();
  await run(STOREFRONT, "run", "build");
}

const KEY = "storefront of bin/dev";

/** The key that its server holds stock with; the one of the last time is taken back. */
async function checkoutKey(api: string, email: string, password: string): Promise<string> {
  const { auth } = createClient(api);
  await auth.login.$post({ json: { email, password } });
  for await (const { id, name } of auth["api-keys"].$list())
    if (name === KEY) await auth["api-keys"][":id"].$delete({ param: { id } });
  const { data } = await auth["api-keys"].$post({
    json: { name: KEY, permissions: ["reservations:write"], password },
  });
  await auth.logout.$post();
  return data.key;
}

/**
 * Serves its pages, until `stop` or the end of this process.
 * @param api the address of the API, whose administrator has this address and password
 * @returns why nothing can be ordered; undefined when all is well
 */
export async function serveStorefront(
  { api, port }: { api: string; port: number },
  { email, password }: { email: string; password: string },
): Promise<{ closed: string | undefined; stop(): void }> {
  const key = await checkoutKey(api, email, password).catch((error: Error) => error);
  const server = Bun.spawn(boundToParent(["bun", "server.ts"]), {
    ...{ cwd: STOREFRONT, stdin: "ignore", stdout: "ignore", stderr: "inherit" },
    env: commandEnv({
      ...{ API_URL: api, PORT: String(port) },
      ...(key instanceof Error ? {} : { CHECKOUT_KEY: key }),
    }),
  });
  return { closed: key instanceof Error ? key.message : undefined, stop: () => server.kill() };
}

import { afterAll, beforeAll, setDefaultTimeout } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hc } from "hono/client";
import { type AppType, createApp } from "../src/app";
import { createRunner } from "../src/background";
import { type Config, parseConfig } from "../src/config";
import { createStockKeeper, type StockKeeper } from "../src/inventory/keeper";
import type { JobRunner } from "../src/jobs/runner";
import { emailKey } from "../src/lib/email";
import type { Mail } from "../src/mail/mail";
import { silentLogger } from "../src/telemetry/log";
import { administer } from "../src/users/admin.cli";
import { ensureRoles } from "../src/users/roles/ensure";
import type { Deps } from "../src/wire";
import { createDeps } from "../src/wire";
import { emptyDatabases } from "./databases";

/** A clock that stands where it is put and can be moved. Starts at the real time, so that tokens look alive. */
export class TestClock {
  #now = Date.now();
  now = (): Date => new Date(this.#now);
  /** Moves on by some milliseconds; back with a negative number. */
  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }
  set(time: Date | string): void {
    this.#now = new Date(time).getTime();
  }
}

/** The routes with their types, as Hono's own client gives them. */
export type Client = ReturnType<typeof hc<AppType>>;

/** The application on this worker's databases, with a clock and a mailbox that tests hold in hand. */
export interface TestApp {
  app: AppType;
  deps: Deps;
  clock: TestClock;
  /** Every mail that was sent, oldest first. */
  mails: Mail[];
  client: Client;
  runner: JobRunner;
  /** What a process does for stock by itself; here only when a test asks for a round. */
  keeper: StockKeeper;
  /** A request straight to the application, as `app.request`. */
  request(path: string, init?: RequestInit & { json?: unknown; token?: string }): Promise<Response>;
  /** A verified account with these roles, signed in. */
  signIn(options?: {
    email?: string;
    password?: string;
    name?: string;
    roles?: string[];
  }): Promise<SignedInPerson>;
}

export interface SignedInPerson {
  id: string;
  email: string;
  password: string;
  accessToken: string;
  refreshToken: string;
  /** For the typed client's second argument. */
  auth: { headers: { Authorization: string } };
}

/**
 * Registers hooks that give the file a clean application: databases emptied before the file's tests, closed
 * after them. The fields are there once the tests run.
 */
export function useTestApp(
  change: (config: Config) => Partial<Config> = () => ({}),
  given: (config: Config) => Parameters<typeof createDeps>[2] = () => ({}),
): TestApp {
  // A hang guard for the file's tests: Bun's own five seconds are too few for real databases on a busy machine.
  setDefaultTimeout(180_000);
  const clock = new TestClock();
  const mails: Mail[] = [];
  const testApp = { clock, mails } as TestApp;
  let folder: string;

  beforeAll(async () => {
    await emptyDatabases({
      databaseUrl: process.env.DATABASE_URL ?? "",
      mongodbUri: process.env.MONGODB_URI ?? "",
    });
    folder = await mkdtemp(join(tmpdir(), "aizy-test-"));
    const config = {
      ...parseConfig(process.env),
      storageDir: join(folder, "files"),
      databasePool: 8,
      mongodbPool: 16,
    };
    const changed = { ...config, ...change(config) };
    const deps = createDeps(changed, silentLogger(), {
      ...given(changed),
      clock,
      mail: {
        send: async (mail) => {
          mails.push(mail);
        },
        close: () => undefined,
      },
    });
    await deps.mongo.connection.asPromise();
    await ensureRoles(deps);
    const app = createApp(deps);
    testApp.deps = deps;
    testApp.app = app;
    testApp.runner = createRunner(deps);
    testApp.keeper = createStockKeeper(deps);
    testApp.client = hc<AppType>("http://localhost", {
      fetch: (input: RequestInfo | URL, init?: RequestInit) => app.request(input, init),
    });
    testApp.request = async (path, { json, token, ...init } = {}) => {
      const headers = new Headers(init.headers);
      if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
      if (json !== undefined) headers.set("content-type", "application/json");
      return app.request(path, {
        ...init,
        headers,
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      });
    };
    testApp.signIn = (options) => signIn(testApp, options);
  });

  afterAll(async () => {
    await testApp.deps?.close();
    if (folder) await rm(folder, { recursive: true, force: true });
  });
  return testApp;
}

/**
 * What `bun run admin` does, on the application's own databases.
 * @param password what is typed when it asks for one
 */
export async function admin({ deps }: TestApp, words: string[], password = "") {
  const said = { out: "", err: "" };
  const code = await administer(
    words,
    {
      out: (line) => {
        said.out += `${line}\n`;
      },
      err: (line) => {
        said.err += `${line}\n`;
      },
      password: async () => password,
    },
    async () => ({ ...deps, close: async () => undefined }),
  );
  return { ...said, code };
}

/** Asks again for as long as the answer is a 503 that says when to come back, as it may be on a busy machine. */
export async function insist<Answer extends { status: number; headers: Headers }>(
  ask: () => Promise<Answer>,
): Promise<Answer> {
  for (;;) {
    const answer = await ask();
    const after = answer.headers.get("retry-after");
    if (answer.status !== 503 || after === null) return answer;
    await Bun.sleep(Number(after) * 1000);
  }
}

async function signIn(
  { deps, client }: TestApp,
  options: { email?: string; password?: string; name?: string; roles?: string[] } = {},
): Promise<SignedInPerson> {
  const id = deps.random.id();
  const {
    email = `person-${id}@example.com`,
    password = "a password of tests",
    name = "Test",
    roles = [],
  } = options;
  const now = deps.clock.now();
  const user = await deps.users.findOrCreate({ id, email, emailCanonical: emailKey(email), name, now });
  await deps.users.verify(user.id, { name, email, hashedPassword: await deps.passwords.hash(password), now });
  for (const role of ["customer", ...roles]) await deps.roles.grantNamed(user.id, role, now);
  const answer = await client.auth.login.$post({ json: { email, password } });
  if (answer.status !== 200)
    throw new Error(`sign-in of a test failed: ${answer.status} ${await answer.text()}`);
  const { accessToken, refreshToken = "" } = (await answer.json()).data;
  return {
    id: user.id,
    email,
    password,
    accessToken,
    refreshToken,
    auth: { headers: { Authorization: `Bearer ${accessToken}` } },
  };
}

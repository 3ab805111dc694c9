/** The programs that are compared, each a server of its own on a processor of its own. */
import { mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../local/processes";
import { familyOf } from "./machine";

const CHECKOUT = join(import.meta.dir, "../..");
const MODULES = join(import.meta.dir, "node_modules");

export interface Side {
  name: string;
  what: string;
  /** Takes the tokens that jsonwebtoken makes, and not the product's own. */
  peer: boolean;
  command: string[];
  cwd?: string;
  /** Its people and its answers are its own: it says its token itself, at `/bench/token`. */
  ownAnswers?: true;
  /** The scenarios that it answers; absent: all. */
  only?: string[];
}

const node = join(MODULES, "node/bin/node");
const here = (file: string) => join(import.meta.dir, file);

export const PRODUCT: Side = {
  name: "product",
  what: "this project",
  peer: false,
  command: [process.execPath, "src/index.ts"],
};

/** Another checkout of the project, to tell what a change brought. */
export const otherCheckout = (path: string): Side => ({
  ...PRODUCT,
  name: "other",
  what: "another checkout of this project",
  cwd: path,
});

/** Builds the project as its image does. @returns how that is started */
export async function builtSide(): Promise<Side> {
  const child = Bun.spawn([process.execPath, "local/script.ts", "build"], {
    cwd: CHECKOUT,
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`the build failed:\n${said}`);
  return { ...PRODUCT, name: "built", command: [process.execPath, "dist/src/index.js"] };
}

export const PEERS: Side[] = [
  { name: "replaced", what: "Express on Node", peer: true, command: [node, here("replaced.js")] },
  { name: "fastify", what: "Fastify on Node", peer: true, command: [node, here("fastify.js")] },
  {
    name: "better-auth",
    what: "Better Auth on Hono and Bun",
    peer: true,
    command: [process.execPath, here("better-auth.js")],
    only: ["me-admin", "me-customer", "sign-in"],
    ownAnswers: true,
  },
  {
    name: "floor",
    what: "Bun.serve, bare drivers",
    peer: true,
    command: [process.execPath, here("floor.js")],
  },
];

export interface Running {
  side: Side;
  url: string;
  /** Of a side whose people are its own. */
  token?: string;
  /** From the start of the process to its first answer, in milliseconds. */
  startedIn: number;
  processes(): number[];
  stop(): Promise<void>;
}

/** What the product wants to know in production. */
export const PRODUCTION = {
  NODE_ENV: "production",
  HOST: "127.0.0.1",
  LOG_LEVEL: "info",
  APP_URL: "http://localhost:3000",
  CORS_ORIGINS: "http://localhost:3000",
  SMTP_URL: "smtp://127.0.0.1:9",
  MAIL_FROM: "Bench <no-reply@localhost>",
  // No balancer has to notice that it stops.
  DRAIN_SECONDS: "0",
};

/** A hang guard, in milliseconds. */
const PATIENCE = 60_000;

/**
 * Starts a side and waits until it answers `path`. Its log goes to a file, as in use.
 * @param processor that it runs on
 */
export async function startSide(
  side: Side,
  processor: string,
  { path = "/health/live", env = {} }: { path?: string; env?: Record<string, string> } = {},
): Promise<Running> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const logs = join(CHECKOUT, ".data/bench");
  mkdirSync(logs, { recursive: true });
  const log = openSync(join(logs, `${side.name}.log`), "w");
  const started = performance.now();
  const child = Bun.spawn(["taskset", "-c", processor, ...side.command], {
    cwd: side.cwd ?? CHECKOUT,
    env: { ...process.env, ...PRODUCTION, PORT: String(port), ...env },
    stdin: "ignore",
    stdout: log,
    stderr: log,
  });
  for (;;) {
    if (child.exitCode !== null || performance.now() - started > PATIENCE) {
      child.kill();
      throw new Error(`${side.name} did not start; see .data/bench/${side.name}.log`);
    }
    const answer = await fetch(`${url}${path}`).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok) break;
    await Bun.sleep(5);
  }
  const startedIn = performance.now() - started;
  const own = side.ownAnswers ? await fetch(`${url}/bench/token`).then((answer) => answer.json()) : undefined;
  return {
    side,
    url,
    token: (own as { data: { token: string } } | undefined)?.data.token,
    startedIn,
    processes: () => familyOf([child.pid]),
    async stop() {
      child.kill("SIGTERM");
      // A profile of a busy server takes a while to write.
      await Promise.race([child.exited, Bun.sleep(30_000)]);
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

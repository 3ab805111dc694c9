/**
 * A long mixed load: 70 % reads, 20 % writes, 10 % sign-ins, at 60 % of what the server was measured to carry just
 * before. `bun run bench soak [--minutes=2] [--check]`, on databases of its own beside those that the environment
 * names. Writes bench/results/soak.svg.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ensureRoles } from "../src/users/roles/ensure";
import { startServer } from "../test/processes";
import { startSmtpServer } from "../test/smtp";
import {
  addPerson,
  type Goal,
  load,
  onThrowAwayDatabases,
  options,
  percentile,
  reportGoals,
  withDeps,
} from "./lib";
import { PRODUCTION } from "./peers/sides";
import { type Panel, plotPanels } from "./plot";

const MINUTES = Number(process.argv.find((word) => word.startsWith("--minutes="))?.slice(10) ?? 2);
const [CALLERS, ACCOUNTS, PRODUCTS] = [32, 1000, 100];
const SHARE = 0.6;
const PASSWORD = "a password of benchmarks";
/** How long the capacity is measured, in seconds. */
const MEASURE = options.quick ? 5 : 15;
/** Memory before this is the server's start, in seconds: two minutes, or a quarter of a short run. */
const SETTLED = Math.min(120, (MINUTES * 60) / 4);
/** Points of the plot are this far apart, in seconds. */
const STEP = Math.max(1, MINUTES / 2);
const TOKEN = "a-token-of-measurements";
const KINDS = ["read", "write", "sign-in"] as const;
type Kind = (typeof KINDS)[number];

/** One request: when it was answered, in seconds of the run, and how long it took, in milliseconds. */
interface Sample {
  at: number;
  kind: Kind;
  ms: number;
}

/** Of each ten calls seven read, two write and one signs in. */
const kindOf = (index: number): Kind => (index % 10 < 7 ? "read" : index % 10 < 9 ? "write" : "sign-in");
const emailOf = (account: number) => `soak-${account}@example.com`;
const addressOf = (number: number) => `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;

/** Makes the accounts: the first is a manager's, whose token the calls use; the others are customers'. */
const makeAccounts = (): Promise<void> =>
  withDeps(async (deps) => {
    await ensureRoles(deps);
    const hashedPassword = await deps.passwords.hash(PASSWORD);
    for (let account = 0; account < ACCOUNTS; account++) {
      const role = account === 0 ? { role: "manager" } : {};
      await addPerson(deps, { email: emailOf(account), name: "Soak", hashedPassword, ...role });
    }
  });

/** Calls of one server. An answer of 5xx is counted; anything else that is no success ends the run. */
function createCaller(address: string) {
  const counted = { serverErrors: 0 };
  let token = "";
  let renewAt = 0;
  const products: string[] = [];
  let locationId = "";
  /** What tells a person's browser from a stranger's, by account. */
  const deviceTokens = new Map<number, string>();
  // Limits of one address are not what this is about: each request comes from elsewhere, but people sign in at home.
  const send = async (from: number, method: string, path: string, json?: unknown) => {
    const answer = await fetch(`${address}${path}`, {
      method,
      headers: {
        "x-forwarded-for": addressOf(from),
        "content-type": "application/json",
        authorization: `Bearer ${token}`,
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
    const text = await answer.text();
    if (answer.status >= 500) counted.serverErrors++;
    else if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return answer.ok && text !== "" ? JSON.parse(text).data : undefined;
  };
  const signIn = async (account: number): Promise<string> => {
    const deviceToken = deviceTokens.get(account);
    const who = { email: emailOf(account), password: PASSWORD, ...(deviceToken && { deviceToken }) };
    const signedIn = await send(account, "POST", "/auth/login", who);
    deviceTokens.set(account, signedIn.deviceToken);
    return signedIn.accessToken;
  };
  const calls: Record<Kind, (index: number) => Promise<unknown>> = {
    read: (index) => {
      const id = products[index % PRODUCTS];
      const paths = [
        `/api/products/${id}`,
        "/api/products?limit=20",
        "/api/users/me",
        "/api/products/search?q=soak",
      ];
      return send(index, "GET", paths[index % paths.length] ?? "");
    },
    write: (index) =>
      index % 2 === 0
        ? send(index, "PATCH", `/api/products/${products[index % PRODUCTS]}`, {
            description: `Changed ${index}`,
          })
        : send(index, "POST", "/api/products/inventory/adjust", {
            sku: `SOAK-${index % PRODUCTS}`,
            locationId,
            delta: 1,
            kind: "receive",
            reason: "soak",
          }),
    "sign-in": (index) => signIn(Math.floor(index / 10) % ACCOUNTS),
  };
  return {
    counted,
    async setUp() {
      token = await signIn(0);
      renewAt = performance.now() + 300_000;
      const location = { code: "SOAK", name: "Soak", priority: 1 };
      locationId = (await send(0, "POST", "/api/products/inventory/locations", location)).id;
      for (let index = 0; index < PRODUCTS; index++) {
        const made = { name: `Soak ${index}`, variants: [{ sku: `SOAK-${index}`, price: 100 + index }] };
        products.push((await send(index, "POST", "/api/products", made)).id);
      }
    },
    async call(index: number) {
      if (performance.now() > renewAt) {
        renewAt = performance.now() + 300_000;
        token = await signIn(0);
      }
      await calls[kindOf(index)](index);
    },
  };
}

/** The server's memory, as it says itself, in MB. */
async function memoryOf(address: string): Promise<number> {
  const answer = await fetch(`${address}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } });
  const bytes = /^process_resident_memory_bytes (\S+)$/m.exec(await answer.text())?.[1];
  return Number(bytes) / 2 ** 20;
}

const timesOf = (samples: Sample[], kind: Kind) =>
  samples.flatMap((sample) => (sample.kind === kind ? [sample.ms] : []));

function panelsOf(samples: Sample[], memory: [at: number, mb: number][]): Panel[] {
  const steps = Array.from({ length: Math.ceil((MINUTES * 60) / STEP) }, (_, step) =>
    samples.filter(({ at }) => Math.floor(at / STEP) === step),
  );
  return [
    ...KINDS.map((kind) => ({
      title: `${kind}s, milliseconds`,
      lines: ([0.5, 0.99] as const).map((share) => ({
        name: `p${share * 100}`,
        points: steps.map((of, step): [number, number] => [
          step * STEP,
          percentile(timesOf(of, kind), share),
        ]),
      })),
    })),
    { title: "memory of the server, MB", lines: [{ name: "resident", points: memory }] },
  ];
}

process.exitCode = await onThrowAwayDatabases(async () => {
  await makeAccounts();
  const smtp = await startSmtpServer();
  const server = await startServer({
    ...PRODUCTION,
    SMTP_URL: smtp.url,
    TRUSTED_PROXIES: "127.0.0.1",
    METRICS_TOKEN: TOKEN,
  });
  try {
    const caller = createCaller(server.address);
    await caller.setUp();
    await load(CALLERS, MEASURE / 3, caller.call);
    const { perSecond } = await load(CALLERS, MEASURE, caller.call);
    console.log(
      `capacity ${perSecond.toFixed(0)} requests a second; ${MINUTES} minutes at ${SHARE * 100} % of it`,
    );

    const samples: Sample[] = [];
    const memory: [number, number][] = [];
    const start = performance.now();
    const seconds = () => (performance.now() - start) / 1000;
    const watch = setInterval(async () => memory.push([seconds(), await memoryOf(server.address)]), 1000);
    const { count } = await load(
      CALLERS,
      MINUTES * 60,
      async (index) => {
        const before = performance.now();
        await caller.call(index);
        samples.push({ at: seconds(), kind: kindOf(index), ms: performance.now() - before });
      },
      perSecond * SHARE,
    );
    clearInterval(watch);

    const folder = join(import.meta.dir, "results");
    await mkdir(folder, { recursive: true });
    const title = `${MINUTES} minutes at ${(perSecond * SHARE).toFixed(0)} requests a second`;
    await writeFile(join(folder, "soak.svg"), plotPanels(title, panelsOf(samples, memory)));

    const goals: Goal[] = [
      { name: "answers of 5xx", measured: caller.counted.serverErrors, unit: `of ${count}`, goal: ["<=", 0] },
    ];
    for (const kind of KINDS) {
      const times = timesOf(samples, kind);
      const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)];
      console.log(`${kind.padEnd(8)} p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms (${times.length})`);
      goals.push({ name: `${kind}s, p99 by p50`, measured: p99 / p50, unit: "", goal: ["<=", 4] });
    }
    const settled = memory.flatMap(([at, mb]) => (at >= SETTLED ? [mb] : []));
    const part = Math.ceil(settled.length / 5);
    const [first, last] = [settled.slice(0, part), settled.slice(-part)].map((of) => percentile(of, 0.5));
    console.log(`memory   ${first?.toFixed(0)} MB after ${SETTLED} s, ${last?.toFixed(0)} MB at the end`);
    const growth = ((last ?? 0) / (first ?? 1) - 1) * 100;
    goals.push({ name: "growth of memory", measured: growth, unit: "%", goal: ["<=", 5] });
    return reportGoals(goals);
  } finally {
    await server.kill("SIGTERM");
    await smtp.close();
  }
});

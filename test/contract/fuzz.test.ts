/**
 * Random requests to every operation of the OpenAPI document, valid and nearly valid, made of what earlier answers
 * named: each is answered, with nothing that the document does not say of it. The short run always asks the same
 * (AIZY_FUZZ_SEED=N asks something else), the long one something new each time, of a server process whose memory it
 * watches.
 */
import { beforeAll, expect, test } from "bun:test";
import { SECOND } from "../../src/lib/clock";
import { type SignedInPerson, useTestApp } from "../app";
import { startServer } from "../processes";
import { faultOf } from "./conform";
import { type Generated, Generator, type Known, remember } from "./generate";
import { nameOf, type Operation, operationsOf } from "./operations";

const t = useTestApp((config) => ({ trustedProxies: ["127.0.0.1", ...config.trustedProxies] }));
const LONG = process.env.AIZY_LONG === "1";
const SEED = Number(process.env.AIZY_FUZZ_SEED ?? (LONG ? Date.now() % 1e9 : 21));
const REQUESTS = Number(process.env.AIZY_FUZZ_REQUESTS ?? (LONG ? 20_000 : 1500));
/** A hang guard of one request, in milliseconds. */
const PATIENCE = 120_000;
/** After so many requests people sign in anew: meanwhile they may have lost their roles. */
const SESSION = 150;

let document: object;
let operations: Operation[];
beforeAll(async () => {
  document = (await (await t.request("/openapi.json")).json()) as object;
  operations = await operationsOf(t);
});

const init = (
  operation: Operation,
  { headers, body }: Generated,
  token: string | undefined,
): RequestInit => ({
  method: operation.method,
  headers: { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
  // Of a form each character is a byte.
  ...(body === undefined
    ? {}
    : { body: Buffer.from(body, headers["content-type"]?.startsWith("multipart/") ? "latin1" : "utf8") }),
  redirect: "manual",
});

/** Sends requests, one after the other. @returns what was not as it should be, and how often each status came */
async function fuzz(
  send: (path: string, init: RequestInit) => Promise<Response>,
  between: (sent: number) => Promise<void>,
) {
  const known: Known = new Map();
  const generator = new Generator(document, known);
  const faults = new Set<string>();
  const statuses: Record<string, number> = {};
  let people: SignedInPerson[] = [];
  let ended = false;
  for (let sent = 0; sent < REQUESTS; sent++) {
    if (sent % SESSION === 0 || ended) people = [await t.signIn({ roles: ["admin"] }), await t.signIn()];
    // Each operation in turn; mostly by somebody who may do everything.
    const operation = operations[(sent * 61 + SEED) % operations.length] as Operation;
    const turn = (sent * 7 + SEED) % 20;
    const token = turn === 0 ? undefined : people[turn === 1 ? 1 : 0]?.accessToken;
    const request = generator.request(operation, SEED + sent);
    const guard = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => guard.resolve(undefined), PATIENCE);
    const answer = await Promise.race([send(request.path, init(operation, request, token)), guard.promise]);
    clearTimeout(timer);
    const what = `${nameOf(operation)} (seed ${SEED}, request ${sent})`;
    if (!answer) {
      faults.add(`${what} does not answer to ${JSON.stringify(request)}`);
      continue;
    }
    ended = answer.status === 401 && turn > 1;
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
    const kind = operation.path.split("/").findLast((part) => /^\w/.test(part)) ?? "";
    for (const header of ["If-Match", "If-None-Match"]) {
      remember(known, answer.headers.get("etag"), kind, header);
    }
    if (answer.ok && answer.headers.get("content-type") === "application/json")
      remember(known, await answer.clone().json(), kind);
    const fault = await faultOf(document, operation, answer);
    if (fault !== null) faults.add(`${what} ${fault} to ${JSON.stringify(request).slice(0, 1500)}`);
    await between(sent);
  }
  return { faults: [...faults], statuses };
}

test.skipIf(LONG)(
  `${REQUESTS} random requests are all answered as the document says`,
  async () => {
    const { faults, statuses } = await fuzz(
      async (path, init) => t.request(path, init),
      // Limits of calls forget meanwhile.
      async () => t.clock.advance(SECOND),
    );
    expect(faults).toEqual([]);
    // It reached what lies behind the checks of input.
    expect(statuses[200]).toBeGreaterThan(REQUESTS / 10);
  },
  1_800_000,
);

/** Of a server's memory, in bytes, the median over a part of the run: single values go up and down. */
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

test.skipIf(!LONG)(
  `${REQUESTS} random requests are all answered by a server whose memory stays flat`,
  async () => {
    const token = "a-token-of-measurements";
    const server = await startServer({
      METRICS_TOKEN: token,
      TRUSTED_PROXIES: "127.0.0.1",
    });
    const memory: number[] = [];
    try {
      let caller = 0;
      const { faults } = await fuzz(
        (path, init) => {
          // From everywhere, so that limits of one address do not stand before everything else.
          const address = `10.${(caller >> 16) & 255}.${(caller >> 8) & 255}.${caller++ & 255}`;
          const headers = { ...(init.headers as Record<string, string>), "x-forwarded-for": address };
          return fetch(`${server.address}${path}`, { ...init, headers });
        },
        async (sent) => {
          if (sent % 50 !== 0) return;
          const headers = { authorization: `Bearer ${token}` };
          const text = await (await fetch(`${server.address}/metrics`, { headers })).text();
          memory.push(Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]));
        },
      );
      expect(faults).toEqual([]);
      const quarter = memory.length >> 2;
      const [second, last] = [median(memory.slice(quarter, 2 * quarter)), median(memory.slice(-quarter))];
      console.log(`Memory of the server: ${[second, last].map((bytes) => `${bytes >> 20} MB`).join(", ")}`);
      expect(last / second).toBeLessThan(1.25);
    } finally {
      await server.kill("SIGTERM");
    }
  },
  7_200_000,
);

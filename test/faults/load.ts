/** A mixed load on a server, whose callers keep their own log of what was acknowledged to them. */
import type { Mongo } from "../../src/db/mongo";
import type { MySql } from "../../src/db/prisma";

/** One request and what came of it; times in milliseconds of `performance.now`. */
export interface Call {
  kind: string;
  began: number;
  ended: number;
  /** 0 where no answer came. */
  status: number;
  retryAfter: string | null;
}

/** Somebody who may do everything, as a caller signs in. */
export interface Account {
  email: string;
  password: string;
}

/** What the callers were told is done, by what they named it; compared with both databases afterwards. */
export interface Acknowledged {
  sessions: Set<string>;
  /** The last number that was acknowledged as a name. */
  names: Map<string, number>;
  products: Map<string, string>;
  descriptions: Map<string, number>;
  /** Units that were received, by SKU: acknowledged, and asked for at most. */
  received: Map<string, { acknowledged: number; asked: number }>;
  reservations: Map<string, { id: string; committed: boolean }>;
  events: Set<string>;
  pictures: Set<string>;
}

/** A hang guard of one request, in milliseconds. */
const PATIENCE = 60_000;
const PIXEL = Uint8Array.fromBase64(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
);
const JSON_BODY = { "content-type": "application/json" };

// biome-ignore lint/suspicious/noExplicitAny: answers of many routes.
type Data = any;

/**
 * Starts the callers. They go on until they are stopped, whatever is answered.
 * @param where what they name things after, and where their stock lies
 */
export function startLoad(address: string, accounts: Account[], where: { run: string; locationId: string }) {
  const calls: Call[] = [];
  const acknowledged: Acknowledged = {
    sessions: new Set(),
    names: new Map(),
    products: new Map(),
    descriptions: new Map(),
    received: new Map(),
    reservations: new Map(),
    events: new Set(),
    pictures: new Set(),
  };
  let over = false;

  const request = async (
    kind: string,
    path: string,
    init: RequestInit & { headers?: Record<string, string> } = {},
  ) => {
    const began = performance.now();
    const made: Call = { kind, began, ended: 0, status: 0, retryAfter: null };
    let data: Data;
    try {
      const answer = await fetch(`${address}${path}`, { ...init, signal: AbortSignal.timeout(PATIENCE) });
      const text = await answer.text();
      made.status = answer.status;
      made.retryAfter = answer.headers.get("retry-after");
      data = answer.headers.get("content-type")?.includes("json") ? JSON.parse(text).data : text;
    } catch {
      // No answer: the connection was refused or ended. What became of the request is not known.
    }
    made.ended = performance.now();
    calls.push(made);
    return { status: made.status, data, ok: made.status >= 200 && made.status < 300 };
  };

  /** A caller of one account, with a token that is renewed before it ends. */
  const caller = (number: number) => {
    const account = accounts[number % accounts.length] as Account;
    // Limits of one address are not what this is about.
    const from = { "x-forwarded-for": `10.1.0.${number + 1}` };
    let token = "";
    let renewAt = 0;
    const signIn = async () => {
      const { ok, data } = await request("sign-in", "/auth/login", {
        method: "POST",
        headers: { ...from, ...JSON_BODY },
        body: JSON.stringify({ email: account.email, password: account.password }),
      });
      if (!ok) return false;
      const [, claims = ""] = String(data.accessToken).split(".");
      acknowledged.sessions.add(JSON.parse(Buffer.from(claims, "base64url").toString()).sid);
      token = data.accessToken;
      renewAt = performance.now() + 60_000;
      return true;
    };
    const send = async (
      kind: string,
      method: string,
      path: string,
      body?: unknown,
      headers: Record<string, string> = {},
    ) => {
      const answer = await request(kind, path, {
        method,
        headers: {
          ...from,
          ...headers,
          authorization: `Bearer ${token}`,
          ...(body === undefined || body instanceof FormData ? {} : JSON_BODY),
        },
        ...(body === undefined ? {} : { body: body instanceof FormData ? body : JSON.stringify(body) }),
      });
      if (answer.status === 401) renewAt = 0;
      return answer;
    };
    /** Sends one change with its key until it is known what became of it. */
    const insist = async (kind: string, method: string, path: string, body: unknown) => {
      const key = crypto.randomUUID();
      for (;;) {
        const made = body instanceof Function ? body() : body;
        const answer = await send(kind, method, path, made, { "idempotency-key": key });
        // A key that is in flight, of a request whose connection ended, is free again after its lease.
        const unknown =
          answer.status === 0 || answer.status >= 500 || answer.status === 409 || answer.status === 429;
        if (answer.status === 401) await signIn();
        else if (!unknown || over) return answer;
        await Bun.sleep(250);
      }
    };
    return {
      number,
      email: account.email,
      send,
      insist,
      signIn,
      ready: async () => performance.now() < renewAt || (await signIn()),
    };
  };
  type Caller = ReturnType<typeof caller>;

  const tasks: Record<string, (one: Caller, turn: number) => Promise<unknown>> = {
    "sign-in": (one) => one.signIn(),
    async profile(one, turn) {
      const { ok } = await one.send("profile", "PATCH", "/api/users/me", { name: `Name ${turn}` });
      if (ok) acknowledged.names.set(one.email, turn);
    },
    async product(one, turn) {
      const name = `Fault ${where.run} ${one.number} ${turn}`;
      const made = await one.insist("product", "POST", "/api/products", { name, price: 100 });
      if (!made.ok) return;
      const { id } = made.data;
      acknowledged.products.set(name, id);
      const changed = await one.send("product change", "PATCH", `/api/products/${id}`, {
        description: String(turn),
      });
      if (changed.ok) acknowledged.descriptions.set(id, turn);
      const picture = () => {
        const form = new FormData();
        form.set("file", new File([PIXEL], "a.png", { type: "image/png" }));
        return form;
      };
      const kept = await one.insist("upload", "POST", `/api/products/${id}/images`, picture);
      if (kept.ok) acknowledged.pictures.add(kept.data.sources[0].url);
    },
    async stock(one) {
      const sku = skuOf(where.run, one.number);
      const counted = acknowledged.received.get(sku) ?? { acknowledged: 0, asked: 0 };
      acknowledged.received.set(sku, counted);
      counted.asked += 3;
      const given = { sku, locationId: where.locationId, delta: 3, kind: "receive", reason: "load" };
      if ((await one.insist("stock", "POST", "/api/products/inventory/adjust", given)).ok)
        counted.acknowledged += 3;
      const reference = crypto.randomUUID();
      const wanted = { lines: [{ sku, quantity: 1 }], reference };
      const held = await one.insist("reservation", "POST", "/api/products/inventory/reservations", wanted);
      if (!held.ok) return;
      const { id } = held.data;
      acknowledged.reservations.set(reference, { id, committed: false });
      const path = `/api/products/inventory/reservations/${id}/commit`;
      if ((await one.insist("commit", "POST", path, {})).ok)
        acknowledged.reservations.set(reference, { id, committed: true });
    },
    async events(one, turn) {
      const messageId = crypto.randomUUID();
      const batch = [
        {
          messageId,
          type: "track",
          event: "Fault Tried",
          anonymousId: `visitor-${one.number}`,
          properties: { turn },
        },
      ];
      const { ok, data } = await one.send("events", "POST", "/api/analytics/events", { batch });
      if (ok && data.rejected.length === 0) acknowledged.events.add(messageId);
    },
    async read(one, turn) {
      const path =
        ["/api/products?limit=5", "/api/products/menu", "/api/products/search?q=fault"][turn % 3] ?? "";
      await one.send("read of the catalogue", "GET", path);
      await one.send("read of the account", "GET", "/api/users/me");
    },
    async bulk(one, turn) {
      const path = "/api/products/export";
      await one.send("export", "POST", path, { format: turn % 2 ? "csv" : "ndjson" });
      await Bun.sleep(1000);
    },
  };
  const kinds = Object.keys(tasks);
  // Two of each that changes something, so that they meet; the reads come twice as often.
  const callers = [...kinds, ...kinds, "read", "read"].map(async (kind, number) => {
    const one = caller(number);
    for (let turn = 1; !over; turn++) {
      if (await one.ready()) await tasks[kind]?.(one, turn);
      await Bun.sleep(30);
    }
  });
  return {
    calls,
    acknowledged,
    async stop() {
      over = true;
      await Promise.all(callers);
    },
  };
}
export type Load = ReturnType<typeof startLoad>;

/** How many callers there are: each needs an account. */
export const CALLERS = 16;
/** What a caller counts stock of. */
export const skuOf = (run: string, number: number): string => `FAULT-${run}-${number}`;

/** Compares what was acknowledged with both databases. @returns what is missing and what is there twice, in words */
export async function compare(
  { mysql, mongo }: { mysql: MySql; mongo: Mongo },
  address: string,
  log: Acknowledged,
): Promise<{ lost: string[]; doubled: string[] }> {
  const lost: string[] = [];
  const doubled: string[] = [];
  const collection = (name: string) => mongo.connection.collection<Data>(name);
  const sessions = await mysql
    .on()
    .session.findMany({ where: { id: { in: [...log.sessions] } }, select: { id: true } });
  const there = new Set(sessions.map(({ id }) => id));
  for (const id of log.sessions) if (!there.has(id)) lost.push(`session ${id}`);
  for (const [email, number] of log.names) {
    const user = await mysql.on().user.findFirst({ where: { email } });
    // A later change may have been done without its answer having come.
    if (Number(user?.name.split(" ")[1]) < number) lost.push(`name ${number} of ${email}`);
  }
  for (const [name, id] of log.products) {
    const found = await collection("products").find({ name }).toArray();
    if (!found.some(({ _id }) => _id === id)) lost.push(`product ${name}`);
    if (found.length > 1) doubled.push(`product ${name}: ${found.length}`);
    const turn = log.descriptions.get(id);
    if (turn !== undefined && found[0]?.description !== String(turn)) lost.push(`description of ${name}`);
  }
  for (const [reference, { id, committed }] of log.reservations) {
    const found = await collection("stockReservations").find({ reference }).toArray();
    const [first] = found;
    if (first?._id !== id || (committed && first.status !== "committed"))
      lost.push(`reservation ${reference}`);
    if (found.length > 1) doubled.push(`reservation ${reference}: ${found.length}`);
  }
  for (const [sku, { acknowledged, asked }] of log.received) {
    const entries = await collection("stockMovements").find({ sku, kind: "receive" }).toArray();
    const units = entries.reduce((sum: number, { onHand }: Data) => sum + onHand, 0);
    if (units < acknowledged) lost.push(`${acknowledged - units} units of ${sku}`);
    if (units > asked) doubled.push(`${units - asked} units of ${sku}`);
  }
  const events = [...log.events];
  const stored = await collection("analytics").countDocuments({ _id: { $in: events } });
  if (stored < events.length) lost.push(`${events.length - stored} events`);
  for (const url of log.pictures) {
    const answer = await fetch(new URL(new URL(url, address).pathname, address));
    await answer.arrayBuffer();
    if (!answer.ok) lost.push(`picture ${url}: ${answer.status}`);
  }
  return { lost, doubled };
}

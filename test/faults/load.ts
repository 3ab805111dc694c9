/** A mixed load on a server, whose callers keep their own log of what was acknowledged to them. */

/** One request and what came of it; times in milliseconds of `performance.now`. */
export interface Call {
  kind: string;
  began: number;
  ended: number;
  /** 0 where no answer came. */
  status: number;
  retryAfter: string | null;
  /** What a 5xx said. */
  said?: string;
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
  /** Exports by their id, and how many were asked for at most. */
  exports: { ids: Set<string>; asked: number };
  /** Imports of one product each: its name, and the import's id. */
  imports: Map<string, string>;
  /** Addresses that a code is to be mailed to, each asked for once, with the id of that registration. */
  mails: Map<string, string>;
}

/** The log of callers who have not been told anything yet. */
export const nothingAcknowledged = (): Acknowledged => ({
  sessions: new Set(),
  names: new Map(),
  products: new Map(),
  descriptions: new Map(),
  received: new Map(),
  reservations: new Map(),
  events: new Set(),
  pictures: new Set(),
  exports: { ids: new Set(), asked: 0 },
  imports: new Map(),
  mails: new Map(),
});

/** A hang guard of one request, in milliseconds. */
const PATIENCE = 60_000;
const PIXEL = Uint8Array.fromBase64(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
);
/** Wait of those who begin something long, in milliseconds: between two imports or exports, and two registrations. */
const [BETWEEN_BULKS, BETWEEN_MAILS] = [1000, 500];
const JSON_BODY = { "content-type": "application/json" };

// biome-ignore lint/suspicious/noExplicitAny: answers of many routes.
type Data = any;

/**
 * Starts the callers. They go on until they are stopped, whatever is answered.
 * @param addresses of the servers, which are asked in turn
 * @param where what they name things after, and where their stock lies
 */
export function startLoad(
  addresses: string[],
  accounts: Account[],
  where: { run: string; locationId: string },
) {
  const calls: Call[] = [];
  const acknowledged = nothingAcknowledged();
  let over = false;
  let turns = 0;

  const request = async (
    kind: string,
    path: string,
    init: RequestInit & { headers?: Record<string, string> } = {},
  ) => {
    const began = performance.now();
    const made: Call = { kind, began, ended: 0, status: 0, retryAfter: null };
    let data: Data;
    try {
      const answer = await fetch(`${addresses[turns++ % addresses.length]}${path}`, {
        ...init,
        signal: AbortSignal.timeout(PATIENCE),
      });
      const text = await answer.text();
      made.status = answer.status;
      made.retryAfter = answer.headers.get("retry-after");
      if (answer.status >= 500) made.said = text;
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
          ...(body instanceof FormData
            ? {}
            : body instanceof Blob
              ? { "content-type": body.type }
              : JSON_BODY),
        },
        ...(body === undefined
          ? {}
          : { body: body instanceof FormData || body instanceof Blob ? body : JSON.stringify(body) }),
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
    async export(one, turn) {
      acknowledged.exports.asked++;
      const wanted = { format: turn % 2 ? "csv" : "ndjson" };
      const { ok, data } = await one.insist("export", "POST", "/api/products/export", wanted);
      if (ok) acknowledged.exports.ids.add(data.id);
      await Bun.sleep(BETWEEN_BULKS);
    },
    async import(one, turn) {
      const name = `Imported ${where.run} ${one.number} ${turn}`;
      const row = { name, sku: `IMPORTED-${crypto.randomUUID()}`, price: "1.00" };
      const file = new Blob([`${JSON.stringify(row)}\n`], { type: "application/x-ndjson" });
      const { ok, data } = await one.insist("import", "POST", "/api/products/import", file);
      if (ok) acknowledged.imports.set(name, data.id);
      await Bun.sleep(BETWEEN_BULKS);
    },
    async mail(one, turn) {
      // An address and a place of its own each time: the limits on mail are not what this is about.
      const email = `fault-${where.run}-${one.number}-${turn}@example.com`;
      const { ok, data } = await request("registration", "/auth/register", {
        method: "POST",
        headers: { "x-forwarded-for": `10.2.${one.number}.${turn % 250}`, ...JSON_BODY },
        body: JSON.stringify({ email, password: "a password of faults", name: "Registered" }),
      });
      if (ok) acknowledged.mails.set(email, data.registrationId);
      await Bun.sleep(BETWEEN_MAILS);
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
export const CALLERS = 20;
/** What a caller counts stock of. */
export const skuOf = (run: string, number: number): string => `FAULT-${run}-${number}`;

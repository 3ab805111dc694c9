/** The data that every side reads and writes: one shop, in databases of its own. */
import { createHmac } from "node:crypto";
import sharp from "sharp";
import { digestOf, formatKey, SECRET_BYTES } from "../../src/auth/api-keys/form";
import { buildIndexes } from "../../src/db/indexes";
import { Prisma } from "../../src/generated/prisma/client";
import { after, DAY } from "../../src/lib/clock";
import { macOf } from "../../src/lib/crypto";
import { canonicalKey } from "../../src/lib/text";
import { buildProduct } from "../../src/products/build";
import { ensureRoles } from "../../src/users/roles/ensure";
import { WORDS_FORM } from "../../src/users/words";
import type { Deps } from "../../src/wire";
import { addPerson, withDeps } from "../lib";

export const PASSWORD = "a password of benchmarks";
/** People who sign in, beside the two whose tokens are used. */
export const ACCOUNTS = 64;
const BATCH = 500;
const MOST_READ = 256;
/** For sixteen connections in each run of each side. */
const REFRESH_TOKENS = 400;

export const emailOf = (name: string | number) => `bench-${name}@example.com`;

/** What a load needs to know of the shop. */
export interface World {
  /** Products that are read. */
  productIds: string[];
  /** Customers with a session each. */
  crowd: Person[];
  /** By role: the person, a session of theirs, and a token of that session as the product and as a peer takes it. */
  people: Record<"customer" | "admin", Person>;
  /** An API key of the administrator. */
  apiKey: string;
  /** Refresh tokens of sessions that nobody uses yet. */
  refreshTokens: string[];
  /** SKUs with as much on hand as anybody reserves. */
  stockedSkus: string[];
  /** A photograph as JPEG. */
  picture: Uint8Array;
}

interface Person {
  userId: string;
  sessionId: string;
  token: string;
  peerToken: string;
}

const addBench = (deps: Deps, name: string | number, role: string | undefined, hashedPassword: string) =>
  addPerson(deps, { email: emailOf(name), name: `Bench ${name}`, hashedPassword, role });

/** `count` products of the shop's kind, numbered from `from` on. */
export async function addProducts(deps: Deps, from: number, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = from; n < from + count; n += BATCH) {
    const products = Array.from({ length: Math.min(BATCH, from + count - n) }, (_, offset) => {
      const index = n + offset;
      return buildProduct(
        deps,
        deps.random.id(),
        {
          name: `Insignia ${20 + (index % 60)} inch class LED television ${index}`,
          brand: ["Insignia", "Samsung", "LG", "Sony"][index % 4],
          description: "A television with a sharp picture and a clear sound for every room. ".repeat(3),
          variants: [{ sku: `TV-${index}`, price: 9900 + ((index * 7919) % 90_000) }],
        },
        [],
      );
    });
    await deps.mongo.transaction((tx) => deps.products.create(products, tx));
    ids.push(...products.map(({ _id }) => _id));
  }
  return ids;
}

/** People who never come, numbered from `from` on, so that there are many. */
export async function addPeople(deps: Deps, from: number, count: number): Promise<void> {
  const now = deps.clock.now();
  for (let n = from; n < from + count; n += 2 * BATCH) {
    const rows = Array.from({ length: Math.min(2 * BATCH, from + count - n) }, (_, offset) => {
      const number = String(n + offset).padStart(8, "0");
      const email = `person-${number}@example.com`;
      return Prisma.sql`(${deps.random.id()}, ${email}, ${email}, ${`Person ${number}`}, ${now}, ${WORDS_FORM}, ${now}, ${now})`;
    });
    await deps.mysql.on().$executeRaw`
      INSERT INTO users (id, email, email_canonical, name, email_verified_at, words_form, created_at, updated_at)
      VALUES ${Prisma.join(rows)}`;
  }
}

/** HS256, as jsonwebtoken makes it: for the sides that take a plain token of the secret. */
const signPeerToken = (claims: object, secret: string): string => {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const body = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
};

const accessToken = async (deps: Deps, userId: string, sessionId: string): Promise<string> =>
  (await deps.tokens.access(userId, sessionId, `${deps.random.id()}.0`)).token;

/** A session for a person, and the tokens that name it. */
async function openSession(deps: Deps, userId: string, secret: string): Promise<Person> {
  const now = deps.clock.now();
  const sessionId = deps.random.id();
  await deps.sessions.create({
    id: sessionId,
    userId,
    epoch: 0,
    method: "password",
    deviceId: deps.random.id(),
    userAgent: "bench",
    ip: "127.0.0.1",
    now,
    idleExpiresAt: after(now, DAY),
    absoluteExpiresAt: after(now, DAY),
  });
  const token = await accessToken(deps, userId, sessionId);
  const iat = Math.floor(now.getTime() / 1000);
  return {
    userId,
    sessionId,
    token,
    peerToken: signPeerToken({ sub: userId, sid: sessionId, iat, exp: iat + 3600 }, secret),
  };
}

/** Gives everybody a fresh access token, which are good for a quarter of an hour, and drops the work that uploads left. */
export const prepareRun = (world: World): Promise<void> =>
  withDeps(async (deps) => {
    await deps.mongo.connection.collection("jobs").deleteMany({ kind: { $regex: "^images\\." } });
    for (const person of [...world.crowd, ...Object.values(world.people)])
      person.token = await accessToken(deps, person.userId, person.sessionId);
  });

/** A key of a person for a server. */
async function addKey(deps: Deps, userId: string): Promise<string> {
  const secret = deps.random.bytes(SECRET_BYTES);
  const createdAt = deps.clock.now();
  const row = {
    ...{ id: deps.random.id(), userId, name: "Bench", permissions: ["products:write" as const], createdAt },
    ...{ secretDigest: digestOf(secret), secretHash: macOf(deps.keys("api-key")[0], secret) },
    expiresAt: after(createdAt, DAY),
  };
  await deps.mysql.transaction((tx) => deps.apiKeys.create(row, tx));
  return formatKey(row.id, secret);
}

/** Puts stock on the shelves of one location. */
async function addStock(deps: Deps, skus: string[]): Promise<void> {
  const now = deps.clock.now();
  const location = {
    ...{ _id: deps.random.id(), code: "BENCH", codeKey: "bench", name: "Bench", priority: 1, active: true },
    ...{ levelCount: 0, version: 1, createdAt: now, updatedAt: now },
  };
  await deps.mongo.transaction((tx) => deps.inventory.createLocation(location, tx));
  for (const sku of skus) {
    const known = { sku, skuKey: canonicalKey(sku) };
    await deps.stock.submit({
      actorId: "bench",
      skuKeys: [known.skuKey],
      decide: (ledger) => {
        const level = ledger.ensureLevel(known, location._id);
        ledger.shift(level, { kind: "receive", onHand: 1_000_000, reason: "bench", reference: null });
        return {};
      },
      record: async () => undefined,
    });
  }
}

/** A photograph's worth of detail. */
const photograph = (): Promise<Uint8Array> =>
  sharp({
    create: {
      width: 1200,
      height: 900,
      channels: 3,
      background: "#888",
      noise: { type: "gaussian", mean: 128, sigma: 12 },
    },
  })
    .jpeg({ quality: 85 })
    .toBuffer();

/** Fills empty databases. */
export const makeWorld = (products: number): Promise<World> =>
  withDeps(async (deps, config) => {
    await buildIndexes(deps.mongo);
    await ensureRoles(deps);
    const hash = await deps.passwords.hash(PASSWORD);
    const customer = await addBench(deps, "customer", undefined, hash);
    const admin = await addBench(deps, "admin", "admin", hash);
    const crowd: Person[] = [];
    for (let index = 0; index < ACCOUNTS; index++) {
      const id = await addBench(deps, index, undefined, hash);
      crowd.push(await openSession(deps, id, config.jwtSecret));
    }
    const ids = await addProducts(deps, 0, products);
    const stockedSkus = Array.from({ length: MOST_READ }, (_, index) => `TV-${index}`);
    await addStock(deps, stockedSkus);
    const refreshTokens: string[] = [];
    while (refreshTokens.length < REFRESH_TOKENS) {
      const { sessionId } = await openSession(deps, customer, config.jwtSecret);
      refreshTokens.push(deps.tokens.refresh(sessionId, 0));
    }
    return {
      ...{ refreshTokens, stockedSkus, picture: await photograph() },
      productIds: ids.slice(0, MOST_READ),
      crowd,
      people: {
        customer: await openSession(deps, customer, config.jwtSecret),
        admin: await openSession(deps, admin, config.jwtSecret),
      },
      apiKey: await addKey(deps, admin),
    };
  });

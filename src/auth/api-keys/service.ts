import { createHash, timingSafeEqual } from "node:crypto";
import { newAuditEntry, person } from "../../audit/entry";
import { after, DAY, MINUTE } from "../../clock";
import { isMac, macOf } from "../../crypto";
import type { Deps } from "../../deps";
import { AppError } from "../../errors";
import type { Actor } from "../actor";
import type { Origin } from "../service";
import type { ApiKeyResponse, CreateApiKey } from "./schema";
import type { ApiKeyRow } from "./store";

/** Most keys of one person. */
export const MAX_KEYS = 50;
/** A key's last use is written at most so often. */
const TOUCH_EVERY = MINUTE;
const SECRET_BYTES = 32;

/** `aizy_` so that scanners of published code know it, the id without hyphens, the secret. */
const FORM = /^aizy_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/;

/** Whether a text looks like one of our keys; access tokens never do. */
export const looksLikeKey = (text: string): boolean => text.startsWith("aizy_");

/**
 * What is kept of a key: of 256 random bits a plain hash is enough, and it needs no secret that may be changed.
 */
const digestOf = (secret: Uint8Array): Uint8Array<ArrayBuffer> =>
  new Uint8Array(createHash("sha256").update(secret).digest());

const toApiKey = (row: Omit<ApiKeyRow, "secretDigest" | "secretHash">): ApiKeyResponse => ({
  id: row.id,
  name: row.name,
  permissions: row.permissions,
  createdAt: row.createdAt.toISOString(),
  expiresAt: row.expiresAt.toISOString(),
  lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
});

/**
 * Makes a key for a server. It is shown once and never again.
 * @throws AppError forbidden for a permission that its owner does not hold, conflict at the most keys
 */
export async function createApiKey(
  deps: Deps,
  actor: Actor,
  input: CreateApiKey,
  origin: Origin,
): Promise<ApiKeyResponse & { key: string }> {
  const missing = input.permissions.find((permission) => !actor.permissions.has(permission));
  if (missing) throw new AppError("forbidden", `You do not hold ${missing} yourself.`);
  if ((await deps.apiKeys.countOfUser(actor.userId)) >= MAX_KEYS) {
    throw new AppError("conflict", `You have ${MAX_KEYS} keys. Revoke one first.`);
  }
  const secret = deps.random.bytes(SECRET_BYTES);
  const now = deps.clock.now();
  const row = {
    id: deps.random.id(),
    userId: actor.userId,
    name: input.name,
    secretDigest: digestOf(secret),
    secretHash: macOf(deps.keys("api-key")[0], secret),
    permissions: input.permissions,
    createdAt: now,
    expiresAt: after(now, input.expiresInDays * DAY),
  };
  const entry = newAuditEntry(deps, "api_key.created", {
    actor: person(actor.userId),
    origin,
    detail: { keyId: row.id, name: row.name, permissions: row.permissions },
  });
  await deps.mysql.transaction(async (tx) => {
    await deps.apiKeys.create(row, tx);
    await deps.audit.record(entry, tx);
  });
  const key = `aizy_${row.id.replaceAll("-", "")}_${Buffer.from(secret).toString("base64url")}`;
  return { ...toApiKey({ ...row, lastUsedAt: null }), key };
}

/** A person's own keys. */
export const listApiKeys = async (deps: Deps, actor: Pick<Actor, "userId">): Promise<ApiKeyResponse[]> =>
  (await deps.apiKeys.ofUser(actor.userId, MAX_KEYS)).map(toApiKey);

/** Ends a key at once. @throws AppError not_found for one that is not the caller's */
export async function revokeApiKey(deps: Deps, actor: Actor, id: string, origin: Origin): Promise<void> {
  const now = deps.clock.now();
  const entry = newAuditEntry(deps, "api_key.revoked", {
    actor: person(actor.userId),
    origin,
    detail: { keyId: id },
  });
  await deps.mysql.transaction(async (tx) => {
    if (!(await deps.apiKeys.revoke(id, actor.userId, now, tx))) {
      throw new AppError("not_found", "You have no such key.");
    }
    await deps.audit.record(entry, tx);
  });
}

/** Whether a key that an earlier version made, and nobody used since, has this secret. */
const isUndigested = async (deps: Deps, secret: Uint8Array, secretHash: Uint8Array): Promise<boolean> =>
  isMac([...deps.keys("api-key"), ...(await deps.apiKeys.hashKeys())], secret, secretHash);

/**
 * Keeps what the keys of an earlier version were hashed under for as long as there are any that nobody used since,
 * so that they work after every secret of their time is gone.
 */
export async function noteHashKeys(deps: Deps): Promise<void> {
  const now = deps.clock.now();
  if (await deps.apiKeys.hasUndigested(now)) await deps.apiKeys.noteHashKeys(deps.keys("api-key"), now);
}

/**
 * Who calls with a key: it may do what it and its owner both may, now. One round trip, but for the first
 * use of a key that an earlier version made.
 * @throws AppError unauthenticated, the same for every reason
 */
export async function actorOfKey(deps: Deps, text: string): Promise<Actor> {
  const refuse = () => new AppError("unauthenticated", "The API key is not valid.");
  const [, a, b, c, d, e, secret = ""] = FORM.exec(text) ?? [];
  const bytes = Buffer.from(secret, "base64url");
  // Base64 has spare bits: only the one spelling that was given out counts.
  if (a === undefined || bytes.toString("base64url") !== secret) throw refuse();
  const id = [a, b, c, d, e].join("-");
  const key = await deps.apiKeys.findLive(id);
  const now = deps.clock.now();
  if (!key || key.expiresAt <= now) throw refuse();
  const digest = digestOf(bytes);
  const right = key.secretDigest
    ? timingSafeEqual(key.secretDigest, digest)
    : await isUndigested(deps, bytes, key.secretHash);
  if (!right) throw refuse();
  if (!key.secretDigest) await deps.apiKeys.keepDigest(id, digest);
  const notSince = after(now, -TOUCH_EVERY);
  if (key.lastUsedAt === null || key.lastUsedAt < notSince) await deps.apiKeys.touch(id, now, notSince);
  const owner = new Set(key.ownerPermissions);
  return {
    kind: "apiKey",
    callerId: `key:${id}`,
    userId: key.userId,
    sessionId: null,
    permissions: new Set(key.permissions.filter((permission) => owner.has(permission))),
  };
}

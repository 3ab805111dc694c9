import { createHash } from "node:crypto";
import { sign, verify } from "hono/jwt";
import { z } from "zod";
import type { Clock } from "../lib/clock";
import { MINUTE } from "../lib/clock";
import { isMac, type KeyRing, type Keys, macOf } from "../lib/crypto";
import { AppError } from "../lib/errors";
import { CHALLENGE_TTL, DEVICE_TTL } from "./rules";

/** Lifetime of an access token, in milliseconds. */
export const ACCESS_TTL = 15 * MINUTE;
const ISSUER = "aizy";
const AUDIENCE = "aizy-api";

const claimsSchema = z
  .object({
    iss: z.literal(ISSUER),
    aud: z.literal(AUDIENCE),
    sub: z.string().min(1),
    sid: z.string().min(1),
    jti: z.string().min(1),
    iat: z.number().int(),
    exp: z.number().int(),
    purpose: z.literal("access"),
  })
  .meta({ id: "Claims" });

const headerSchema = z.object({ kid: z.string(), alg: z.literal("HS256") });

export type AccessClaims = z.infer<typeof claimsSchema>;

/** The id of an access token that is given out after `counter` rotations of the session's refresh token. */
export const accessTokenId = (id: string, counter: number): string => `${id}.${counter}`;

/** The rotation with which an access token was given out; 0 for one of before its id named it. */
export const rotationOf = ({ jti }: AccessClaims): number => Number(/\.(\d{1,9})$/.exec(jti)?.[1] ?? 0);

/** What a right password proved, until the second factor completes the sign-in. */
export interface ChallengeClaims {
  /** Of the row that counts its wrong codes and lets it open one session. */
  id: string;
  userId: string;
  /** The account's epoch when the password was checked: a reset or a ban in between ends the challenge. */
  epoch: number;
  /** The device, when it proved to be a known one. */
  deviceId: string | null;
}

/** Values that come back unchanged from a token that we signed ourselves: `fields.fields.MAC`. */
const challengeSchema = z.tuple([
  z.string(),
  z.string(),
  z.number().int(),
  z.string().nullable(),
  z.number().int(),
]);
const deviceSchema = z.tuple([z.string(), z.string(), z.number().int()]);

/**
 * Access tokens whose signature was found right, kept so that it is not computed anew for each request: a token and its
 * keys never change, so neither does the outcome. Its time, its session and its owner are looked at each time.
 */
const MOST_SIGNED = 1000;

/** Access tokens (JWT, HS256) and refresh tokens (derived, never stored). */
export interface Tokens {
  /** Signs an access token for a session. @returns the token and when it ends */
  access(userId: string, sessionId: string, jti: string): Promise<{ token: string; expiresAt: Date }>;
  /** @throws AppError unauthenticated for anything but a token of ours that is still good */
  verifyAccess(token: string): Promise<AccessClaims>;
  /** Reads an access token, also one whose time is over. Null unless it is one of ours. */
  readAccess(token: string): Promise<AccessClaims | null>;
  /** The refresh token of a session after `counter` rotations: the same each time it is asked for. */
  refresh(sessionId: string, counter: number): string;
  /** Reads a refresh token. Null unless it is one of ours; says nothing about whether it is still good. */
  readRefresh(token: string): { sessionId: string; counter: number } | null;
  /** A token for whoever gave the right password and still owes a second factor. */
  challenge(claims: ChallengeClaims): string;
  /** Null unless it is one of ours and still good. */
  readChallenge(token: string): ChallengeClaims | null;
  /** A token by which a device is known as one of a person's. */
  device(userId: string, deviceId: string): string;
  /** The id of the device, or null unless the token is one of ours, for this person and not too old. */
  readDevice(token: string, userId: string): string | null;
  /** Whose device token this is, or null unless it is one of ours and not too old. */
  deviceOwner(token: string): string | null;
}

/** Base64 has spare bits and padding: only the one spelling that we made is ours. */
const isCanonical = (part: string): boolean =>
  part !== "" && Buffer.from(part, "base64url").toString("base64url") === part;

/** A key of access tokens. */
const accessKey = (key: Keys[0]) => ({
  /** As a JSON Web Key: the form in which hono/jwt puts `kid` into the header. */
  jwk: {
    kty: "oct",
    k: Buffer.from(key).toString("base64url"),
    alg: "HS256",
    kid: createHash("sha256").update(key).digest("base64url").slice(0, 8),
  } as const,
  /** The same key as the platform holds it, so that it is not imported anew for each request. */
  verifying: crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]),
});

/** @param ring tokens are made under its first keys and accepted under every one */
export function createTokens(ring: KeyRing, clock: Clock): Tokens {
  const [present, ...others] = ring("access-token");
  const signing = accessKey(present);
  const accessKeys = [signing, ...others.map(accessKey)];
  const refreshKeys = ring("refresh-token");
  const sealing = { challenge: ring("mfa-challenge"), device: ring("device") };
  const refuse = () =>
    new AppError("unauthenticated", "The access token is not valid. Refresh it or sign in again.");
  const seal = (kind: keyof typeof sealing, values: unknown[]): string => {
    const body = Buffer.from(JSON.stringify(values)).toString("base64url");
    return `${body}.${Buffer.from(macOf(sealing[kind][0], body)).toString("base64url")}`;
  };
  const unseal = <Schema extends z.ZodType>(
    kind: keyof typeof sealing,
    schema: Schema,
    token: string,
  ): z.infer<Schema> | null => {
    const [, body = "", mac = ""] = /^([A-Za-z0-9_-]{1,400})\.([A-Za-z0-9_-]{43})$/.exec(token) ?? [];
    if (!isCanonical(body) || !isCanonical(mac)) return null;
    return isMac(sealing[kind], body, Buffer.from(mac, "base64url"))
      ? (schema.safeParse(JSON.parse(Buffer.from(body, "base64url").toString())).data ?? null)
      : null;
  };

  const readDeviceToken = (token: string) => {
    const values = unseal("device", deviceSchema, token);
    return values && values[2] > clock.now().getTime() ? values : null;
  };

  /** By the hash of the token, so that how long a look takes tells nothing of the tokens that are there. */
  const signed = new Map<string, AccessClaims>();

  const readAccess = async (token: string): Promise<AccessClaims | null> => {
    const digest = createHash("sha256").update(token).digest("base64");
    const known = signed.get(digest);
    if (known !== undefined) return known;
    const claims = await verifySigned(token);
    if (claims === null) return null;
    // Map keeps the order of insertion: the first is the oldest.
    if (signed.size >= MOST_SIGNED) signed.delete(signed.keys().next().value ?? "");
    signed.set(digest, claims);
    return claims;
  };

  const verifySigned = async (token: string): Promise<AccessClaims | null> => {
    // hono/jwt reads the system clock: its checks of time are off and ours, with `clock`, decide.
    const parts = token.split(".");
    if (parts.length !== 3 || !parts.every(isCanonical)) return null;
    let payload: unknown;
    try {
      const header: unknown = JSON.parse(Buffer.from(parts[0] ?? "", "base64url").toString());
      const { kid, alg } = headerSchema.safeParse(header).data ?? {};
      const key = accessKeys.find(({ jwk }) => jwk.kid === kid);
      if (!key || alg === undefined) return null;
      const unchecked = { exp: false, nbf: false, iat: false };
      payload = await verify(token, await key.verifying, { alg, ...unchecked });
    } catch {
      return null;
    }
    return claimsSchema.safeParse(payload).data ?? null;
  };

  return {
    async access(userId, sessionId, jti) {
      const iat = Math.floor(clock.now().getTime() / 1000);
      const exp = iat + ACCESS_TTL / 1000;
      const token = await sign(
        {
          iss: ISSUER,
          aud: AUDIENCE,
          sub: userId,
          sid: sessionId,
          jti,
          iat,
          exp,
          purpose: "access",
        },
        signing.jwk,
        "HS256",
      );
      return { token, expiresAt: new Date(exp * 1000) };
    },

    readAccess,

    async verifyAccess(token) {
      const claims = await readAccess(token);
      if (claims === null || claims.exp * 1000 <= clock.now().getTime()) throw refuse();
      return claims;
    },

    refresh: (sessionId, counter) =>
      `${sessionId}.${counter}.${Buffer.from(macOf(refreshKeys[0], `${sessionId}:${counter}`)).toString("base64url")}`,

    readRefresh(token) {
      const [, sessionId, digits, mac] =
        /^([0-9a-f-]{36})\.(\d{1,9})\.([A-Za-z0-9_-]{43})$/.exec(token) ?? [];
      if (sessionId === undefined || digits === undefined || mac === undefined) return null;
      if (!isCanonical(mac)) return null;
      const counter = Number(digits);
      const ours = isMac(refreshKeys, `${sessionId}:${counter}`, Buffer.from(mac, "base64url"));
      return ours && String(counter) === digits ? { sessionId, counter } : null;
    },

    challenge: ({ id, userId, epoch, deviceId }) =>
      seal("challenge", [id, userId, epoch, deviceId, clock.now().getTime() + CHALLENGE_TTL]),

    readChallenge(token) {
      const values = unseal("challenge", challengeSchema, token);
      if (!values || values[4] <= clock.now().getTime()) return null;
      return { id: values[0], userId: values[1], epoch: values[2], deviceId: values[3] };
    },

    device: (userId, deviceId) => seal("device", [userId, deviceId, clock.now().getTime() + DEVICE_TTL]),

    readDevice(token, userId) {
      const values = readDeviceToken(token);
      return values && values[0] === userId ? values[1] : null;
    },

    deviceOwner: (token) => readDeviceToken(token)?.[0] ?? null,
  };
}

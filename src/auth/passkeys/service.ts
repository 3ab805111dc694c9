import { ANONYMOUS, newAuditEntry } from "../../audit/entry";
import type { Deps } from "../../deps";
import type { Actor } from "../../lib/actor";
import { after } from "../../lib/clock";
import { AppError } from "../../lib/errors";
import { deviceName } from "../../lib/user-agent";
import type { ExpectedVersions } from "../../lib/versions";
import { knownDevice } from "../devices/known";
import { forgiveOwner } from "../forgive";
import { changeSignIn, proveAgain } from "../mfa/factors";
import type { Proof } from "../mfa/schema";
import { PASSKEY_TTL } from "../rules";
import { completeSignIn, type Origin, type SignedIn } from "../service";
import type {
  PasskeyRegistration,
  PasskeyRequest,
  PasskeyResponse,
  PasskeySignIn,
  RegisterPasskey,
} from "./schema";
import type { ChallengePurpose, PasskeyRow } from "./store";
import {
  checkAssertion,
  checkCreation,
  creationOptions,
  fromText,
  relyingParty,
  requestOptions,
  userOfHandle,
} from "./webauthn";

/** Most passkeys of one person. */
export const MAX_PASSKEYS = 20;
const CHALLENGE_BYTES = 32;
/** Longest public key that is kept, in bytes; RSA of 8192 bits has about half of it. */
const MAX_KEY = 2000;

const toPasskey = (row: PasskeyRow): PasskeyResponse => ({
  id: row.id,
  name: row.name,
  synced: row.synced,
  aaguid: row.aaguid,
  version: row.version,
  createdAt: row.createdAt.toISOString(),
  lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
});

/** Something to sign, kept until it is answered or five minutes are over. */
async function newChallenge(deps: Deps, purpose: ChallengePurpose, userId: string | null) {
  const now = deps.clock.now();
  const id = deps.random.id();
  const challenge = deps.random.bytes(CHALLENGE_BYTES);
  await deps.passkeys.sweepChallenges(now);
  await deps.passkeys.createChallenge({ id, purpose, userId, challenge, expiresAt: after(now, PASSKEY_TTL) });
  return { id, challenge };
}

const tooMany = () => new AppError("conflict", `You have ${MAX_PASSKEYS} passkeys. Remove one first.`);

/** What the caller's browser needs to make a passkey. @throws AppError see `proveAgain`, and conflict */
export async function passkeyOptions(
  deps: Deps,
  actor: Actor,
  proof: Proof,
  origin: Origin,
): Promise<PasskeyRegistration> {
  const user = await proveAgain(deps, actor, proof, origin);
  const existing = await deps.passkeys.ofUser(user.id);
  if (existing.length >= MAX_PASSKEYS) throw tooMany();
  const { id, challenge } = await newChallenge(deps, "register", user.id);
  const options = await creationOptions(relyingParty(deps.config), user, challenge, existing);
  return { challengeId: id, options, expiresIn: PASSKEY_TTL / 1000 };
}

/**
 * Keeps the caller's new passkey. Other sessions go on.
 * @throws AppError invalid_code when the browser's answer is not right, already_exists, conflict
 */
export async function addPasskey(
  deps: Deps,
  actor: Actor,
  { challengeId, name, response }: RegisterPasskey,
  origin: Origin,
): Promise<PasskeyResponse> {
  const wanted = { purpose: "register", userId: actor.userId, now: deps.clock.now() } as const;
  const challenge = await deps.passkeys.takeChallenge(challengeId, wanted);
  const made = challenge && (await checkCreation(relyingParty(deps.config), response, challenge));
  if (!made || made.publicKey.length > MAX_KEY) {
    throw new AppError(
      "invalid_code",
      "The passkey could not be checked. Ask for new options and try again.",
    );
  }
  const { signCount, ...credential } = made;
  const row = {
    id: deps.random.id(),
    userId: actor.userId,
    name: name ?? deviceName(origin.userAgent),
    ...credential,
    signCount: BigInt(signCount),
    transports: response.response.transports ?? [],
    createdAt: wanted.now,
  };
  const act = { action: "passkey.added", detail: { passkeyId: row.id, name: row.name } } as const;
  await changeSignIn(deps, actor, origin, act, async (tx) => {
    if ((await deps.passkeys.ofUser(actor.userId, tx)).length >= MAX_PASSKEYS) throw tooMany();
    if (!(await deps.passkeys.create(row, tx))) {
      throw new AppError("already_exists", "This passkey is registered already.");
    }
  });
  return toPasskey({ ...row, version: 1, lastUsedAt: null });
}

/** A person's passkeys, the newest first, without keys; also for the export of their data. */
export const listPasskeys = async (deps: Deps, userId: string): Promise<PasskeyResponse[]> =>
  (await deps.passkeys.ofUser(userId)).map(toPasskey);

const noPasskey = () => new AppError("not_found", "You have no such passkey.");

/**
 * Gives one of the caller's passkeys another name.
 * @param expected from If-Match
 * @throws AppError not_found, precondition_failed
 */
export async function renamePasskey(
  deps: Deps,
  actor: Actor,
  id: string,
  { name }: { name: string },
  expected: ExpectedVersions,
): Promise<PasskeyResponse> {
  return deps.mysql.transaction(async (tx) => {
    const renamed = await deps.passkeys.rename(id, actor.userId, name, expected, tx);
    const row = await deps.passkeys.find(id, actor.userId, tx);
    if (!row) throw noPasskey();
    if (!renamed) {
      throw new AppError("precondition_failed", "The passkey has changed since you read it. Read it again.", {
        members: { currentVersion: row.version },
      });
    }
    return toPasskey(row);
  });
}

/**
 * Takes one of the caller's passkeys away. It asks for no proof: whoever lost a phone should be quick.
 * @throws AppError not_found; conflict when they could not sign in without it
 */
export async function removePasskey(deps: Deps, actor: Actor, id: string, origin: Origin): Promise<void> {
  const act = { action: "passkey.removed", detail: { passkeyId: id } } as const;
  await changeSignIn(deps, actor, origin, act, async (tx, _now, { hashedPassword }) => {
    const own = await deps.passkeys.ofUser(actor.userId, tx);
    if (!(await deps.passkeys.remove(id, actor.userId, tx))) throw noPasskey();
    if (own.length === 1 && hashedPassword === null) {
      throw new AppError("conflict", "You have no password: without this passkey you could not sign in.");
    }
  });
}

/** What a browser needs to sign in with a passkey: the same for everybody. */
export async function signInOptions(deps: Deps, ip: string): Promise<PasskeyRequest> {
  await deps.throttle.request("passkey", ip);
  const { id, challenge } = await newChallenge(deps, "sign_in", null);
  const options = await requestOptions(relyingParty(deps.config), challenge);
  return { challengeId: id, options, expiresIn: PASSKEY_TTL / 1000 };
}

/**
 * Signs in whoever holds the passkey and was recognised by it: two factors in one, so no other is asked for,
 * and no limit of the account stands in the way.
 * @throws AppError invalid_credentials for every reason alike
 */
export async function signInWithPasskey(
  deps: Deps,
  { challengeId, response }: PasskeySignIn,
  origin: Origin,
): Promise<SignedIn> {
  await deps.throttle.request("passkey", origin.ip);
  const now = deps.clock.now();
  const challenge = await deps.passkeys.takeChallenge(challengeId, { purpose: "sign_in", userId: null, now });
  const row = challenge && (await deps.passkeys.findByCredential(fromText(response.id)));
  // Before the signature is checked: a reset or a ban from here on ends this sign-in.
  const user = row?.user;
  const refuse = async (reason: string) => {
    await deps.audit.record(
      newAuditEntry(deps, "sign_in.failed", {
        actor: ANONYMOUS,
        subjectUserId: user?.id ?? null,
        origin,
        detail: { method: "passkey", reason },
      }),
    );
    return new AppError("invalid_credentials", "The passkey is not right. Try again or sign in another way.");
  };
  if (!challenge) throw await refuse("no_challenge");
  if (!row || !user) throw await refuse("unknown_passkey");
  if (user.bannedAt !== null || user.deletedAt !== null) throw await refuse("banned");
  if (userOfHandle(response.response.userHandle ?? "") !== user.id) throw await refuse("wrong_person");
  const signed = await checkAssertion(relyingParty(deps.config), response, challenge, row.publicKey);
  if (!signed) throw await refuse("wrong_signature");
  if (!(await deps.passkeys.use(row.id, { ...signed, now }))) throw await refuse("count_did_not_grow");
  const deviceId = await knownDevice(deps, user.id, origin);
  const proven = { userId: user.id, epoch: user.authEpoch, deviceId };
  const signedIn = await completeSignIn(deps, proven, "passkey", origin);
  await forgiveOwner(deps, user, origin, { deviceId, proof: "whole" });
  return signedIn;
}

import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import { deviceName } from "../../lib/user-agent";
import type { AuthDeps } from "../deps";
import { changeSignIn } from "../mfa/change-sign-in";
import { reauthenticate } from "../mfa/reauthenticate";
import type { Proof } from "../mfa/schema";
import type { Origin } from "../origin";
import { PASSKEY_TTL } from "../rules";
import { newChallenge } from "./challenge";
import { toPasskey } from "./manage";
import type { PasskeyRegistration, PasskeyResponse, RegisterPasskey } from "./schema";
import { checkCreation, creationOptions, relyingParty } from "./webauthn";

/** Most passkeys of one person. */
const MAX_PASSKEYS = 20;

/** Longest public key that is kept, in bytes; RSA of 8192 bits has about half of it. */
const MAX_KEY = 2000;

const tooMany = () => new AppError("conflict", `You have ${MAX_PASSKEYS} passkeys. Remove one first.`);

/** What the caller's browser needs to make a passkey. @throws AppError see `reauthenticate`, and conflict */
export async function passkeyOptions(
  deps: AuthDeps,
  actor: Actor,
  proof: Proof,
  origin: Origin,
): Promise<PasskeyRegistration> {
  const user = await reauthenticate(deps, actor, proof, origin);
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
  deps: AuthDeps,
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

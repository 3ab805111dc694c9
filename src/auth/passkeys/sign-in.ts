import { ANONYMOUS, newAuditEntry } from "../../audit";
import { AppError } from "../../lib/errors";
import { completeSignIn, type SignedIn } from "../complete-sign-in";
import { countRequest } from "../count-request";
import type { AuthDeps } from "../deps";
import { knownDevice } from "../devices/known";
import { forgiveFailures } from "../forgive-failures";
import type { Origin } from "../origin";
import { PASSKEY_TTL } from "../rules";
import { newChallenge } from "./challenge";
import type { PasskeyRequest, PasskeySignIn } from "./schema";
import { checkAssertion, fromText, relyingParty, requestOptions, userOfHandle } from "./webauthn";

/** What a browser needs to sign in with a passkey: the same for everybody. */
export async function signInOptions(deps: AuthDeps, origin: Origin): Promise<PasskeyRequest> {
  await countRequest(deps, "passkey", origin);
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
  deps: AuthDeps,
  { challengeId, response }: PasskeySignIn,
  origin: Origin,
): Promise<SignedIn> {
  await countRequest(deps, "passkey", origin);
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
  await forgiveFailures(deps, user, origin, { deviceId, proof: "whole" });
  return signedIn;
}

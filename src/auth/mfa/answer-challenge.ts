import { AppError } from "../../lib/errors";
import { completeSignIn, readChallenge, type SignedIn } from "../complete-sign-in";
import type { AuthDeps } from "../deps";
import { stillKnown } from "../devices/known";
import { forgiveFailures } from "../forgive-failures";
import type { Origin } from "../origin";
import type { ChallengeAnswer } from "./schema";
import { verifyFactor } from "./verify-factor";

export const goneMeanwhile = () => new AppError("unauthenticated", "The account has changed. Sign in again.");

/**
 * Completes a sign-in whose password was right.
 * @throws AppError unauthenticated when the challenge is over or the account has changed since, invalid_code
 */
export async function answerChallenge(
  deps: AuthDeps,
  { challenge, ...answer }: ChallengeAnswer,
  origin: Origin,
): Promise<SignedIn> {
  const claims = readChallenge(deps, challenge);
  const user = await deps.users.findById(claims.userId);
  if (!user || user.authEpoch !== claims.epoch || user.bannedAt !== null || user.deletedAt !== null) {
    throw goneMeanwhile();
  }
  const deviceId = await stillKnown(deps, claims.deviceId);
  await verifyFactor(deps, user, answer, origin, {
    deviceId,
    signedIn: false,
    challengeId: claims.id,
  });
  const signedIn = await completeSignIn(deps, { ...claims, deviceId }, answer.method, origin);
  await forgiveFailures(deps, user, origin, { deviceId, proof: "whole" });
  return signedIn;
}

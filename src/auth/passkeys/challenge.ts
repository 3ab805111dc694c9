import { after } from "../../lib/clock";
import type { AuthDeps } from "../deps";
import { PASSKEY_TTL } from "../rules";
import type { ChallengePurpose } from "./store";

const CHALLENGE_BYTES = 32;

/** Something to sign, kept until it is answered or five minutes are over. */
export async function newChallenge(deps: AuthDeps, purpose: ChallengePurpose, userId: string | null) {
  const now = deps.clock.now();
  const id = deps.random.id();
  const challenge = deps.random.bytes(CHALLENGE_BYTES);
  await deps.passkeys.sweepChallenges(now);
  await deps.passkeys.createChallenge({ id, purpose, userId, challenge, expiresAt: after(now, PASSKEY_TTL) });
  return { id, challenge };
}

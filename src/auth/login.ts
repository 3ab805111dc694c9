import { ANONYMOUS, newAuditEntry } from "../audit";
import { after } from "../lib/clock";
import { emailKey } from "../lib/email";
import { AppError } from "../lib/errors";
import type { UserRow } from "../users";
import { checkPassword } from "./check-password";
import { completeSignIn, type SignedIn } from "./complete-sign-in";
import type { AuthDeps } from "./deps";
import { knownDevice } from "./devices/known";
import { requesterOf } from "./hash-queue";
import type { Origin } from "./origin";
import { CHALLENGE_TTL } from "./rules";
import { confirmedFactors, type SecondFactor } from "./second-factor";

/** The password was right and a second factor is due: POST /auth/mfa/challenge with it. */
export interface Challenge {
  mfaRequired: true;
  challenge: string;
  methods: SecondFactor[];
  /** Seconds. */
  expiresIn: number;
}

export type LoginOutcome =
  | { signedIn: SignedIn; challenge?: undefined }
  | { challenge: Challenge; signedIn?: undefined };

/** The one answer to every wrong sign-in. */
export const invalidCredentials = (): AppError =>
  new AppError("invalid_credentials", "The email or the password is not right.");

/** Why a sign-in by password was refused, for the audit log. */
function refusalOf(user: UserRow | null): string {
  if (user === null || user.deletedAt !== null) return "no_account";
  if (user.bannedAt !== null) return "banned";
  return user.emailVerifiedAt === null ? "not_verified" : "wrong_password";
}

/**
 * Checks a password and signs the person in, or gives a challenge when they have a second factor.
 * @throws AppError invalid_credentials for every reason alike
 */
export async function login(
  deps: AuthDeps,
  { email, password }: { email: string; password: string },
  origin: Origin,
): Promise<LoginOutcome> {
  const account = emailKey(email);
  const user = await deps.users.findByEmail(account);
  const usable =
    user !== null && user.emailVerifiedAt !== null && user.bannedAt === null && user.deletedAt === null;
  const deviceId = await knownDevice(deps, user?.id, origin);
  const guess = { hash: usable ? user.hashedPassword : null, password };
  const right = await checkPassword(deps, guess, { account, deviceId }, origin);
  if (!right || !usable || user.hashedPassword === null) {
    // Written for every address alike. Neither what was typed as the password nor as the address is kept:
    // people type the one where the other belongs.
    await deps.audit.record(
      newAuditEntry(deps, "sign_in.failed", {
        actor: ANONYMOUS,
        subjectUserId: user?.id ?? null,
        origin,
        detail: { method: "password", reason: refusalOf(user) },
      }),
    );
    throw invalidCredentials();
  }
  if (deps.passwords.needsRehash(user.hashedPassword)) {
    await deps.users.rehash(
      user.id,
      user.hashedPassword,
      await deps.passwords.hash(password, requesterOf(origin.ip, deviceId)),
    );
  }
  const proven = { userId: user.id, epoch: user.authEpoch, deviceId };
  const now = deps.clock.now();
  const methods = await confirmedFactors(deps, user.id);
  if (methods.length > 0) {
    const id = deps.random.id();
    const expiresAt = after(now, CHALLENGE_TTL);
    await deps.codes.create({ id, userId: user.id, purpose: "sign_in", requestedAt: now, expiresAt });
    return {
      challenge: {
        mfaRequired: true,
        challenge: deps.tokens.challenge({ id, ...proven }),
        methods,
        expiresIn: CHALLENGE_TTL / 1000,
      },
    };
  }
  return { signedIn: await completeSignIn(deps, proven, "password", origin) };
}

import { mutate } from "../audit";
import { after } from "../lib/clock";
import { emailKey } from "../lib/email";
import { invalidInput } from "../lib/errors";
import { isObviousPassword } from "./common";
import { countRequest } from "./count-request";
import type { AuthDeps } from "./deps";
import { requesterOf } from "./hash-queue";
import { languageIn, type Origin } from "./origin";
import { CODE_TTL, RESEND_AFTER } from "./rules";

export interface Registration {
  registrationId: string;
  /** Seconds until another code may be asked for. */
  resendAfter: number;
  /** Seconds a code stays good. */
  expiresIn: number;
}

export const registration = (registrationId: string): Registration => ({
  registrationId,
  resendAfter: RESEND_AFTER / 1000,
  expiresIn: CODE_TTL / 1000,
});

/** @throws AppError invalid_input for a password that says only who its owner is */
export function refuseObviousPassword(
  password: string,
  email: string,
  name: string,
  path = "password",
): void {
  if (isObviousPassword(password, email, name)) {
    throw invalidInput(
      path,
      "not_allowed",
      "must not be your address, your name or a word of this service, with or without digits around it",
    );
  }
}

/**
 * Starts a registration and mails a code. The password waits with this attempt: only who enters the code
 * mailed for it makes it the account's. Whether the address is known is not even asked here: the same is
 * written for every address, and the sender of the mail tells an owner that they have an account.
 */
export async function register(
  deps: AuthDeps,
  { email, password, name }: { email: string; password: string; name: string },
  origin: Origin,
): Promise<Registration> {
  await countRequest(deps, "register", origin);
  refuseObviousPassword(password, email, name);
  deps.mysql.expectWrites();
  const now = deps.clock.now();
  const pendingHashedPassword = await deps.passwords.hash(password, requesterOf(origin.ip, null));
  const [userId, codeId, jobId] = [deps.random.id(), deps.random.id(), deps.random.id()];
  await mutate(deps, "mysql", {}, async (tx) => {
    const user = await deps.users.findOrCreate(
      { id: userId, email, emailCanonical: emailKey(email), name, now },
      tx,
    );
    await deps.codes.create(
      {
        id: codeId,
        userId: user.id,
        purpose: "register",
        pendingName: name,
        pendingHashedPassword,
        requestedIp: origin.ip,
        requestedAt: now,
        expiresAt: after(now, CODE_TTL),
      },
      tx,
    );
    await deps.jobs.mysql.enqueue(
      { id: jobId, kind: "mail.verification_code", payload: { codeId, ...languageIn(origin) }, runAt: now },
      tx,
    );
  });
  return registration(codeId);
}

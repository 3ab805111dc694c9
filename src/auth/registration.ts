import { canonicalKey } from "../canonical";
import { after } from "../clock";
import type { Deps } from "../deps";
import { AppError } from "../errors";
import { toUserResponse, type UserResponse } from "../users/mapper";
import { ATTEMPT_TTL, CODE_TTL, MAX_CODE_FAILURES, RESEND_AFTER } from "./rules";

export interface Registration {
  registrationId: string;
  resendAfter: number;
  expiresIn: number;
}

const registration = (registrationId: string): Registration => ({
  registrationId,
  resendAfter: RESEND_AFTER / 1000,
  expiresIn: CODE_TTL / 1000,
});

/**
 * Starts a registration and mails a code. The password waits with this attempt: only who enters the code
 * mailed for it makes it the account's. A known address gets the same answer after the same work, and its
 * owner a mail that says so.
 */
export async function register(
  deps: Deps,
  { email, password, name }: { email: string; password: string; name: string },
): Promise<Registration> {
  const now = deps.clock.now();
  const pendingHashedPassword = await deps.passwords.hash(password);
  const [userId, codeId, jobId] = [deps.random.id(), deps.random.id(), deps.random.id()];
  const user = await deps.users.findOrCreate({
    id: userId,
    email,
    emailCanonical: canonicalKey(email),
    name,
    now,
  });
  const known = user.emailVerifiedAt !== null;
  await deps.mysql.transaction(async (tx) => {
    await deps.auth.createCode(
      {
        id: codeId,
        userId: user.id,
        purpose: "register",
        pendingName: name,
        pendingHashedPassword,
        requestedAt: now,
        expiresAt: after(now, CODE_TTL),
      },
      tx,
    );
    await deps.jobs.mysql.enqueue(
      known
        ? { id: jobId, kind: "mail.account_exists", payload: { userId: user.id }, runAt: now }
        : { id: jobId, kind: "mail.verification_code", payload: { codeId }, runAt: now },
      tx,
    );
  });
  deps.jobs.wake();
  return registration(codeId);
}

const wrongCode = () =>
  new AppError(
    "invalid_code",
    "The code is wrong, used or no longer good. Ask for a new one or register again.",
  );

/**
 * Proves an address with the code mailed for a registration; the account then has that attempt's password,
 * and every other attempt for the address dies.
 * @throws AppError invalid_code for every reason alike
 */
export async function verifyRegistration(
  deps: Deps,
  { registrationId, email, otp }: { registrationId: string; email: string; otp: string },
): Promise<UserResponse> {
  const now = deps.clock.now();
  const row = await deps.auth.findCode(registrationId);
  const owner = row?.user;
  if (
    row?.purpose !== "register" ||
    !owner ||
    owner.emailCanonical !== canonicalKey(email) ||
    row.consumedAt !== null ||
    row.expiresAt <= now
  ) {
    throw wrongCode();
  }
  if (!(await deps.auth.countTry(row.id, MAX_CODE_FAILURES))) throw wrongCode();
  if (!deps.otp.matches(otp, row.id, row.codeHash)) throw wrongCode();

  const { pendingHashedPassword: hashedPassword, pendingName: name } = row;
  if (hashedPassword === null || name === null) throw wrongCode();
  const user = await deps.mysql.transaction(async (tx) => {
    if (!(await deps.auth.consumeCode(row.id, now, tx))) throw wrongCode();
    if (!(await deps.users.verify(owner.id, { name, email, hashedPassword, now }, tx))) throw wrongCode();
    await deps.auth.killCodes(owner.id, "register", now, tx);
    await deps.users.grantRole(owner.id, "customer", now, tx);
    return deps.users.findById(owner.id, tx);
  });
  if (!user) throw wrongCode();
  return toUserResponse(user, ["customer"]);
}

/** Mails a new code for a registration, at most once a minute. The answer never says whether it did. */
export async function resendRegistrationCode(
  deps: Deps,
  { registrationId, email }: { registrationId: string; email: string },
): Promise<Registration> {
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const row = await deps.auth.findCode(registrationId);
  const open =
    row !== null &&
    row.purpose === "register" &&
    row.consumedAt === null &&
    row.user?.emailCanonical === canonicalKey(email) &&
    row.user.emailVerifiedAt === null &&
    row.createdAt > after(now, -ATTEMPT_TTL);
  if (open) {
    await deps.mysql.transaction(async (tx) => {
      const due = await deps.auth.touchCode(row.id, now, after(now, -RESEND_AFTER), after(now, CODE_TTL), tx);
      if (!due) return;
      await deps.jobs.mysql.enqueue(
        { id: jobId, kind: "mail.verification_code", payload: { codeId: row.id }, runAt: now },
        tx,
      );
    });
    deps.jobs.wake();
  }
  return registration(registrationId);
}

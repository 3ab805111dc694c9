import { newAuditEntry, person } from "../audit/entry";
import type { Deps } from "../deps";
import { after } from "../lib/clock";
import { AppError, invalidInput } from "../lib/errors";
import { canonicalKey } from "../lib/text";
import { toUserResponse, type UserResponse } from "../users/mapper";
import { isOwnWord } from "./common";
import { recordLock } from "./lockout";
import { ATTEMPT_TTL, CODE_TTL, MAX_CODE_FAILURES, RESEND_AFTER } from "./rules";
import type { Origin } from "./service";

export interface Registration {
  registrationId: string;
  /** Seconds until another code may be asked for. */
  resendAfter: number;
  /** Seconds a code stays good. */
  expiresIn: number;
}

const registration = (registrationId: string): Registration => ({
  registrationId,
  resendAfter: RESEND_AFTER / 1000,
  expiresIn: CODE_TTL / 1000,
});

/** @throws AppError invalid_input for a password that says only who its owner is */
export function refuseOwnWords(password: string, email: string, name: string, path = "password"): void {
  if (isOwnWord(password, email, name)) {
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
  deps: Deps,
  { email, password, name }: { email: string; password: string; name: string },
  ip: string,
): Promise<Registration> {
  await deps.throttle.request("register", ip);
  refuseOwnWords(password, email, name);
  const now = deps.clock.now();
  const pendingHashedPassword = await deps.passwords.hash(password);
  const [userId, codeId, jobId] = [deps.random.id(), deps.random.id(), deps.random.id()];
  await deps.mysql.transaction(async (tx) => {
    const user = await deps.users.findOrCreate(
      { id: userId, email, emailCanonical: canonicalKey(email), name, now },
      tx,
    );
    await deps.codes.create(
      {
        id: codeId,
        userId: user.id,
        purpose: "register",
        pendingName: name,
        pendingHashedPassword,
        requestedIp: ip,
        requestedAt: now,
        expiresAt: after(now, CODE_TTL),
      },
      tx,
    );
    await deps.jobs.mysql.enqueue(
      { id: jobId, kind: "mail.verification_code", payload: { codeId }, runAt: now },
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
  origin: Origin,
): Promise<UserResponse> {
  const now = deps.clock.now();
  const emailCanonical = canonicalKey(email);
  const check = async () => {
    const found = await deps.codes.find(registrationId);
    if (
      found?.purpose !== "register" ||
      found.user?.emailCanonical !== emailCanonical ||
      found.consumedAt !== null ||
      found.expiresAt <= now
    ) {
      throw wrongCode();
    }
    // Counted before it is judged, so that tries at once cannot exceed the limit.
    if (!(await deps.codes.countTry(found.id, MAX_CODE_FAILURES))) throw wrongCode();
    return deps.otp.matches(otp, found.id, found.codeHash) ? found : null;
  };
  const row = await deps.throttle.guess(
    "code",
    { account: emailCanonical, ip: origin.ip },
    check,
    recordLock(deps, "code", emailCanonical, origin),
  );
  const owner = row?.user;
  const { pendingHashedPassword: hashedPassword, pendingName: name } = row ?? {};
  if (!row || !owner || !hashedPassword || !name) throw wrongCode();
  const entry = newAuditEntry(deps, "account.verified", { actor: person(owner.id), origin });
  const user = await deps.mysql.transaction(async (tx) => {
    if (!(await deps.codes.use(row.id, now, tx))) throw wrongCode();
    if (!(await deps.users.verify(owner.id, { name, email, hashedPassword, now }, tx))) throw wrongCode();
    await deps.codes.endAll(owner.id, "register", now, tx);
    await deps.roles.grantNamed(owner.id, "customer", now, tx);
    await deps.audit.record(entry, tx);
    return deps.users.findById(owner.id, tx);
  });
  if (!user) throw wrongCode();
  return toUserResponse(user, ["customer"]);
}

/** Mails a new code for a registration, at most once a minute. The answer never says whether it did. */
export async function resendRegistrationCode(
  deps: Deps,
  { registrationId, email }: { registrationId: string; email: string },
  ip: string,
): Promise<Registration> {
  await deps.throttle.request("resend", ip);
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const row = await deps.codes.find(registrationId);
  const open =
    row !== null &&
    row.purpose === "register" &&
    row.consumedAt === null &&
    row.user?.emailCanonical === canonicalKey(email) &&
    row.createdAt > after(now, -ATTEMPT_TTL);
  if (open) {
    await deps.mysql.transaction(async (tx) => {
      const asked = { now, ip, notSince: after(now, -RESEND_AFTER), expiresAt: after(now, CODE_TTL) };
      const due = await deps.codes.renew(row.id, asked, tx);
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

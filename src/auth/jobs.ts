import { after } from "../clock";
import type { Deps } from "../deps";
import type { NewJob } from "../jobs/jobs";
import type { JobHandler } from "../jobs/runner";
import { JobRefused } from "../jobs/runner";
import {
  accountExistsMail,
  bannedMail,
  NOTICES,
  type Notice,
  noticeMail,
  resetPasswordMail,
  verificationCodeMail,
} from "../mail/templates";
import { wantsNotice } from "../users/me/notices";
import { deviceName } from "./device";
import { ATTEMPT_TTL, CODE_TTL, RESET_TTL } from "./rules";
import type { CodePurpose } from "./store";

const textIn = (payload: unknown, key: string): string => {
  const value = (payload as Record<string, unknown> | null)?.[key];
  if (typeof value !== "string") throw new JobRefused(`the payload has no ${key}`);
  return value;
};

/**
 * The row of a code that is to be mailed, and its person, or null when there is nothing to send: the row is
 * used, nobody has the address, or they got too many mails. Limits count here, so that answers do not show them.
 */
async function codeToSend(deps: Deps, payload: unknown, purpose: CodePurpose) {
  const row = await deps.auth.findCode(textIn(payload, "codeId"));
  const user = row?.user;
  if (row?.purpose !== purpose || !user || row.consumedAt !== null || user.deletedAt !== null) return null;
  await deps.auth.deleteCodes(user.id, after(deps.clock.now(), -ATTEMPT_TTL));
  return (await deps.throttle.mail(user.emailCanonical, row.requestedIp ?? "")) ? { row, user } : null;
}

/**
 * Sends the code of a `verification_codes` row. The queue holds only the row's id: the code is made here and
 * kept as a keyed hash, so that no code lies readable anywhere. A repeated try makes a new code.
 */
const sendVerificationCode =
  (deps: Deps): JobHandler =>
  async ({ job }) => {
    const found = await codeToSend(deps, job.payload, "register");
    if (!found) return;
    const { row, user } = found;
    if (user.emailVerifiedAt !== null) {
      await deps.mail.send({ to: user.email, ...(await accountExistsMail(user.name)) });
      return;
    }
    const code = deps.otp.generate();
    const expiresAt = after(deps.clock.now(), CODE_TTL);
    if (!(await deps.auth.setCodeHash(row.id, deps.otp.hash(code, row.id), expiresAt))) return;
    const content = await verificationCodeMail(row.pendingName ?? user.name, code, CODE_TTL / 60_000);
    await deps.mail.send({ to: user.email, ...content });
  };

/** Sends the link for a new password; its secret is made here and kept as a keyed hash. */
const sendResetLink =
  (deps: Deps): JobHandler =>
  async ({ job }) => {
    const found = await codeToSend(deps, job.payload, "reset_password");
    if (!found) return;
    const { row, user } = found;
    if (user.emailVerifiedAt === null || user.bannedAt !== null) return;
    const secret = Buffer.from(deps.random.bytes(32)).toString("base64url");
    const expiresAt = after(deps.clock.now(), RESET_TTL);
    if (!(await deps.auth.setCodeHash(row.id, deps.otp.hash(secret, row.id), expiresAt))) return;
    // After the #, so that no server log and no Referer holds it. Never built from the request's Host.
    const link = `${deps.config.appUrl}/reset-password#token=${row.id}.${secret}`;
    const content = await resetPasswordMail(user.name, link, RESET_TTL / 60_000);
    await deps.mail.send({ to: user.email, ...content });
  };

/**
 * The job that tells a person of a change to their account.
 * @param to the address, when it is not the account's: the one before a change of address
 */
export const newNotice = (
  notice: Notice,
  jobId: string,
  userId: string,
  { ip, userAgent }: { ip: string; userAgent: string },
  now: Date,
  to?: string,
): NewJob => ({
  id: jobId,
  kind: "mail.notice",
  payload: { notice, userId, ip, userAgent, at: now.toISOString(), ...(to === undefined ? {} : { to }) },
  runAt: now,
});

const sendNotice =
  (deps: Deps): JobHandler =>
  async ({ job: { payload } }) => {
    const notice = textIn(payload, "notice");
    if (!Object.hasOwn(NOTICES, notice)) throw new JobRefused(`there is no notice ${notice}`);
    const user = await deps.users.findById(textIn(payload, "userId"));
    if (!user) return;
    if (notice === "new_device" && !(await wantsNotice(deps, user.id, "newDevice"))) return;
    const { to } = payload as { to?: string };
    if (user.deletedAt !== null && to === undefined) return;
    const content = await noticeMail(notice as Notice, user.name, {
      at: textIn(payload, "at"),
      ip: textIn(payload, "ip"),
      device: deviceName(textIn(payload, "userAgent")),
      link: `${deps.config.appUrl}/account/security`,
    });
    await deps.mail.send({ to: to ?? user.email, ...content });
  };

/** Tells a banned person why, if they still are when the mail leaves. */
const sendBanned =
  (deps: Deps): JobHandler =>
  async ({ job: { payload } }) => {
    const user = await deps.users.findById(textIn(payload, "userId"));
    if (!user || user.deletedAt !== null || user.banReason === null || user.emailVerifiedAt === null) return;
    await deps.mail.send({ to: user.email, ...(await bannedMail(user.name, user.banReason)) });
  };

/** What /auth leaves for later. */
export const authJobs = (deps: Deps): Record<string, JobHandler> => ({
  "mail.verification_code": sendVerificationCode(deps),
  "mail.reset_password": sendResetLink(deps),
  "mail.banned": sendBanned(deps),
  "mail.notice": sendNotice(deps),
});

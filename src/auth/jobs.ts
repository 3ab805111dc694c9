import type { NewJob } from "../jobs/jobs";
import { textIn } from "../jobs/payload";
import type { JobHandler } from "../jobs/runner";
import { JobRefused, needing } from "../jobs/runner";
import { after } from "../lib/clock";
import { emailKey } from "../lib/email";
import { deviceName } from "../lib/user-agent";
import {
  accountExistsMail,
  bannedMail,
  isNotice,
  type Notice,
  type NoticeKeys,
  noticeMail,
  resetPasswordMail,
  verificationCodeMail,
} from "../mail";
import { readerOf, wantsNotice } from "../users";
import { signedInDevice } from "./check-password";
import type { CodePurpose } from "./codes.store";
import type { AuthDeps } from "./deps";
import { languageIn, type Origin } from "./origin";
import { ATTEMPT_TTL, CODE_TTL, RESET_TTL } from "./rules";

/** The row of a code that is to be mailed, and its person; null when it is used, or nobody has the address. */
async function codeToSend(deps: AuthDeps, payload: unknown, purpose: CodePurpose) {
  const row = await deps.codes.find(textIn(payload, "codeId"));
  const user = row?.user;
  if (row?.purpose !== purpose || !user || row.consumedAt !== null || user.deletedAt !== null) return null;
  await deps.codes.deleteOlder(user.id, after(deps.clock.now(), -ATTEMPT_TTL));
  const { deviceId = null } = payload as { deviceId?: string | null };
  return { row, user, asker: { account: user.emailCanonical, ip: row.requestedIp ?? "", deviceId } };
}

/**
 * Sends the code of a `verification_codes` row. The queue holds only the row's id: the code is made here and
 * kept as a keyed hash, so that no code lies readable anywhere. A repeated try makes a new code. Budgets count
 * here, so that answers do not show them.
 */
const sendVerificationCode =
  (deps: AuthDeps): JobHandler =>
  async ({ job }) => {
    const found = await codeToSend(deps, job.payload, "register");
    if (!found) return;
    const { row, user, asker } = found;
    // Here and not at the registration, so that its time does not tell a new address from a known one.
    await deps.users.saveWords(user.id);
    const reader = await readerOf(deps, user.id, job.payload);
    await deps.throttle.mail("register", asker, async () => {
      if (user.emailVerifiedAt !== null) {
        await deps.mail.send({ to: user.email, ...(await accountExistsMail(reader, user.name)) });
        return true;
      }
      const code = deps.otp.generate();
      const expiresAt = after(deps.clock.now(), CODE_TTL);
      if (!(await deps.codes.setHash(row.id, deps.otp.hash(code, row.id), expiresAt))) return false;
      const content = await verificationCodeMail(reader, code, CODE_TTL / 60_000);
      await deps.mail.send({ to: user.email, ...content });
      return true;
    });
  };

/** Sends the link for a new password; its secret is made here and kept as a keyed hash. */
const sendResetLink =
  (deps: AuthDeps): JobHandler =>
  async ({ job }) => {
    const found = await codeToSend(deps, job.payload, "reset_password");
    if (!found) return;
    const { row, user, asker } = found;
    if (user.emailVerifiedAt === null || user.bannedAt !== null) return;
    await deps.throttle.mail("reset_password", asker, async () => {
      const secret = Buffer.from(deps.random.bytes(32)).toString("base64url");
      const expiresAt = after(deps.clock.now(), RESET_TTL);
      if (!(await deps.codes.setHash(row.id, deps.otp.hash(secret, row.id), expiresAt))) return false;
      // After the #, so that no server log and no Referer holds it. Never built from the request's Host.
      const link = `${deps.config.appUrl}/reset-password#token=${row.id}.${secret}`;
      const { by } = job.payload as { by?: unknown };
      const content = await resetPasswordMail(
        await readerOf(deps, user.id, job.payload),
        user.name,
        link,
        RESET_TTL / 60_000,
        by === "administrator",
      );
      await deps.mail.send({ to: user.email, ...content });
      return true;
    });
  };

/** What a notice says in place of an administrator's own address and device. */
export const ADMINISTRATOR = { ip: "by an administrator", userAgent: "support" };

/**
 * The job that tells a person of a change to their account.
 * @param more.to the address, when it is not the account's: the one before a change of address
 * @param more.keys the names of API keys that the change is about
 */
export const newNotice = (
  notice: Notice,
  jobId: string,
  userId: string,
  origin: Pick<Origin, "ip" | "userAgent" | "language">,
  now: Date,
  { to, keys }: { to?: string; keys?: NoticeKeys | undefined } = {},
): NewJob => ({
  id: jobId,
  kind: "mail.notice",
  payload: {
    notice,
    userId,
    ip: origin.ip,
    userAgent: origin.userAgent,
    ...languageIn(origin),
    at: now.toISOString(),
    ...(to !== undefined && { to }),
    ...(keys && {
      keys: Object.fromEntries(Object.entries(keys).map(([what, names]) => [what, [...names]])),
    }),
  },
  runAt: now,
});

const sendNotice =
  (deps: AuthDeps): JobHandler =>
  async ({ job: { payload } }) => {
    const notice = textIn(payload, "notice");
    if (!isNotice(notice)) throw new JobRefused(`there is no notice ${notice}`);
    const user = await deps.users.findById(textIn(payload, "userId"));
    if (!user) return;
    if (notice === "new_device" && !(await wantsNotice(deps, user.id, "newDevice"))) return;
    const { to, keys } = payload as { to?: string; keys?: NoticeKeys };
    if (user.deletedAt !== null && to === undefined) return;
    const [address, ip] = [to ?? user.email, textIn(payload, "ip")];
    const reader = await readerOf(deps, user.id, payload);
    const content = await noticeMail(reader, notice, user.name, {
      at: new Date(textIn(payload, "at")),
      ip,
      device: deviceName(textIn(payload, "userAgent")),
      link: `${deps.config.appUrl}/account/security`,
      byAdministrator: ip === ADMINISTRATOR.ip,
      keys,
    });
    // Nobody brings one about without a proof, so that strangers' mails do not count; many of one kind do.
    const receiver = { account: emailKey(address), ip, deviceId: signedInDevice(user.id) };
    await deps.throttle.mail(`notice:${notice}`, receiver, async () => {
      await deps.mail.send({ to: address, ...content });
      return true;
    });
  };

/** Tells a banned person why, if they still are when the mail leaves. */
const sendBanned =
  (deps: AuthDeps): JobHandler =>
  async ({ job: { payload } }) => {
    const user = await deps.users.findById(textIn(payload, "userId"));
    if (!user || user.deletedAt !== null || user.banReason === null || user.emailVerifiedAt === null) return;
    await deps.mail.send({
      to: user.email,
      ...(await bannedMail(await readerOf(deps, user.id), user.name, user.banReason)),
    });
  };

/** What /auth leaves for later. */
export const authJobs = (deps: AuthDeps): Record<string, JobHandler> => ({
  "mail.verification_code": needing(deps.mailServer, sendVerificationCode(deps)),
  "mail.reset_password": needing(deps.mailServer, sendResetLink(deps)),
  "mail.banned": needing(deps.mailServer, sendBanned(deps)),
  "mail.notice": needing(deps.mailServer, sendNotice(deps)),
});

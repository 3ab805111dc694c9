import { signedInDevice } from "../../auth";
import { textIn } from "../../jobs/payload";
import { type JobHandler, JobRefused, needing } from "../../jobs/runner";
import { MINUTE } from "../../lib/clock";
import { addressWantedMail, leaveAddressMail, lostAddressMail, proveAddressMail } from "../../mail";
import { readerOf } from "../reader";
import { avatarFolder } from "./avatar";
import { makeDueEmailChange, sideOf } from "./confirm-email-change";
import type { AccountDeps } from "./deps";
import { eraseAccount, eraseLateEvents } from "./erasure";
import { expireExport, makeExport, sendExportReady } from "./make-export";
import { RECOVERY_DELAY } from "./start-email-change";

/**
 * Mails one side of a change of address its link. The queue holds only the id of the change: the link's secret
 * is made here and kept as a keyed hash. A repeated try makes a new one. If someone else has the new address,
 * they get a mail that says so, and there is no link: limits and holders are looked at here, so that no
 * answer shows them.
 */
const sendEmailChangeLink =
  (deps: AccountDeps): JobHandler =>
  async ({ job }) => {
    const change = await deps.emailChanges.find(textIn(job.payload, "changeId"));
    const side = textIn(job.payload, "side");
    if (side !== "old" && side !== "new") throw new JobRefused("the side is neither old nor new");
    const user = change?.user;
    if (!user || change.endedAt !== null || change.expiresAt <= deps.clock.now() || user.deletedAt !== null) {
      return;
    }
    const account = side === "old" ? user.emailCanonical : change.newEmailCanonical;
    const holder = side === "old" ? null : await deps.users.findByEmail(account);
    const taken = holder !== null && holder.emailVerifiedAt !== null;
    if (taken && holder.deletedAt !== null) return;
    // Whoever asked has shown that the old address is theirs; to the new one they may be a stranger.
    const deviceId = side === "old" ? signedInDevice(user.id) : null;
    await deps.throttle.mail("email_change", { account, ip: change.requestedIp, deviceId }, async () => {
      if (taken) {
        await deps.mail.send({
          to: holder.email,
          ...(await addressWantedMail(await readerOf(deps, holder.id, job.payload), holder.name)),
        });
        return true;
      }
      const secret = Buffer.from(deps.random.bytes(32)).toString("base64url");
      const hash = deps.otp.hash(secret, sideOf(change.id, side));
      if (!(await deps.emailChanges.setHash(change.id, side, hash))) return false;
      // After the #, so that no server log and no Referer holds it. Never built from the request's Host.
      const link = `${deps.config.appUrl}/confirm-email#token=${change.id}.${side}.${secret}`;
      const minutes = Math.round((change.expiresAt.getTime() - change.requestedAt.getTime()) / MINUTE);
      const reader = await readerOf(deps, user.id, job.payload);
      const lost = {
        newEmail: change.newEmail,
        minutes: RECOVERY_DELAY / MINUTE,
        byAdministrator: (job.payload as { by?: unknown }).by === "administrator",
      };
      const mail =
        side === "old"
          ? {
              to: user.email,
              ...(change.effectiveAt === null
                ? await leaveAddressMail(reader, user.name, change.newEmail, link, minutes)
                : await lostAddressMail(reader, user.name, link, lost)),
            }
          : { to: change.newEmail, ...(await proveAddressMail(reader, link, minutes)) };
      await deps.mail.send(mail);
      return true;
    });
  };

/** Removes the files of a picture that nobody shows: it was replaced, or its upload never came to an end. */
const cleanAvatar =
  (deps: AccountDeps): JobHandler =>
  async ({ job }) => {
    const id = textIn(job.payload, "id");
    if (!(await deps.users.findAvatar(id))) await deps.storage.removeAll(avatarFolder(id));
  };

/** What /api/users/me leaves for later. */
export const accountJobs = (deps: AccountDeps): Record<string, JobHandler> => ({
  "mail.email_change": needing(deps.mailServer, sendEmailChangeLink(deps)),
  "users.email_change_due": makeDueEmailChange(deps),
  "avatars.clean": cleanAvatar(deps),
  "users.export": makeExport(deps),
  "users.export_expire": expireExport(deps),
  "mail.export_ready": needing(deps.mailServer, sendExportReady(deps)),
  "users.erase": eraseAccount(deps),
  "users.erase_late": eraseLateEvents(deps),
});

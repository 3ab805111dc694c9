import type { Origin } from "../../auth";
import type { Actor } from "../../lib/actor";
import type { ExpectedVersions } from "../../lib/versions";
import { NOTICE_SETTINGS, toNotices } from "../notices";
import { readSetting, writeSetting } from "../settings";
import { accountGone } from "./account";
import { changeSetting, withoutUndefined } from "./change-setting";
import type { AccountDeps } from "./deps";
import { toPendingChange } from "./email-change";
import type { ChangeSettings, SettingsResponse } from "./schema";

/** The settings of the caller's account. */
export async function readSettings(deps: AccountDeps, actor: Actor): Promise<SettingsResponse> {
  const user = await deps.users.findById(actor.userId);
  if (!user) throw accountGone();
  const { data, version } = await readSetting(deps, NOTICE_SETTINGS, user.id);
  const pending = await deps.emailChanges.findOpen(user.id, user.authEpoch, deps.clock.now());
  return {
    email: { address: user.email, pending: pending && toPendingChange(pending) },
    notices: toNotices(data),
    version,
  };
}

/** Changes which mails the caller wants. @throws AppError precondition_failed */
export async function changeSettings(
  deps: AccountDeps,
  actor: Actor,
  { notices }: ChangeSettings,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<SettingsResponse> {
  const now = deps.clock.now();
  await changeSetting(deps, actor, { kind: "notices", fields: Object.keys(notices), origin }, (tx) =>
    writeSetting(
      deps,
      NOTICE_SETTINGS,
      actor.userId,
      { change: (present) => withoutUndefined({ ...present, ...notices }), expected, now },
      tx,
    ),
  );
  return readSettings(deps, actor);
}

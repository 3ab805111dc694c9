import { newAuditEntry, person } from "../../audit/entry";
import type { Origin } from "../../auth/service";
import type { MySqlTx } from "../../db/prisma";
import type { Deps } from "../../deps";
import type { Actor } from "../../lib/actor";
import { AppError } from "../../lib/errors";
import { type ExpectedVersions, expectVersion } from "../../lib/versions";
import { toUserResponse, type UserResponse } from "../mapper";
import type { UserRow } from "../store";
import { toPendingChange } from "./email-change";
import { NOTICE_SETTINGS, toNotices } from "./notices";
import {
  type ChangePreferences,
  PREFERENCES,
  type Preferences,
  type PreferencesResponse,
  type ReplacePreferences,
  toPreferences,
} from "./preferences";
import type { ChangeMe, ChangeSettings, SettingsResponse } from "./schema";
import { readSetting, writeSetting } from "./settings";

/** The caller's account ended between the guard and the change. */
export const accountGone = (): AppError =>
  new AppError("unauthenticated", "The account is gone. Sign in again.");

/** A person as they see themselves, and the version of their row. */
export const answerOf = async (deps: Deps, user: UserRow) => ({
  data: toUserResponse(user, await deps.roles.namesOf(user.id)),
  version: user.version,
});

/** The caller's own account, and its version. */
export async function readMe(deps: Deps, actor: Actor): Promise<{ data: UserResponse; version: number }> {
  const user = await deps.users.findById(actor.userId);
  if (!user) throw accountGone();
  return answerOf(deps, user);
}

/**
 * Changes the caller's own account.
 * @param expected from If-Match
 * @throws AppError precondition_failed when it has another version
 */
export async function changeMe(
  deps: Deps,
  actor: Actor,
  { name }: ChangeMe,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<{ data: UserResponse; version: number }> {
  const now = deps.clock.now();
  const audit = newAuditEntry(deps, "profile.changed", {
    actor: person(actor.userId),
    origin,
    detail: { fields: ["name"] },
  });
  const user = await deps.mysql.transaction(async (tx) => {
    if (!(await deps.users.lockActive(actor.userId, tx))) throw accountGone();
    const present = await deps.users.findById(actor.userId, tx);
    if (!present || name === undefined) throw accountGone();
    expectVersion(expected, present.version);
    await deps.users.rename(actor.userId, name, now, tx);
    await deps.audit.record(audit, tx);
    return { ...present, name, version: present.version + 1 };
  });
  return answerOf(deps, user);
}

/** The caller's preferences, with defaults for what they never chose. */
export async function readPreferences(deps: Deps, actor: Actor): Promise<PreferencesResponse> {
  const { data, version } = await readSetting(deps, PREFERENCES, actor.userId);
  return toPreferences(data, version, deps.config.defaultCurrency);
}

/** Runs a change of a setting and its audit entry in one transaction. */
async function change<Setting>(
  deps: Deps,
  actor: Actor,
  { kind, fields, origin }: { kind: "preferences" | "notices"; fields: string[]; origin: Origin },
  work: (tx: MySqlTx) => Promise<Setting>,
): Promise<Setting> {
  const audit = newAuditEntry(deps, `${kind}.changed`, {
    actor: person(actor.userId),
    origin,
    detail: { fields },
  });
  return deps.mysql.transaction(async (tx) => {
    if (!(await deps.users.lockActive(actor.userId, tx))) throw accountGone();
    const changed = await work(tx);
    await deps.audit.record(audit, tx);
    return changed;
  });
}

/** The stored form of a choice about marketing: a decision keeps its time until another is made. */
const decided = (
  choice: { email: boolean } | null | undefined,
  present: Preferences["marketing"],
  now: Date,
): Preferences["marketing"] =>
  choice === null || choice === undefined
    ? undefined
    : choice.email === present?.email
      ? present
      : { email: choice.email, decidedAt: now.toISOString() };

const without = <Value extends object>(value: Value): Value =>
  Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as Value;

/** Puts choices in place of all that were made before. @throws AppError precondition_failed */
export async function replacePreferences(
  deps: Deps,
  actor: Actor,
  chosen: ReplacePreferences,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<PreferencesResponse> {
  const now = deps.clock.now();
  const fields = Object.keys(chosen);
  const saved = await change(deps, actor, { kind: "preferences", fields, origin }, (tx) =>
    writeSetting(
      deps,
      PREFERENCES,
      actor.userId,
      {
        change: (present) =>
          without({ ...chosen, marketing: decided(chosen.marketing, present.marketing, now) }),
        expected,
        now,
      },
      tx,
    ),
  );
  return toPreferences(saved.data, saved.version, deps.config.defaultCurrency);
}

/** Changes some choices and leaves the others. @throws AppError precondition_failed */
export async function changePreferences(
  deps: Deps,
  actor: Actor,
  { marketing, ...chosen }: ChangePreferences,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<PreferencesResponse> {
  const now = deps.clock.now();
  const fields = [...Object.keys(chosen), ...(marketing === undefined ? [] : ["marketing"])];
  const merged = (present: Preferences): Preferences =>
    without({
      ...present,
      ...Object.fromEntries(Object.entries(chosen).map(([name, value]) => [name, value ?? undefined])),
      marketing: marketing === undefined ? present.marketing : decided(marketing, present.marketing, now),
    });
  const saved = await change(deps, actor, { kind: "preferences", fields, origin }, (tx) =>
    writeSetting(deps, PREFERENCES, actor.userId, { change: merged, expected, now }, tx),
  );
  return toPreferences(saved.data, saved.version, deps.config.defaultCurrency);
}

/** The settings of the caller's account. */
export async function readSettings(deps: Deps, actor: Actor): Promise<SettingsResponse> {
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
  deps: Deps,
  actor: Actor,
  { notices }: ChangeSettings,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<SettingsResponse> {
  const now = deps.clock.now();
  await change(deps, actor, { kind: "notices", fields: Object.keys(notices), origin }, (tx) =>
    writeSetting(
      deps,
      NOTICE_SETTINGS,
      actor.userId,
      { change: (present) => without({ ...present, ...notices }), expected, now },
      tx,
    ),
  );
  return readSettings(deps, actor);
}

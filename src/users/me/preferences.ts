import type { AuditEntry } from "../../audit";
import type { Origin } from "../../auth";
import type { Actor } from "../../lib/actor";
import type { ExpectedVersions } from "../../lib/versions";
import {
  type ChangePreferences,
  PREFERENCES,
  type Preferences,
  type PreferencesResponse,
  type ReplacePreferences,
  toPreferences,
} from "../preferences";
import { readSetting, writeSetting } from "../settings";
import { changeSetting, withoutUndefined } from "./change-setting";
import type { AccountDeps } from "./deps";

/** The caller's preferences, with defaults for what they never chose. */
export async function readPreferences(deps: AccountDeps, actor: Actor): Promise<PreferencesResponse> {
  const { data, version } = await readSetting(deps, PREFERENCES, actor.userId);
  return toPreferences(data, version, deps.config.defaultCurrency);
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

/** The history of consent: what the log keeps when a decision about marketing changed (GDPR, article 7). */
function consentWatch() {
  let before: Preferences["marketing"];
  let now: Preferences["marketing"];
  return {
    watch(present: Preferences, changed: Preferences): Preferences {
      [before, now] = [present.marketing, changed.marketing];
      return changed;
    },
    more: (): AuditEntry["detail"] => (before?.email === now?.email ? {} : { marketing: now?.email ?? null }),
  };
}

/** Puts choices in place of all that were made before. @throws AppError precondition_failed */
export async function replacePreferences(
  deps: AccountDeps,
  actor: Actor,
  chosen: ReplacePreferences,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<PreferencesResponse> {
  const now = deps.clock.now();
  const consent = consentWatch();
  const fields = Object.keys(chosen);
  const saved = await changeSetting(
    deps,
    actor,
    { kind: "preferences", fields, origin },
    (tx) =>
      writeSetting(
        deps,
        PREFERENCES,
        actor.userId,
        {
          change: (present) =>
            consent.watch(
              present,
              withoutUndefined({ ...chosen, marketing: decided(chosen.marketing, present.marketing, now) }),
            ),
          expected,
          now,
        },
        tx,
      ),
    consent.more,
  );
  return toPreferences(saved.data, saved.version, deps.config.defaultCurrency);
}

/** Changes some choices and leaves the others. @throws AppError precondition_failed */
export async function changePreferences(
  deps: AccountDeps,
  actor: Actor,
  { marketing, ...chosen }: ChangePreferences,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<PreferencesResponse> {
  const now = deps.clock.now();
  const fields = [...Object.keys(chosen), ...(marketing === undefined ? [] : ["marketing"])];
  const consent = consentWatch();
  const merged = (present: Preferences): Preferences =>
    consent.watch(
      present,
      withoutUndefined({
        ...present,
        ...Object.fromEntries(Object.entries(chosen).map(([name, value]) => [name, value ?? undefined])),
        marketing: marketing === undefined ? present.marketing : decided(marketing, present.marketing, now),
      }),
    );
  const saved = await changeSetting(
    deps,
    actor,
    { kind: "preferences", fields, origin },
    (tx) => writeSetting(deps, PREFERENCES, actor.userId, { change: merged, expected, now }, tx),
    consent.more,
  );
  return toPreferences(saved.data, saved.version, deps.config.defaultCurrency);
}

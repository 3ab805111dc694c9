import type { z } from "zod";
import type { MySqlTx } from "../db/prisma";
import { AppError } from "../lib/errors";
import { isObject, type JsonValue } from "../lib/json";
import { type ExpectedVersions, expectVersion } from "../lib/versions";
import type { UserDeps } from "./deps";
import type { SettingName } from "./settings.store";

/** JSON that a person chose, with a form that may change from release to release. */
export interface SettingKind<Data extends object> {
  kind: SettingName;
  /** The form that this version writes. */
  shape: number;
  /** By form, how to make the next one of it. */
  upgrades: Record<number, (data: Record<string, unknown>, updatedAt: Date) => Record<string, unknown>>;
  /** The fields of the present form. */
  fields: { [Name in keyof Data]-?: z.ZodType<Required<Data>[Name]> };
}

/** The fields whose value is still a valid one: a zone or a currency may cease to exist. */
function understood<Data extends object>({ fields }: SettingKind<Data>, data: unknown): Data {
  const known = Object.entries<z.ZodType>(fields).flatMap(([name, field]) => {
    const { success, data: value } = field.safeParse(isObject(data) ? data[name] : undefined);
    return success ? [[name, value]] : [];
  });
  return Object.fromEntries(known) as Data;
}

/** A setting as it stands, upgraded to the present form; version 0 when nothing was chosen yet. */
export async function readSetting<Data extends object>(
  deps: UserDeps,
  setting: SettingKind<Data>,
  userId: string,
  tx?: MySqlTx,
): Promise<{ data: Data; version: number; shape: number }> {
  const row = await deps.settings.find(userId, setting.kind, tx);
  if (!row) return { data: understood(setting, {}), version: 0, shape: setting.shape };
  let data: unknown = row.data;
  for (let shape = row.shape; shape < setting.shape; shape++) {
    if (isObject(data)) data = setting.upgrades[shape]?.(data, row.updatedAt) ?? data;
  }
  return { data: understood(setting, data), version: row.version, shape: row.shape };
}

/**
 * Changes a setting in a transaction in which the person's row is locked.
 * @param expected from If-Match
 * @throws AppError precondition_failed when it has another version
 * @throws AppError service_unavailable when a newer release wrote it, whose form this one does not know
 */
export async function writeSetting<Data extends object>(
  deps: UserDeps,
  setting: SettingKind<Data>,
  userId: string,
  { change, expected, now }: { change: (present: Data) => Data; expected: ExpectedVersions; now: Date },
  tx: MySqlTx,
): Promise<{ data: Data; version: number }> {
  const present = await readSetting(deps, setting, userId, tx);
  expectVersion(expected, present.version);
  if (present.shape > setting.shape) {
    throw new AppError("service_unavailable", "A newer release wrote this. Try again when it is there.", {
      retryAfter: 60,
    });
  }
  const data = change(present.data);
  const next = { shape: setting.shape, data: data as JsonValue, version: present.version + 1, now };
  await deps.settings.save(userId, setting.kind, next, tx);
  return { data, version: next.version };
}

import { z } from "zod";
import type { UserDeps } from "./deps";
import { readSetting, type SettingKind } from "./settings";

const flag = z.boolean("must be true or false");

const storedFields = { newDevice: flag, lowStock: flag, exportReady: flag };

/** Mails that a person may do without. Those about a changed password, address or second factor always come. */
export type NoticeSetting = keyof typeof storedFields;

type Notices = { [Name in NoticeSetting]?: boolean };

export const NOTICE_SETTINGS: SettingKind<Notices> = {
  kind: "notices",
  shape: 1,
  upgrades: {},
  fields: storedFields,
};

export const noticesSchema = z
  .strictObject({
    /** A sign-in from a new device. */
    newDevice: flag,
    /** A level of stock that fell to its threshold; only for those who may change stock. */
    lowStock: flag,
    /** The export of your data can be fetched. */
    exportReady: flag,
  })
  .meta({ id: "Notices" });

export type NoticesResponse = z.infer<typeof noticesSchema>;

/** Choices with the default of everything else, which is to send it. */
export const toNotices = (chosen: Notices): NoticesResponse => ({
  newDevice: chosen.newDevice ?? true,
  lowStock: chosen.lowStock ?? true,
  exportReady: chosen.exportReady ?? true,
});

/** Whether a person wants a mail that may be done without. */
export const wantsNotice = async (deps: UserDeps, userId: string, notice: NoticeSetting): Promise<boolean> =>
  toNotices((await readSetting(deps, NOTICE_SETTINGS, userId)).data)[notice];

import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../lib/clock";
import type { Random } from "../lib/random";
import type { Mail, Mailer } from "./mail";

/** A mail that a development server kept instead of sending it. */
export interface KeptMail extends Mail {
  id: string;
  sentAt: string;
}

/** Mail in development: files in a folder, shown at /dev/mail, so that a reload loses none. */
export interface Mailbox extends Mailer {
  /** The newest first. */
  list(): Promise<KeptMail[]>;
}

const KEEP = 200;

export function createMailbox(folder: string, clock: Clock, random: Random): Mailbox {
  const names = async () =>
    (await readdir(folder).catch(() => []))
      .filter((name) => name.endsWith(".json"))
      .sort()
      .reverse();
  return {
    async send(mail) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const kept: KeptMail = { ...mail, id: random.id(), sentAt: clock.now().toISOString() };
      // Written beside and renamed, so that a reader never sees half a mail.
      const path = join(folder, `${kept.id}.json`);
      await writeFile(`${path}.part`, JSON.stringify(kept), { mode: 0o600 });
      await rename(`${path}.part`, path);
      for (const old of (await names()).slice(KEEP)) await rm(join(folder, old), { force: true });
    },
    async list() {
      const mails = await Promise.all(
        (await names()).map((name) => readFile(join(folder, name), "utf8").catch(() => undefined)),
      );
      return mails.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as KeptMail]));
    },
    close: () => undefined,
  };
}

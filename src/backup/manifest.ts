import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Config } from "../config";
import { macOf } from "../lib/crypto";

/** Raised when a backup of an earlier version can no longer be read. */
const FORMAT = 1;

/** Why a backup is not made or not restored; the message says what to do. */
export class BackupRefused extends Error {
  override readonly name = "BackupRefused";
}

const manifestSchema = z.object({
  format: z.literal(FORMAT),
  /** When MongoDB was read; MySQL was read at `mysqlAt`, a moment later. */
  mongoAt: z.iso.datetime(),
  mysqlAt: z.iso.datetime(),
  /** Rows of each table, documents of each collection. */
  tables: z.record(z.string(), z.int()),
  collections: z.record(z.string(), z.int()),
  /** Applied migrations of MySQL. */
  migrations: z.array(z.string()),
  /** How many stored files are in it; null where they are in S3, which keeps its own. */
  files: z.int().nullable(),
  /** SHA-256 in hex of each file of the two databases and, but in earlier versions, of the list of stored files. */
  checksums: z.record(z.string(), z.string()),
  /** What tells which secrets the data was made under, without telling them. */
  keys: z.object({ jwtSecret: z.string(), dataKeys: z.record(z.string(), z.string()) }),
});
export type Manifest = z.output<typeof manifestSchema>;

export const MANIFEST = "manifest.json";
export const newManifest = (said: Omit<Manifest, "format">): Manifest => ({ format: FORMAT, ...said });

const fingerprint = (secret: Uint8Array): string =>
  Buffer.from(macOf(secret, "aizy-backup")).toString("hex").slice(0, 16);

/** What the manifest says of an installation's secrets. */
export const keysOf = ({
  jwtSecret,
  dataKeys,
}: Pick<Config, "jwtSecret" | "dataKeys">): Manifest["keys"] => ({
  jwtSecret: fingerprint(Buffer.from(jwtSecret)),
  dataKeys: Object.fromEntries([...dataKeys].map(([version, key]) => [version, fingerprint(key)])),
});

/** What the restored data needs of the secrets and this environment has not, in words. */
export function missingKeys(
  { keys }: Manifest,
  config: Pick<Config, "jwtSecret" | "jwtSecretNext" | "jwtSecretPrevious" | "dataKeys">,
): string[] {
  const secrets = [config.jwtSecret, config.jwtSecretNext, config.jwtSecretPrevious];
  const known = secrets.flatMap((secret) => (secret ? [fingerprint(Buffer.from(secret))] : []));
  const data = keysOf(config).dataKeys;
  const lacking = Object.entries(keys.dataKeys).filter(([version, print]) => data[version] !== print);
  return [
    ...(known.includes(keys.jwtSecret)
      ? []
      : [
          "JWT_SECRET is another one: everybody would have to sign in again, and earlier links in mails fail",
        ]),
    ...lacking.map(
      ([version]) => `DATA_KEY lacks ${version}: second factors kept under it could not be read`,
    ),
  ];
}

/** SHA-256 of a file in hex. */
export async function checksumOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Reads what a backup says of itself. @throws BackupRefused */
export async function readManifest(folder: string): Promise<Manifest> {
  const text = await readFile(join(folder, MANIFEST), "utf8").catch(() => {
    throw new BackupRefused(`${folder} holds no ${MANIFEST}: it is no backup, or one that did not end.`);
  });
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    throw new BackupRefused(`${MANIFEST} of ${folder} was changed. Restore another copy of the backup.`);
  }
  const parsed = manifestSchema.safeParse(said);
  if (!parsed.success) throw new BackupRefused(`${folder} is a backup of a version that is not known here.`);
  return parsed.data;
}

/** Checks that the files that a manifest has checksums of are as they were written. @throws BackupRefused */
export async function checkChecksums(folder: string, { checksums }: Manifest): Promise<void> {
  for (const [name, checksum] of Object.entries(checksums)) {
    if ((await checksumOf(join(folder, name)).catch(() => "")) !== checksum)
      throw new BackupRefused(
        `${name} of ${folder} is not as it was written. Restore another copy of the backup.`,
      );
  }
}

import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DATA } from "./paths";

/** What a development machine needs and nobody should have to think up. */
export interface Secrets {
  JWT_SECRET: string;
  DATA_KEY: string;
  SEED_ADMIN_PASSWORD: string;
  /** Of the local MySQL's users. */
  MYSQL_PASSWORD: string;
}

const random = (bytes: number) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes)));

const makeSecrets = (): Secrets => ({
  JWT_SECRET: random(48).toString("base64url"),
  DATA_KEY: `v1:${random(32).toString("base64")}`,
  SEED_ADMIN_PASSWORD: random(12).toString("base64url"),
  MYSQL_PASSWORD: random(18).toString("base64url"),
});

/**
 * The secrets of this checkout, made once into `.data/secrets.json`, which only its owner may read. Two
 * commands that start at once get the same ones: the file appears whole, and only one of them makes it.
 * @throws Error when the file is there and is not readable as what this made
 */
export function localSecrets(folder = DATA): Secrets {
  const file = join(folder, "secrets.json");
  mkdirSync(folder, { recursive: true });
  const draft = join(folder, `secrets.${process.pid}.${random(4).toString("hex")}`);
  for (;;) {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOENT") throw error;
      writeFileSync(draft, `${JSON.stringify(makeSecrets(), null, 2)}\n`, { mode: 0o600 });
      try {
        linkSync(draft, file);
        chmodSync(file, 0o600);
      } catch (linkError) {
        if ((linkError as { code?: string }).code !== "EEXIST") throw linkError;
      } finally {
        rmSync(draft, { force: true });
      }
      continue;
    }
    const secrets = parse(text);
    if (!secrets) {
      throw new Error(
        `${file} is damaged. Remove it together with .data/mysql (its password is in there) and start again.`,
      );
    }
    return secrets;
  }
}

function parse(text: string): Secrets | undefined {
  try {
    const value = JSON.parse(text) as Secrets;
    const names = Object.keys(makeSecrets()) as (keyof Secrets)[];
    return names.every((name) => typeof value[name] === "string" && value[name] !== "") ? value : undefined;
  } catch {
    return undefined;
  }
}

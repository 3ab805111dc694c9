/**
 * The question before data is destroyed. Databases that this checkout started itself (`local/`) may go without
 * one; any other may be somebody's shop, so its name is asked for on a terminal, or given with `--confirm`.
 */
import { createInterface } from "node:readline/promises";

/** Refused; the message says what to do. Nothing was changed. */
export class NotConfirmed extends Error {
  override readonly name = "NotConfirmed";
}

/** A database that is about to be erased. */
interface Doomed {
  kind: "MySQL" | "MongoDB";
  name: string;
  host: string;
  own: boolean;
}

/** Host and database of an address, without what it holds of secrets; several hosts as they stand there. */
function partsOf(url: string): { host: string; name: string } {
  const [, host = "", name = ""] = /^[^:]+:\/\/(?:[^/?#]*@)?([^/?#]*)\/?([^?#]*)/.exec(url) ?? [];
  return { host, name: decodeURIComponent(name) };
}

/** The databases that an environment names. MongoDB's drivers take `test` where the address names none. */
function doomedIn(env: Record<string, string | undefined>, kinds: Doomed["kind"][]): Doomed[] {
  const own = (env.AIZY_OWN_DATABASES ?? "").split(" ");
  return kinds.map((kind) => {
    const url = (kind === "MySQL" ? env.DATABASE_URL : env.MONGODB_URI) ?? "";
    const { host, name } = partsOf(url);
    return { kind, host, name: name || "test", own: own.includes(url) };
  });
}

/** Asks on the terminal for a name. @returns what was typed; nothing at the end of input */
async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const closed = new Promise<string>((resolve) => terminal.once("close", () => resolve("")));
  terminal.on("SIGINT", () => terminal.close());
  try {
    return (await Promise.race([terminal.question(question), closed])).trim();
  } finally {
    terminal.close();
  }
}

/**
 * Lets nothing pass that is not meant: call it before anything is destroyed.
 * @param env names the databases (`DATABASE_URL`, `MONGODB_URI`) and those of this checkout (`AIZY_OWN_DATABASES`)
 * @param confirmed what was given with `--confirm`; every database that is not this checkout's own must be named,
 * and nothing else may be
 * @throws NotConfirmed in production, or when a name is missing or another one
 */
export async function confirmErasing(
  env: Record<string, string | undefined>,
  confirmed: string[],
  kinds: Doomed["kind"][] = ["MySQL", "MongoDB"],
): Promise<void> {
  if (env.NODE_ENV === "production") {
    throw new NotConfirmed("Refused: this erases data, and NODE_ENV is production. Nothing was changed.");
  }
  const doomed = doomedIn(env, kinds);
  const strangers = doomed.filter(({ own }) => !own);
  const list = doomed.map(({ kind, name, host }) => `  ${kind} database ${name} at ${host}`).join("\n");
  const wrong = confirmed.find((name) => doomed.every((database) => database.name !== name));
  if (wrong !== undefined) {
    throw new NotConfirmed(`Nothing was changed: "${wrong}" is not what would be erased, which is\n${list}`);
  }
  if (confirmed.length === 0 && strangers.length > 0 && process.stdin.isTTY) {
    for (const { kind, name, host } of strangers) {
      const typed = await ask(`This ERASES the ${kind} database ${name} at ${host}. Type its name: `);
      if (typed !== name) throw new NotConfirmed("That is not its name. Nothing was changed.");
    }
    return;
  }
  const missing = strangers.filter(({ name }) => !confirmed.includes(name));
  if (missing.length === 0) return;
  const names = [...new Set(strangers.map(({ name }) => name))];
  throw new NotConfirmed(
    `Nothing was changed. This checkout did not start what would be erased:\n${list}\n` +
      `When that is meant, name it: ${names.map((name) => `--confirm ${name}`).join(" ")}`,
  );
}

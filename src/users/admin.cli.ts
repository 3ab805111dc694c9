/**
 * bun run admin create|grant|revoke|list|remove-second-factor — administrators, from the server itself: the first one is made so.
 * A password comes from standard input, from a hidden prompt, or is made and shown once; never from the
 * command line, where every user of the machine can read it.
 */
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { emailSchema, nameSchema, newPasswordSchema } from "../auth/schema";
import { parseCommandLine, UsageShown } from "../cli";
import { COMMANDS } from "../commands";
import { ConfigError, parseConfig } from "../config";
import { checkMySql } from "../db/prisma";
import { DatabaseUnusable } from "../db/requirements";
import { AppError } from "../lib/errors";
import { commandDeps } from "../program";
import type { Deps } from "../wire";
import { createAccount, holdersOf, removeSecondFactor, setRole } from "./admin/commands";
import { ensureRoles } from "./roles/ensure";

/** Bytes of a password that is made. */
const GENERATED_BYTES = 18;

/** A fault of the command line, in words. */
class UsageError extends Error {}

/** What the command says, and where it reads a password from. */
export interface Terminal {
  out(line: string): void;
  err(line: string): void;
  /** @throws Error in words when there is none to read */
  password(): Promise<string>;
}

/** What the schema makes of a text. @throws UsageError with what is wrong */
function parsed<T>(
  schema: {
    safeParse(
      text: string,
    ): { success: true; data: T } | { success: false; error: { issues: { message: string }[] } };
  },
  what: string,
  text: string,
): T {
  const result = schema.safeParse(text);
  if (!result.success) throw new UsageError(`The ${what} ${result.error.issues[0]?.message}.`);
  return result.data;
}

/** Asks twice without showing what is typed. */
async function askPassword(): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  terminal.on("SIGINT", () => process.exit(130));
  const ask = async (question: string) => {
    process.stderr.write(question);
    const answer = await terminal.question("");
    process.stderr.write("\n");
    return answer;
  };
  try {
    const password = await ask("Password: ");
    if ((await ask("Again: ")) !== password) throw new UsageError("The two passwords are not the same.");
    return password;
  } finally {
    terminal.close();
  }
}

/** The first line of standard input. */
async function readPassword(): Promise<string> {
  const [line = ""] = (await Bun.stdin.text()).split(/\r?\n/);
  if (line === "") throw new UsageError("Send the password on standard input, or use --generate.");
  return line;
}

async function create(
  deps: Deps,
  terminal: Terminal,
  email: string,
  options: { name?: string; role?: string; generate?: boolean },
) {
  const address = parsed(emailSchema, "address", email);
  const name = parsed(nameSchema, "name", options.name ?? "Administrator");
  const role = options.role ?? "admin";
  const generated = options.generate
    ? Buffer.from(deps.random.bytes(GENERATED_BYTES)).toString("base64url")
    : undefined;
  const given = generated ?? (await terminal.password());
  await ensureRoles(deps);
  const password = parsed(newPasswordSchema, "password", given);
  await createAccount(deps, { email: address, name, password, role });
  terminal.out(`${address} can sign in and has the role ${role}.`);
  if (generated !== undefined) terminal.out(`Password (shown only now): ${generated}`);
}

async function run(
  deps: Deps,
  terminal: Terminal,
  words: string[],
  options: Parameters<typeof create>[3],
): Promise<void> {
  const [command, first, second] = words;
  if (command === "create" && first !== undefined && second === undefined)
    return create(deps, terminal, first, options);
  if (Object.keys(options).length > 0) throw new UsageError(COMMANDS.admin.usage);
  if ((command === "grant" || command === "revoke") && first !== undefined && second !== undefined) {
    await setRole(deps, first, second, command === "grant");
    terminal.out(`${first} ${command === "grant" ? "has" : "no longer has"} the role ${second}.`);
  } else if (command === "list" && second === undefined) {
    const people = await holdersOf(deps, first ?? "admin");
    for (const { email, name, status } of people) terminal.out(`${email}  ${name}  ${status}`);
    if (people.length === 0) terminal.out(`Nobody has the role ${first ?? "admin"}.`);
  } else if (command === "remove-second-factor" && first !== undefined && second === undefined) {
    await removeSecondFactor(deps, first);
    terminal.out(`${first} signs in with the password alone, and is signed out everywhere.`);
  } else throw new UsageError(COMMANDS.admin.usage);
}

/**
 * Runs the command with its words.
 * @param open makes the parts of a process; they are closed at the end
 * @returns the exit code
 */
export async function administer(
  words: string[],
  terminal: Terminal,
  open: () => Promise<Deps>,
): Promise<number> {
  let deps: Deps | undefined;
  try {
    const { values, positionals } = parseCommandLine(COMMANDS.admin, words);
    deps = await open();
    await run(deps, terminal, positionals, values);
    return 0;
  } catch (error) {
    if (error instanceof UsageShown) {
      terminal[error.exitCode === 0 ? "out" : "err"](error.message);
      return error.exitCode;
    }
    if (error instanceof AppError) {
      terminal.err([error.detail, ...(error.errors ?? []).map(({ message }) => message)].join(" "));
    } else if (
      error instanceof UsageError ||
      error instanceof DatabaseUnusable ||
      error instanceof ConfigError
    ) {
      terminal.err(error.message);
    } else throw error;
    return error instanceof UsageError ? 2 : 1;
  } finally {
    await deps?.close();
  }
}

async function openDeps(): Promise<Deps> {
  const config = parseConfig({ ...process.env, LOG_LEVEL: "warn" });
  await checkMySql(config.databaseUrl);
  return commandDeps(config);
}

if (import.meta.main) {
  const terminal = {
    out: (line: string) => console.log(line),
    err: (line: string) => console.error(line),
    password: () => (process.stdin.isTTY ? askPassword() : readPassword()),
  };
  process.exit(await administer(process.argv.slice(2), terminal, openDeps));
}

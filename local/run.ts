/**
 * bun local/run.ts COMMAND [ARGUMENT…] — runs a command with the databases and secrets it needs, as `bin/dev`
 * has them. The scripts of package.json do the same (`script.ts`).
 */
import { join } from "node:path";
import { type Joined, joinDatabases } from "./join";
import { runningDev } from "./note";
import { CHECKOUT } from "./paths";
import { boundToParent } from "./processes";
import { createReport } from "./terminal";

/** The environment of a command: what was given, what was joined, and the project's own tools first on PATH. */
export function commandEnv(added: Record<string, string>): Record<string, string | undefined> {
  const tools = join(CHECKOUT, "node_modules/.bin");
  const PATH = process.env.PATH?.split(":").includes(tools)
    ? process.env.PATH
    : `${tools}:${process.env.PATH}`;
  // Where `bin/dev` serves, which need not be port 5000: for `bun run demo`.
  const dev = runningDev();
  return { ...(dev ? { DEMO_URL: dev.address } : {}), ...process.env, PATH, ...added };
}

/**
 * Runs a command on this terminal and passes signals on to it.
 * @returns its exit code, or 128 and the signal's number as a shell says it
 */
export async function runCommand(command: string[], added: Record<string, string>): Promise<number> {
  const child = Bun.spawn(boundToParent(command), {
    cwd: CHECKOUT,
    env: commandEnv(added),
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
  });
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  // On a terminal Ctrl-C reaches the child by itself; here it only must not end us before it.
  const ignore = () => {};
  process
    .on("SIGTERM", pass)
    .on("SIGHUP", pass)
    .on("SIGINT", process.stdin.isTTY ? ignore : pass);
  const code = await child.exited;
  process
    .off("SIGTERM", pass)
    .off("SIGHUP", pass)
    .off("SIGINT", process.stdin.isTTY ? ignore : pass);
  return code;
}

/** The databases and secrets of a command, which is told on the terminal why it cannot have them. */
export async function joinOrExit(): Promise<Joined> {
  const terminal = createReport();
  try {
    return await joinDatabases(terminal.report);
  } catch (error) {
    terminal.end();
    console.error((error as Error).message);
    process.exit(1);
  } finally {
    terminal.end();
  }
}

if (import.meta.main) {
  const [command, ...rest] = process.argv.slice(2);
  if (command === undefined) {
    console.error("Usage: bun local/run.ts COMMAND [ARGUMENT…]");
    process.exit(2);
  }
  const joined = await joinOrExit();
  process.exit(await runCommand([command, ...rest], joined.env));
}

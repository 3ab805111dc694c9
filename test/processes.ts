import { lines } from "../local/processes";

/** A program of the project in a process of its own, on the databases of this test's worker. */
export interface Program {
  child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  /** Everything it has written so far. */
  output(): string;
  /** Waits for a line that matches. @throws Error with the output when the program ends or two minutes pass */
  line(pattern: RegExp): Promise<RegExpExecArray>;
  /** Waits for the end. @returns the exit code */
  ended(): Promise<number>;
  kill(signal?: NodeJS.Signals): Promise<number>;
}

/** A hang guard, far above what any step takes. */
const PATIENCE = 120_000;

/** Starts `bun FILE …`, or another program, with this worker's environment and what is added to it. */
export function startProgram(
  words: string[],
  env: Record<string, string | undefined> = {},
  program: string = process.execPath,
): Program {
  // Only tests may have cheap hashes of passwords.
  const outsideTests = (env.NODE_ENV ?? "test") === "test" ? {} : { PASSWORD_MEMORY: undefined };
  const child = Bun.spawn([program, ...words], {
    env: { ...process.env, ...outsideTests, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let output = "";
  let changed = Promise.withResolvers<void>();
  const collect = async (stream: ReadableStream<Uint8Array>) => {
    for await (const line of lines(stream)) {
      output += `${line}\n`;
      changed.resolve();
      changed = Promise.withResolvers();
    }
  };
  const done = Promise.all([collect(child.stdout), collect(child.stderr)]).then(() => changed.resolve());
  const ended = async () => {
    const code = await child.exited;
    await done;
    return code;
  };
  return {
    child,
    output: () => output,
    async line(pattern) {
      const deadline = Date.now() + PATIENCE;
      for (;;) {
        const next = changed.promise;
        const found = pattern.exec(output);
        if (found) return found;
        const over = child.exitCode !== null || child.signalCode !== null;
        if (over) await done;
        if ((over && !pattern.test(output)) || Date.now() > deadline) {
          throw new Error(`${words.join(" ")}: ${pattern} did not come:\n${output}`);
        }
        await Promise.race([next, child.exited, Bun.sleep(1000)]);
      }
    },
    ended,
    kill(signal = "SIGKILL") {
      child.kill(signal);
      return ended();
    },
  };
}

/** The environment of a process that makes an error which nobody catches when it gets SIGUSR2. */
export const uncaught = (kind: "thrown" | "promise") => ({
  UNCAUGHT: kind,
  BUN_OPTIONS: "--preload=./test/programs/uncaught.ts",
});

/** A server process of the application. */
export interface ServerProcess extends Program {
  address: string;
}

/** Starts the server on a free port and waits until it listens. */
export async function startServer(env: Record<string, string | undefined> = {}): Promise<ServerProcess> {
  const program = startProgram(["src/index.ts"], { PORT: "0", LOG_LEVEL: "info", ...env });
  const [, address = ""] = await program.line(/listening on (http:\/\/localhost:\d+)/);
  return { ...program, address };
}

/**
 * Asks again until `check` holds; for what becomes true by itself, such as a recovery.
 * @param patience a hang guard, in milliseconds
 */
export async function eventually(
  check: () => Promise<boolean>,
  what: string,
  patience = PATIENCE,
): Promise<void> {
  for (const deadline = Date.now() + patience; !(await check()); await Bun.sleep(50)) {
    if (Date.now() > deadline) throw new Error(`${what} did not happen within ${patience / 1000} s`);
  }
}

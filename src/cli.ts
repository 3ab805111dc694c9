/** Command lines of the project's programs: what one takes, and the reader that all of them share. */
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";

/** What a program takes. `-h` and `--help` need not be named. */
export interface CommandLine {
  /** The whole text of the help. */
  usage: string;
  options?: ParseArgsOptionsConfig;
  /** How many words beside the options, at least and at most; none when left out. */
  words?: readonly [least: number, most: number];
  /** What to say instead when somebody tries an option that is refused for a reason, such as `--password`. */
  refused?: Readonly<Record<string, string>>;
}

/** What was wrong with a command line, or the help that was asked for, and the exit code that goes with it. */
export class UsageShown extends Error {
  override readonly name = "UsageShown";
  constructor(
    message: string,
    readonly exitCode: 0 | 2,
  ) {
    super(message);
  }
}

/**
 * Reads a command line. Pure.
 * @param words without the program's own name
 * @throws UsageShown when help is asked for, an option is unknown, or there are too many or too few words
 * @example parseCommandLine({ usage: "Usage: …", options: { force: { type: "boolean" } } }, ["--force"]).values.force
 */
export function parseCommandLine<const T extends CommandLine>(command: T, words: string[]) {
  const { usage, refused = {} } = command;
  const [least, most] = command.words ?? [0, 0];
  const end = words.indexOf("--");
  const named = end < 0 ? words : words.slice(0, end);
  if (named.some((word) => word === "-h" || word === "--help")) throw new UsageShown(usage, 0);
  const why = named.map((word) => refused[word.split("=")[0] ?? ""]).find((reason) => reason !== undefined);
  if (why !== undefined) throw new UsageShown(why, 2);
  const parsed = (() => {
    try {
      const options = (command.options ?? {}) as NonNullable<T["options"]>;
      return parseArgs({ args: words, options, allowPositionals: true, strict: true });
    } catch (error) {
      // Node adds how to write a word that begins with a dash; none of ours does.
      const [what = ""] = (error as Error).message.split(". ");
      throw new UsageShown(`${what.replace(/\.$/, "")}.\n${usage}`, 2);
    }
  })();
  const { length } = parsed.positionals;
  if (length < least) throw new UsageShown(usage, 2);
  if (length > most) throw new UsageShown(`Unexpected "${parsed.positionals[most]}".\n${usage}`, 2);
  return parsed;
}

/**
 * Reads the command line of this process, and ends it when there is nothing to run: with the help on standard
 * output and 0, or with what is wrong on standard error and 2. Call it before anything is opened.
 */
export function readCommandLine<const T extends CommandLine>(
  command: T,
  words: string[] = process.argv.slice(2),
) {
  try {
    return parseCommandLine(command, words);
  } catch (error) {
    if (!(error instanceof UsageShown)) throw error;
    (error.exitCode === 0 ? console.log : console.error)(error.message);
    process.exit(error.exitCode);
  }
}

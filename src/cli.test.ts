import { describe, expect, test } from "bun:test";
import { type CommandLine, parseCommandLine, UsageShown } from "./cli";
import { COMMANDS } from "./commands";

const COPY = {
  usage: "Usage: copy FILE [--force] [--to NAME]",
  options: { force: { type: "boolean" }, to: { type: "string" } },
  words: [1, 1],
  refused: { "--password": "Not here." },
} as const;

/** What is shown instead of running, and the exit code. */
function shown(command: CommandLine, ...words: string[]): [message: string, exitCode: number] {
  try {
    parseCommandLine(command, words);
  } catch (error) {
    if (error instanceof UsageShown) return [error.message, error.exitCode];
    throw error;
  }
  throw new Error(`${words.join(" ")} would run`);
}

describe("a command line", () => {
  test("gives options and words by their types", () => {
    const { values, positionals } = parseCommandLine(COPY, ["--force", "a.csv", "--to=b"]);
    const force: boolean | undefined = values.force;
    const to: string | undefined = values.to;
    expect([force, to, positionals]).toEqual([true, "b", ["a.csv"]]);
    expect(parseCommandLine(COPY, ["--", "--help"]).positionals).toEqual(["--help"]);
  });

  test("help comes before everything, also among what is wrong", () => {
    for (const words of [
      ["-h"],
      ["--help"],
      ["a", "--nope", "--help"],
      ["--password=x", "-h"],
      ["a", "b", "-h"],
    ]) {
      expect(shown(COPY, ...words)).toEqual([COPY.usage, 0]);
    }
  });

  test("an unknown option, a value too many or too few, and words too many or too few end with 2 and the usage", () => {
    for (const words of [["a", "--nope"], ["a", "-x"], ["a", "--force=yes"], ["a", "--to"], ["a", "b"], []]) {
      const [message, code] = shown(COPY, ...words);
      expect([words, code]).toEqual([words, 2]);
      expect(message).toContain(COPY.usage);
    }
    expect(shown(COPY, "a", "--nope")[0]).toStartWith("Unknown option '--nope'.\n");
  });

  test("an option that is refused for a reason says that alone, without its value", () => {
    for (const words of [
      ["a", "--password=secret"],
      ["a", "--password", "secret"],
    ]) {
      expect(shown(COPY, ...words)).toEqual(["Not here.", 2]);
    }
  });

  test("every script's usage names the script and each of its options", () => {
    for (const [name, command] of Object.entries(COMMANDS) as [string, CommandLine][]) {
      expect(command.usage).toContain(`bun run ${name}`);
      for (const option of Object.keys(command.options ?? {})) expect(command.usage).toContain(`--${option}`);
    }
  });
});

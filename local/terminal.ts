/** What a command says while it works: one line a step, and on a terminal a long step's line is rewritten. */

/** Milliseconds between two lines of one step where the output is not a terminal. */
const QUIET = 5000;

/** Returns a function that shows a step. A line that starts with the same word replaces the one before. */
export function createReport(out: NodeJS.WriteStream = process.stderr): {
  report(line: string): void;
  /** Ends a rewritten line, before something else writes. */
  end(): void;
} {
  let step = "";
  let shown = 0;
  let open = false;
  return {
    report(line) {
      const word = line.split(" ")[0] ?? "";
      const same = word === step;
      step = word;
      if (out.isTTY) {
        out.write(same && open ? `\r\u001b[K${line}` : `${open ? "\n" : ""}${line}`);
        open = true;
        return;
      }
      if (same && Date.now() - shown < QUIET) return;
      shown = Date.now();
      out.write(`${line}\n`);
    },
    end() {
      if (open) out.write("\n");
      open = false;
      step = "";
    },
  };
}

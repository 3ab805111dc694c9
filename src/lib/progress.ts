/** Shows how far a long step is: one line rewritten on a terminal, a line now and then elsewhere. */
export interface Progress {
  /** @param done in the unit of `total`; @param note what is shown behind the bar */
  update(done: number, note?: string): void;
  /** A line of its own above the bar. */
  print(line: string): void;
  end(): void;
}

const WIDTH = 24;

export function createProgress(title: string, total: number): Progress {
  const out = process.stderr;
  const interval = out.isTTY ? 100 : 5000;
  let last = 0;
  let line = "";
  const clear = () => {
    if (out.isTTY && line !== "") out.write("\r\u001b[K");
  };
  return {
    update(done, note = "") {
      const share = total > 0 ? Math.min(1, done / total) : 1;
      const filled = Math.round(share * WIDTH);
      line = `${title} [${"#".repeat(filled)}${".".repeat(WIDTH - filled)}] ${Math.floor(share * 100)} % ${note}`;
      const now = Date.now();
      if (now - last < interval) return;
      last = now;
      if (out.isTTY) out.write(`\r\u001b[K${line}`);
      else out.write(`${line}\n`);
    },
    print(text) {
      clear();
      out.write(`${text}\n`);
      if (out.isTTY) out.write(line);
    },
    end() {
      if (out.isTTY) out.write(`\r\u001b[K${line}\n`);
      else if (line !== "") out.write(`${line}\n`);
    },
  };
}

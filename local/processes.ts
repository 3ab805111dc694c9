/** Child processes: their lines, their end, free ports, and whether a process of ours still runs. */
import { createServer } from "node:net";

/** The lines of a stream as they come, without the line ends. */
export async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n/);
    rest = parts.pop() ?? "";
    yield* parts;
  }
  if (rest !== "") yield rest;
}

/** Whether a TCP port of 127.0.0.1 (and, unless `local`, of every address) can be listened on. */
export function portIsFree(port: number, host?: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}

/** A free port of 127.0.0.1: `preferred` when nobody has it, so that addresses stay the same between runs. */
export async function freePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await portIsFree(preferred, "127.0.0.1"))) return preferred;
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address && typeof address === "object" ? resolve(address.port) : reject(address)));
    });
  });
}

/** A command that ends when this process does, however it ends; where the system can do that. */
export const boundToParent = (command: string[]): string[] =>
  process.platform === "linux" && Bun.which("setpriv")
    ? ["setpriv", "--pdeathsig", "TERM", ...command]
    : command;

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lines } from "../local/processes";

/** Firefox as Debian installs it, or as FIREFOX names it; undefined where there is none. */
export const firefoxPath = (): string | undefined =>
  process.env.FIREFOX || (Bun.which("firefox-esr") ?? Bun.which("firefox") ?? undefined);

/**
 * Opens a page in Firefox, which is spoken to in WebDriver BiDi (https://w3c.github.io/webdriver-bidi/).
 * @returns what evaluates an expression in the page, awaited and given as JSON; `close` removes the profile
 */
export async function openFirefox(url: string) {
  const profile = await mkdtemp(join(tmpdir(), "aizy-firefox-"));
  const words = [
    "--headless",
    "--no-remote",
    "--profile",
    profile,
    "--remote-debugging-port",
    "0",
    "about:blank",
  ];
  const child = Bun.spawn([firefoxPath() ?? "", ...words], {
    ...{ env: { ...process.env, HOME: profile }, stdin: "ignore", stdout: "ignore", stderr: "pipe" },
  });
  let address: string | undefined;
  const said: string[] = [];
  for await (const line of lines(child.stderr)) {
    said.push(line);
    address = /WebDriver BiDi listening on (ws:\S+)/.exec(line)?.[1];
    if (address) break;
  }
  if (!address) throw new Error(`Firefox did not start:\n${said.join("\n")}`);
  const socket = new WebSocket(`${address}/session`);
  const waiting = new Map<number, (answer: Answer) => void>();
  socket.addEventListener("message", ({ data }) => {
    const answer = JSON.parse(data) as Answer;
    waiting.get(answer.id)?.(answer);
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  let count = 0;
  // biome-ignore lint/suspicious/noExplicitAny: answers of several commands.
  const send = async (method: string, params: object): Promise<any> => {
    const id = ++count;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    waiting.set(id, resolve);
    socket.send(JSON.stringify({ id, method, params }));
    const answer = await promise;
    if (answer.type === "error") throw new Error(`${method}: ${answer.message}`);
    return answer.result;
  };
  await send("session.new", { capabilities: {} });
  const { contexts } = await send("browsingContext.getTree", {});
  const { context } = contexts[0];
  await send("browsingContext.navigate", { context, url, wait: "complete" });
  return {
    async evaluate(expression: string): Promise<unknown> {
      const asked = {
        expression: `(async () => JSON.stringify(await (${expression})))()`,
        awaitPromise: true,
      };
      const answer = await send("script.evaluate", { ...asked, target: { context } });
      if (answer.type !== "success") throw new Error(answer.exceptionDetails.text);
      return JSON.parse(answer.result.value);
    },
    async close() {
      socket.close();
      child.kill();
      await child.exited;
      await rm(profile, { recursive: true, force: true });
    },
  };
}

interface Answer {
  id: number;
  type: "success" | "error";
  message?: string;
  result?: unknown;
}

/**
 * What the client's types cost a frontend: `bun run bench client [--quick] [--check]`. In processor time, which other
 * work on the machine does not change: what a compiler spends on a frontend beyond an empty module, with TypeScript 5.9
 * and 7, and what an editor's server spends on a completion after each key.
 * TypeScript 5.9 is that of test/contract/tools (`bun run contract` installs it).
 */
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildClient } from "../local/build-client";
import { CHECKOUT } from "../local/paths";
import { prepareFrontend, USE } from "../test/frontend";
import { type Goal, options, reportGoals } from "./lib";

const TIMES = options.quick ? 10 : 40;
const OLDER = join(CHECKOUT, "test/contract/tools/node_modules/typescript");
const BEGUN = `import { createClient } from "aizy-backend/client";
const shop = createClient("http://localhost:5000");
export const { data } = await shop.api.products.$get({ query: { limit: 2 } });
`;
/** Where somebody types, and what has to be offered there. */
const TYPED: [line: string, offered: string][] = [
  ["shop.api.products.", "search"],
  ["data[0]?.", "slug"],
  ["(await shop.auth.login.$post({ json: { email: '', password: '' } })).", "status"],
];

const COMPILER = {
  ...{ target: "ES2022", module: "NodeNext", strict: true, skipLibCheck: true, noEmit: true, types: [] },
  ...{ lib: ["ES2022", "DOM", "DOM.Iterable"], exactOptionalPropertyTypes: true, preserveSymlinks: true },
};

/** Seconds of processor time for a module, of the cheapest of some runs. */
async function cost(frontend: string, tsc: string, code: string): Promise<number> {
  await writeFile(join(frontend, "typed.ts"), code);
  const times: number[] = [];
  for (let run = 0; run < (options.quick ? 2 : 4); run++) {
    const child = Bun.spawn([tsc, "--project", frontend], { stdout: "pipe", stderr: "inherit" });
    const said = await new Response(child.stdout).text();
    if ((await child.exited) !== 0) throw new Error(said);
    times.push(Number(child.resourceUsage()?.cpuTime.total) / 1e6);
  }
  return Math.min(...times);
}

/** Milliseconds of processor time that a process has had, in steps of ten. */
const spent = (pid: number): number => {
  const [, ...fields] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
  const [user = 0, system = 0] = (fields[0] ?? "").split(" ").slice(11, 13).map(Number);
  return (user + system) * 10;
};

/** Milliseconds that a completion after a key costs an editor, once it has answered before. */
async function completionCost(frontend: string): Promise<number> {
  const file = join(frontend, "typed.ts");
  await writeFile(file, BEGUN);
  const server = Bun.spawn(["node", join(OLDER, "lib/tsserver.js"), "--disableAutomaticTypingAcquisition"], {
    ...{ cwd: frontend, stdin: "pipe", stdout: "pipe", stderr: "ignore" },
  });
  const answers = server.stdout.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let sequence = 0;
  const send = (command: string, words: object) => {
    server.stdin.write(
      `${JSON.stringify({ seq: ++sequence, type: "request", command, arguments: words })}\n`,
    );
    server.stdin.flush();
    return sequence;
  };
  /** The names that are offered at a place. */
  const complete = async (line: number, offset: number): Promise<string> => {
    const mark = `"request_seq":${send("completionInfo", { file, line, offset })},`;
    for (;;) {
      const found = text.split("\n").find((one) => one.includes(mark));
      if (found !== undefined) return found;
      const { done, value } = await answers.read();
      if (done) throw new Error("the editor's server ended");
      text += decoder.decode(value, { stream: true });
    }
  };
  let total = 0;
  try {
    send("open", { file, fileContent: BEGUN });
    const line = BEGUN.split("\n").length;
    for (const [typed, offered] of TYPED) {
      for (let round = 0; round <= TIMES; round++) {
        // What was typed goes and comes again, so that nothing is answered from before.
        const endOffset = round === 0 ? 1 : typed.length + 1;
        send("change", { file, line, offset: 1, endLine: line, endOffset, insertString: typed });
        text = "";
        const before = spent(server.pid);
        const names = await complete(line, typed.length + 1);
        if (!names.includes(`"name":"${offered}"`)) throw new Error(`${typed} offers no ${offered}`);
        if (round > 0) total += spent(server.pid) - before;
      }
      send("change", { file, line, offset: 1, endLine: line, endOffset: typed.length + 1, insertString: "" });
    }
  } finally {
    server.kill();
    await server.exited;
  }
  return total / (TYPED.length * TIMES);
}

const frontend = await mkdtemp(join(tmpdir(), "aizy-types-"));
const goals: Goal[] = [];
try {
  await buildClient(prepareFrontend(frontend));
  const compilers: [string, string][] = [["7", join(CHECKOUT, "node_modules/.bin/tsc")]];
  if (existsSync(OLDER)) compilers.push(["5.9", join(OLDER, "bin/tsc")]);
  const project = { compilerOptions: COMPILER, files: ["typed.ts"] };
  await writeFile(join(frontend, "tsconfig.json"), JSON.stringify(project));
  await writeFile(join(frontend, "package.json"), '{ "type": "module" }');
  for (const [version, tsc] of compilers)
    goals.push({
      ...{ name: `types of a frontend, TypeScript ${version}`, unit: "s", goal: ["<=", 1] },
      measured: (await cost(frontend, tsc, USE)) - (await cost(frontend, tsc, "export {};")),
    });
  if (existsSync(OLDER))
    goals.push({
      ...{ name: "completion after a key", unit: "ms", goal: ["<=", 20] },
      measured: await completionCost(frontend),
    });
  else console.log("completion and TypeScript 5.9: skipped (bun run contract installs it)");
} finally {
  await rm(frontend, { recursive: true, force: true });
}
process.exit(reportGoals(goals));

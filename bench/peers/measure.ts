/** One counted run: a load on a running side, and what it cost. */
import { join } from "node:path";
import { processorTime, residentMegabytes } from "./machine";
import type { Request } from "./scenarios";
import type { Running } from "./sides";
import { ACCOUNTS } from "./world";

export interface Measured {
  perSecond: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
  /** Processor time for one request, in microseconds. */
  server: number;
  databases: number;
  /** Memory of the server after the run, in MB. */
  memory: number;
}

const node = join(import.meta.dir, "node_modules/node/bin/node");

interface Counted {
  count: number;
  seconds: number;
  p50: number;
  p99: number;
  refused: number;
  firstRefusal?: number;
}

export interface Load {
  connections: number;
  seconds: number;
  rate?: number;
  /** That the load runs on. */
  processor: string;
  /** The processes of the databases. */
  databases: number[];
}

/** @throws when an answer was an error */
export async function measure(running: Running, request: Request, options: Load): Promise<Measured> {
  const specification = {
    ...request,
    url: `${running.url}${request.path}`,
    connections: options.connections,
    seconds: options.seconds,
    rate: options.rate,
    accounts: ACCOUNTS,
  };
  const servers = running.processes();
  const before = { server: processorTime(servers), databases: processorTime(options.databases) };
  const child = Bun.spawn(
    ["taskset", "-c", options.processor, node, join(import.meta.dir, "load.js")],
    // An argument has at most 128 kB, and a picture may have more.
    { stdin: new Blob([JSON.stringify(specification)]), stdout: "pipe", stderr: "inherit" },
  );
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error("the load ended with an error; see above");
  const { count, seconds, p50, p99, refused, firstRefusal } = JSON.parse(text) as Counted;
  if (refused > 0 || count === 0) {
    throw new Error(
      `${running.side.name} ${request.path}: ${refused} of ${count} were no success (${firstRefusal})`,
    );
  }
  return {
    perSecond: count / seconds,
    p50,
    p99,
    server: (processorTime(servers) - before.server) / count,
    databases: (processorTime(options.databases) - before.databases) / count,
    memory: residentMegabytes(servers),
  };
}

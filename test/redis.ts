import { freePort } from "../local/processes";
import { startProgram } from "./processes";

/** Redis as Debian installs it, or as REDIS_SERVER names it; undefined where there is none. */
export const redisPath = (): string | undefined =>
  process.env.REDIS_SERVER || (Bun.which("redis-server") ?? undefined);

interface OwnRedis {
  url: string;
  /** Such as SIGSTOP: it keeps its connections, takes new ones and answers nobody. */
  signal(name: NodeJS.Signals): void;
  stop(): Promise<void>;
}

/** A Redis of its own on a free port, which keeps nothing on disk. */
export async function startRedis(): Promise<OwnRedis & { port: number }> {
  // A port that was free a moment ago: Redis does not choose one itself.
  const port = await freePort();
  return { ...(await startRedisOn(port)), port };
}

/** As `startRedis`, on a certain port: after a stop. */
export async function startRedisOn(port: number): Promise<OwnRedis> {
  const words = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const program = startProgram(words, {}, redisPath());
  await program.line(/Ready to accept connections/);
  return {
    url: `redis://127.0.0.1:${port}`,
    signal: (name) => program.child.kill(name),
    async stop() {
      await program.kill("SIGTERM");
    },
  };
}

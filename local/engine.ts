export type Database = "mysql" | "mongodb";

/** Says what is being done, in one line. */
export type Report = (line: string) => void;

/** A database that runs. */
export interface Running {
  /** What the commands get to know. */
  env: Record<string, string>;
  /** Processes without which it does not run. */
  children: Bun.Subprocess[];
  stop(): Promise<void>;
}

/** A way to run databases on this machine. */
export type Engine = Record<Database, () => Promise<Running>>;

/** What a command asks for. */
export type Request = { need: Database[] };
/** What it hears: progress, then either the addresses or what is wrong. */
export type Answer = { progress: string } | { ready: Record<string, string> } | { failed: string };

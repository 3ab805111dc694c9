import pino from "pino";
import type { Config } from "../config";
import type { AddressClass } from "../http/address";
import { systemClock } from "../lib/clock";
import { describeError, errorText, isErrorLike, withoutAddresses } from "./errors";
import { inBatches, type Output, stdoutSink } from "./output";
import { fieldsOf } from "./scope";

export type Logger = pino.Logger;

/** Names of values that no log line may hold, however deep: compared without case, hyphens and underscores. */
const SECRET = /password|secret|token|authorization|cookie|passphrase|credential|apikey|datakey|^otp|^code$/;

const isSecret = (name: string): boolean => SECRET.test(name.toLowerCase().replace(/[-_]/g, ""));

/** Names under which libraries keep documents, arguments and answers: what people typed. */
const CONTENT = new Set([
  "args",
  "errmsg",
  "input",
  "issues",
  "keyValue",
  "op",
  "originalMessage",
  "parameters",
  "rejected",
  "rejectedErrors",
  "response",
  "sql",
  "sqlMessage",
  "writeErrors",
]);

/** Deep enough for everything that is logged; what lies deeper is left out. */
const MAX_DEPTH = 6;

/**
 * A copy without secrets and without what people typed. A code that is a number or a name in capitals (11000, P2002,
 * ECONNREFUSED) says what went wrong; a code of six digits that a person got is a text of digits.
 */
function withoutSecrets(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return withoutAddresses(value);
  if (value === null || typeof value !== "object" || value instanceof Date) return value;
  if (depth >= MAX_DEPTH) return "[deeper]";
  if (isErrorLike(value)) return describeError(value);
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, depth + 1));
  // What an object makes of itself is no more than another object: that of a driver's error holds a document.
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") return withoutSecrets(toJSON.call(value), depth + 1);
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => {
      if (CONTENT.has(name)) return [name, "[redacted]"];
      if (!isSecret(name)) return [name, withoutSecrets(item, depth + 1)];
      const tells =
        name === "code" && (typeof item === "number" || /^[A-Za-z][A-Za-z0-9_]*$/.test(String(item)));
      return [name, tells ? item : "[redacted]"];
    }),
  );
}

/** What pino keeps in a logger for whoever writes lines by himself. */
interface Inside {
  [pino.symbols.streamSym]: pino.DestinationStream & Partial<Output>;
  /** What every line of this logger says, in JSON, with a comma in front. */
  [pino.symbols.chindingsSym]: string;
}

/** Lines of a logger that were dropped so far, because nobody took them. */
export const lostLines = (log: Logger): number =>
  (log as unknown as Inside)[pino.symbols.streamSym].lost?.() ?? 0;

/** How a request ended. */
export interface Answered {
  /** Of letters, digits, `_`, `-` and `=` only. */
  requestId: string;
  method: string;
  path: string;
  status: number;
  /** Milliseconds. */
  ms: number;
  /** What kind of address it came from; the address itself is personal. */
  from: AddressClass;
  /** The person who called, or whose API key did: an id. */
  userId?: string | undefined;
}

/**
 * Logs a request that was answered: as an error from 500 on. The line is what `log.info` would make of it, put together
 * here because every request has one: walking its fields, none of which can be a secret, took longer than they do.
 */
export function logRequest(
  log: Logger,
  { requestId, method, path, status, ms, from, userId }: Answered,
): void {
  const level = status >= 500 ? "error" : "info";
  if (!log.isLevelEnabled(level)) return;
  const inside = log as unknown as Inside;
  const stream = inside[pino.symbols.streamSym];
  if (stream.lastLevel !== undefined) stream.lastLevel = pino.levels.values[level] ?? 0;
  stream.write(
    `{"level":"${level}","time":"${systemClock.now().toISOString()}"${inside[pino.symbols.chindingsSym]},"requestId":"${requestId}",` +
      `"method":${JSON.stringify(method)},"path":${JSON.stringify(withoutAddresses(path))},"status":${status},"ms":${ms},"from":"${from}"` +
      `${userId === undefined ? "" : `,"userId":"${userId}"`},"msg":"request"}\n`,
  );
}

/**
 * One JSON line an event on stdout (pino's worker transports fail in compiled binaries, pino#10246).
 * In development `pino-pretty` is put behind it when it is installed.
 * @param to where the lines go instead
 */
export async function createLogger(
  config: Pick<Config, "environment" | "logLevel">,
  to?: pino.DestinationStream,
): Promise<Logger> {
  const options: pino.LoggerOptions = {
    level: config.logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: {
      level: (label) => ({ level: label }),
      log: (line) => withoutSecrets(line) as Record<string, unknown>,
    },
    mixin: () => fieldsOf(),
    // Pino's own would tell everything that an error bears.
    serializers: { err: (error) => (error instanceof Error ? describeError(error) : error) },
    hooks: {
      logMethod(words, method) {
        const [first, ...rest] = words as unknown[];
        const error = isErrorLike(first) ? first : (first as { err?: unknown } | null)?.err;
        // Without words of its own a line would have the error's text for them.
        const line = isErrorLike(first) ? { err: first } : first;
        const told = rest.length === 0 && isErrorLike(error) ? [line, errorText(error)] : [line, ...rest];
        method.apply(this, told as Parameters<typeof method>);
      },
    },
  };
  if (to !== undefined) return pino(options, to);
  if (config.environment !== "development") return pino(options, inBatches(stdoutSink()));
  const stdout = pino.destination({ dest: 1, sync: true });
  // A full disk or a reader that went away loses lines; it must not end the server, and there is nowhere to say it.
  stdout.on("error", () => undefined);
  const pretty = await import("pino-pretty").catch(() => undefined);
  return pretty
    ? pino(options, pretty.default({ destination: stdout, translateTime: "HH:MM:ss", singleLine: true }))
    : pino(options, stdout);
}

/** A logger that says nothing, for tests. */
export const silentLogger = (): Logger => pino({ level: "silent" });

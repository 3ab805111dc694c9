import pino from "pino";
import type { Config } from "../config";

export type Logger = pino.Logger;

/** Names of values that no log line may hold, however deep: compared without case, hyphens and underscores. */
const SECRET = /password|secret|token|authorization|cookie|passphrase|credential|apikey|datakey|^otp|^code$/;

const isSecret = (name: string): boolean => SECRET.test(name.toLowerCase().replace(/[-_]/g, ""));

/** Deep enough for everything that is logged; what lies deeper is left out. */
const MAX_DEPTH = 6;

/**
 * A copy without secrets. Errors stay as they are, for the serializer of `err`. A code that is a number or a
 * name in capitals (11000, P2002, ECONNREFUSED) says what went wrong; a code of six digits that a person got is
 * a text of digits.
 */
function withoutSecrets(value: unknown, depth = 0): unknown {
  if (value === null || typeof value !== "object" || value instanceof Error || value instanceof Date)
    return value;
  if (depth >= MAX_DEPTH) return "[deeper]";
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, depth + 1));
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => {
      if (!isSecret(name)) return [name, withoutSecrets(item, depth + 1)];
      const tells =
        name === "code" && (typeof item === "number" || /^[A-Za-z][A-Za-z0-9_]*$/.test(String(item)));
      return [name, tells ? item : "[redacted]"];
    }),
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
    serializers: { err: (error) => withoutSecrets(pino.stdSerializers.err(error)) },
  };
  if (to !== undefined) return pino(options, to);
  const stdout = pino.destination({ dest: 1, sync: true });
  // A full disk or a reader that went away loses lines; it must not end the server, and there is nowhere to say it.
  stdout.on("error", () => undefined);
  if (config.environment !== "development") return pino(options, stdout);
  const pretty = await import("pino-pretty").catch(() => undefined);
  return pretty
    ? pino(options, pretty.default({ destination: stdout, translateTime: "HH:MM:ss", singleLine: true }))
    : pino(options, stdout);
}

/** A logger that says nothing, for tests. */
export const silentLogger = (): Logger => pino({ level: "silent" });

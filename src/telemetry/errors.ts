/**
 * What may be told of an error: in the log, which many read and keep, and with a job, which is stored and shown. Texts
 * of databases, mail servers and validators hold what people typed: of their errors only the kind, the codes and the
 * places in the code are told. So the lists here say what is told; whatever else an error bears is left out.
 */

/** Names of this project's errors: their texts are written here, and hold ids and codes at most. */
const OURS = new Set([
  "AppError",
  "DatabaseUnusable",
  "JobRefused",
  "LeaseLost",
  "MailRefused",
  "MigrationError",
  "NotConfirmed",
  "StorageUnavailable",
]);
/** Errors of the language and the system. Their texts tell of code, files and connections; values are in quotes. */
const BUILT_IN = new Set([
  "AbortError",
  "AggregateError",
  "DOMException",
  "Error",
  "ReferenceError",
  "TimeoutError",
  "TypeError",
]);
/** What only errors of drivers, mail servers and validators bear, whatever they are called. */
const FOREIGN = [
  "errInfo",
  "issues",
  "keyValue",
  "meta",
  "rejected",
  "response",
  "sqlMessage",
  "sqlState",
  "writeErrors",
];
/** What else is told, where it is a number or looks like a name: 11000, P2002, ECONNREFUSED, HY000. */
const FACTS = [
  "code",
  "codeName",
  "errno",
  "kind",
  "originalCode",
  "responseCode",
  "sqlState",
  "status",
  "syscall",
];
/** A text of six digits is none of these: it may be a code that a person got. */
const NAME = /^(?:[A-Za-z][\w.-]{0,60}|\d{4,5})$/;
/** A line of a stack: it ends with a place in a file, or with one of the engine's own. */
const FRAME = /^\s+at \S.*(?::\d+\)?|\((?:native|<anonymous>|index \d+)\)|<anonymous>|unknown)$/;

/** How many frames of an error are told, of how many causes one after the other, and of how many beside each other. */
const [MOST_FRAMES, MOST_CAUSES, MOST_ERRORS] = [30, 5, 5];
/** Longest text, in characters. */
const MOST_TEXT = 1000;

/** An error as it is logged: its facts beside these. */
export interface Told {
  type: string;
  message?: string;
  /** Of the error and of its causes, as `caused by: …`. */
  stack?: string;
  cause?: Told;
  errors?: Told[];
  [fact: string]: unknown;
}

/** What is looked at of an error; some drivers throw plain objects. */
type Parts = { [name: string]: unknown };

const isObject = (value: unknown): value is Parts => typeof value === "object" && value !== null;

/** Whether it should be told as an error, whoever made it: errors of other realms are no `Error` here. */
export const isErrorLike = (value: unknown): boolean =>
  value instanceof Error ||
  (isObject(value) && typeof value.message === "string" && typeof value.stack === "string");

/**
 * A text without mail addresses, and URLs without their queries, fragments and names: those may hold tokens.
 * @example withoutAddresses("GET https://s3.example/a?X-Amz-Signature=b") // "GET https://s3.example/a"
 */
export const withoutAddresses = (text: string): string =>
  text.includes("@") || text.includes("://")
    ? text
        .replace(/([a-z][a-z0-9+.-]*:\/\/)(?:[^\s/?#@"'<>]*@)?([^\s?#"'<>]*)[^\s"'<>]*/gi, "$1$2")
        .replace(/[^\s@<>"'()[\]:;,]+@[^\s@<>"'()[\]:;,]+/g, "[address]")
    : text;

function typeOf(error: Parts): string {
  const made = error.constructor?.name ?? "";
  const name = String(error.name ?? "");
  return [name === "Error" ? made : name, made, name].find((word) => NAME.test(word)) ?? "Error";
}

/** The text of an error, where it may be told. */
function messageOf(error: Parts): string | undefined {
  if (typeof error.message !== "string") return undefined;
  const text = error.message.slice(0, MOST_TEXT);
  if (OURS.has(String(error.name))) return withoutAddresses(text);
  const isBuiltIn = BUILT_IN.has(String(error.name)) && BUILT_IN.has(String(error.constructor?.name));
  // Codes such as ERR_INVALID_ARG_VALUE say as much as the text, which holds the value.
  const isForeign = FOREIGN.some((name) => error[name] !== undefined) || /^ERR_/.test(String(error.code));
  // From the first quote to the last: a value may hold quotes itself.
  return isBuiltIn && !isForeign ? withoutAddresses(text.replace(/".*(?:"|$)/s, '"…"')) : undefined;
}

/** The lines of a stack that are places in code, whatever lines the text above them has. */
function framesOf({ stack, message }: Parts): string[] {
  if (typeof stack !== "string") return [];
  const text = typeof message === "string" && message !== "" ? stack.indexOf(message) : -1;
  const lines = stack.slice(text < 0 ? 0 : text + String(message).length).split("\n");
  const last = lines.findLastIndex((line) => !FRAME.test(line));
  return lines.slice(last + 1, last + 1 + MOST_FRAMES);
}

/** @param above the errors that this one is inside of: some hold themselves */
function tell(error: unknown, above: unknown[]): Told {
  if (!isObject(error)) return { type: typeof error };
  const message = messageOf(error);
  const told: Told = { type: typeOf(error), ...(message !== undefined && { message }) };
  for (const name of FACTS) {
    const fact = error[name];
    if (typeof fact === "number" || (typeof fact === "string" && NAME.test(fact))) told[name] = fact;
  }
  // Prisma keeps what the database said here, and which table it is about: its stack has no place of ours.
  const meta = isObject(error.meta) ? error.meta : {};
  if (typeof meta.modelName === "string" && NAME.test(meta.modelName)) told.model = meta.modelName;
  const below = isObject(error.cause) ? error.cause : meta.driverAdapterError;
  const stack = [`${told.type}${message === undefined ? "" : `: ${message}`}`, ...framesOf(error)];
  const inside = [...above, error];
  if (inside.length <= MOST_CAUSES) {
    if (isObject(below) && !inside.includes(below)) {
      const { stack: itsStack, ...cause } = tell(below, inside);
      told.cause = cause;
      stack.push(`caused by: ${itsStack}`);
    }
    if (Array.isArray(error.errors)) {
      const errors = error.errors.filter((other) => isObject(other) && !inside.includes(other));
      told.errors = errors.slice(0, MOST_ERRORS).map((other) => tell(other, inside));
    }
  }
  told.stack = stack.join("\n");
  return told;
}

/**
 * An error as it may be logged.
 * @example describeError(new SqlError("Duplicate entry 'ann@example.com'")) // { type: "SqlError", errno: 1062, … }
 */
export const describeError = (error: unknown): Told => tell(error, []);

/**
 * One line that says what an error is: its text where that may be told, else its kind, its codes and those of its causes.
 * @example errorText(error) // "PrismaClientKnownRequestError P2002"
 */
export function errorText(error: unknown): string {
  const told = describeError(error);
  if (told.message !== undefined) return told.message;
  const words = new Set<unknown>([told.type]);
  for (let each: Told | undefined = told; each !== undefined; each = each.cause)
    for (const name of FACTS) if (each[name] !== undefined) words.add(each[name]);
  return [...words].join(" ");
}

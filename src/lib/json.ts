/** Anything that JSON can hold. */
export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };

/** True for an object of JSON, which is no list and not null. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** How JSON writes half of a surrogate pair. */
const SURROGATE_ESCAPE = /\\u[dD][89a-fA-F]/;

/**
 * False when the JSON text holds no half of a surrogate pair for certain, so that it need not be walked.
 * @example maySplitPairs('{"name":"A"}') // false
 */
export const maySplitPairs = (text: string): boolean => SURROGATE_ESCAPE.test(text);

/**
 * Finds half of a surrogate pair, which JSON can write and UTF-8 and the databases cannot hold: replaced silently, two
 * texts would become one.
 * @returns the path of the first name or text that holds one, with dots; undefined when none does
 * @example splitPairAt({ a: ["\ud800"] }) // "a.0"
 */
export function splitPairAt(value: unknown, path: string[] = []): string | undefined {
  if (typeof value === "string") return value.isWellFormed() ? undefined : path.join(".");
  if (typeof value !== "object" || value === null) return undefined;
  for (const [key, part] of Object.entries(value)) {
    const at = key.isWellFormed()
      ? splitPairAt(part, [...path, key])
      : [...path, key.toWellFormed()].join(".");
    if (at !== undefined) return at;
  }
  return undefined;
}

/** False when no name of the JSON text is `__proto__` for certain. */
export const mayNameProto = (text: string): boolean => /__proto__|\\u005f/i.test(text);

/**
 * Finds the name `__proto__`, which is left out of objects without a word where they are copied.
 * @returns its path, with dots; undefined when there is none
 * @example protoAt(JSON.parse('{"a":{"__proto__":1}}')) // "a.__proto__"
 */
export function protoAt(value: unknown, path: string[] = []): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  for (const [key, part] of Object.entries(value)) {
    const at = key === "__proto__" ? [...path, key].join(".") : protoAt(part, [...path, key]);
    if (at !== undefined) return at;
  }
  return undefined;
}

/** A bracket of an object, or a string with the colon that makes it a name. */
const NAMES = /[{}]|"([^"\\]*(?:\\.[^"\\]*)*)"\s*(:?)/g;

/**
 * Finds a name that stands twice in one object: `JSON.parse` silently keeps the last of the values.
 * @param text valid JSON
 * @example repeatedName('{"a":{"b":1,"b":2}}') // "b"
 */
export function repeatedName(text: string): string | undefined {
  const objects: Set<string>[] = [];
  for (const [token, written = "", colon] of text.matchAll(NAMES)) {
    if (token === "{") objects.push(new Set());
    else if (token === "}") objects.pop();
    else if (colon === ":") {
      const name = written.includes("\\") ? (JSON.parse(`"${written}"`) as string) : written;
      if (objects.at(-1)?.has(name)) return name;
      objects.at(-1)?.add(name);
    }
  }
  return undefined;
}

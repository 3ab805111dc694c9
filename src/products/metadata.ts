/** Names that would reach an object's own machinery, or say to the driver that it is a value of BSON. */
const RESERVED = new Set(["__proto__", "constructor", "prototype", "_bsontype"]);

/** Most bytes of metadata as JSON. */
export const MAX_METADATA = 16 * 1024;
/** Objects and lists that metadata may have inside each other. */
const METADATA_DEPTH = 5;

/** Why metadata cannot be kept, with its path; undefined when it can. */
export function metadataFault(
  value: unknown,
  path: string[] = [],
  depth = 1,
): { path: string[]; message: string } | undefined {
  if (value === null || typeof value === "boolean") return undefined;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return { path, message: "is no finite number" };
    // 12345678901234567 was another number before it was read.
    return Number.isInteger(value) && !Number.isSafeInteger(value)
      ? { path, message: "is larger than a number holds exactly; write it as text" }
      : undefined;
  }
  if (typeof value === "string")
    return value.includes("\0") ? { path, message: "must not hold U+0000" } : undefined;
  if (typeof value !== "object") return { path, message: "must be JSON" };
  if (depth > METADATA_DEPTH) return { path, message: `must be at most ${METADATA_DEPTH} levels deep` };
  for (const [key, inner] of Object.entries(value)) {
    const at = [...path, key.slice(0, 100)];
    if (RESERVED.has(key) || key === "" || key.startsWith("$") || /[.\0]/.test(key) || key.length > 100) {
      return {
        path: at,
        message: "is not allowed as a key: 1 to 100 characters without . that begin with no $",
      };
    }
    const fault = metadataFault(inner, at, depth + 1);
    if (fault) return fault;
  }
  return undefined;
}

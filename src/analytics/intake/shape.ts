import { MAX_DEPTH, MAX_KEYS } from "./schema";

/** Why an event is not stored. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Keys that MongoDB cannot hold, or that its driver reads as something else. */
const IMPOSSIBLE_KEY = /\0|^_bsontype$|^__proto__$/;

/**
 * Refuses what is too deep or has too many keys, without recursion: what is measured here may be hostile.
 * A name with `$` or dots is as good as any other.
 */
export function checkShape(root: unknown): void {
  let keys = 0;
  const stack: [value: unknown, depth: number][] = [[root, 0]];
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    const [value, depth] = entry;
    if (typeof value !== "object" || value === null) continue;
    // Level 0 is the event itself, level 1 its `properties`.
    if (depth > MAX_DEPTH)
      throw new Refused("too_deep", `properties may be at most ${MAX_DEPTH} levels deep`);
    const names = Array.isArray(value) ? [] : Object.keys(value);
    keys += Array.isArray(value) ? value.length : names.length;
    if (keys > MAX_KEYS)
      throw new Refused("too_many_keys", `an event may have at most ${MAX_KEYS} keys and items`);
    const bad = names.find((name) => IMPOSSIBLE_KEY.test(name));
    if (bad !== undefined) {
      throw new Refused(
        "invalid_key",
        `the property name ${JSON.stringify(bad.slice(0, 50))} is not possible`,
      );
    }
    for (const item of Object.values(value)) stack.push([item, depth + 1]);
  }
}

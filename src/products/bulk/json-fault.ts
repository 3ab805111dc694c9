import { mayNameProto, maySplitPairs, protoAt, repeatedName, splitPairAt } from "../../lib/json";

/** Most characters of a name that a fault shows. */
const MAX_NAME = 100;

/**
 * Why a text that is valid JSON would not be kept as it is written.
 * @param value what it says
 * @param column where it stands, when it is not a line of its own
 */
export function jsonFault(text: string, value: unknown, column?: string): string | undefined {
  const path = column === undefined ? [] : [column];
  const split = maySplitPairs(text) ? splitPairAt(value, path) : undefined;
  if (split !== undefined) return `${split} holds half of a surrogate pair, which is no text`;
  const proto = mayNameProto(text) ? protoAt(value, path) : undefined;
  if (proto !== undefined) return `${proto} is not allowed as a key`;
  const repeated = repeatedName(text);
  if (repeated === undefined) return undefined;
  return [...path, `${JSON.stringify(repeated.slice(0, MAX_NAME))} is there twice in one object`].join(": ");
}

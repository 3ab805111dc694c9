import { createHmac } from "node:crypto";
import { isIP } from "node:net";
import { remembered } from "../../lib/remembered";

/** An address without what tells people of one network apart: IPv4 /24, IPv6 /48. Null for anything else. */
export function shortenAddress(address: string): string | null {
  const plain = address.trim().replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");
  if (isIP(plain) === 4) return `${plain.split(".").slice(0, 3).join(".")}.0`;
  if (isIP(plain) !== 6) return null;
  // The URL parser writes an IPv6 address in its one canonical form; a zone ("%eth0") is not part of it.
  const canonical = URL.parse(`http://[${plain.split("%")[0]}]`)?.hostname.slice(1, -1);
  if (canonical === undefined) return null;
  const [head = "", tail] = canonical.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups =
    tail === undefined
      ? left
      : [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
  return URL.parse(`http://[${groups.slice(0, 3).join(":")}::]`)?.hostname.slice(1, -1) ?? null;
}

/** Query parameters that say where a visit came from; every other one may hold what is nobody's business. */
const KEPT_PARAMETERS = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];

/** A URL without credentials, fragment and all of the query but the campaign. Null for what is no web address. */
export const cleanUrl = remembered((text: string): Readonly<URL> | null => {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol)) return null;
  url.username = "";
  url.password = "";
  url.hash = "";
  const kept = KEPT_PARAMETERS.flatMap((name) => {
    const value = url.searchParams.get(name);
    return value === null ? [] : [[name, value.slice(0, 100)] as [string, string]];
  });
  url.search = new URLSearchParams(kept).toString();
  return url;
}, 200);

/**
 * What stands for a caller without an anonymous id, for one day: a keyed hash of address and browser with a
 * salt that is forgotten two days later, so that nothing links one day's visitor to another's or to an address.
 */
export const dayVisitor = (salt: Uint8Array, address: string, userAgent: string): string =>
  `~${createHmac("sha256", salt).update(`${address}\n${userAgent}`).digest("base64url").slice(0, 22)}`;

/** A web address in a text, and one that is written as a part of another. */
const ADDRESS = /https?:\/\/[^\s"'<>\\]+/gi;
const ENCODED = /https?%3a%2f%2f[^\s"'<>\\&]+/gi;
/** What parts a text into words. */
const BETWEEN = /([\s"'<>(),;|]+)/;
const HOST = /^([\w-]+\.)+[a-z]{2,20}(:\d+)?$/i;

/**
 * A word that is an address of another kind, without its query and fragment: of an app, without a scheme, or without a
 * host. In a text that is none, such as "and/or?", only what assigns something is taken for a query.
 */
function cleanWord(word: string): string {
  if (/https?:\/\//i.test(word)) return word;
  const plain = word.includes("://") ? word.replace(/:\/\/[^/@]*@/, "://") : word;
  const end = plain.search(/[?#]/);
  if (end < 0) return plain;
  const [head, tail] = [plain.slice(0, end), plain.slice(end)];
  const isAddress =
    head.startsWith("/") ||
    head.includes("://") ||
    (tail.includes("=") && (head.includes("/") || HOST.test(head.slice(0, 300))));
  return isAddress ? head : plain;
}

const cleanText = (text: string): string =>
  /[?#@]|%3[af]|%23/i.test(text)
    ? text
        .replace(ADDRESS, (address) =>
          // What has nothing to hide stays as it was written.
          /[?#@]/.test(address) ? (cleanUrl(address)?.href ?? "") : address,
        )
        .replace(ENCODED, (address) => address.replace(/%(3f|23).*$/i, ""))
        .split(BETWEEN)
        .map(cleanWord)
        .join("")
    : text;

/** A value with every address in it as `cleanUrl` makes it, at any depth: queries hold tokens and people's emails. */
export function cleanAddresses(value: unknown): unknown {
  if (typeof value === "string") return cleanText(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(cleanAddresses);
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, cleanAddresses(part)]));
}

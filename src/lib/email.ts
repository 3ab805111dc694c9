import { domainToASCII } from "node:url";
import { canonicalKey } from "./text";

/** RFC 5321 §4.5.3.1: octets of the part before the @, of the domain and of one of its labels. */
const MAX_LOCAL = 64;
const MAX_DOMAIN = 253;
/** Octets of a whole address (RFC 5321 §4.5.3.1.3, less the angle brackets). */
export const MAX_EMAIL = 254;

/** Atoms joined by dots (RFC 5322 §3.2.3). Quoted forms, which nobody uses, are left out. */
const LOCAL = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
/** Two labels at least, and no digits alone at the end, which would be an IPv4 address. */
const DOMAIN = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?!\d+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])$/;

/** Letters, digits and joiners of any script, and the dots that browsers take for one (UTS #46). */
const IDN = /^[\p{L}\p{M}\p{N}\-.\u3002\uff0e\uff61]+$/u;

/** The parts of an address at its last @, the domain as the network knows it (RFC 5891). */
function partsOf(email: string): { local: string; domain: string } {
  const at = email.lastIndexOf("@");
  if (at < 0) return { local: "", domain: "" };
  return { local: email.slice(0, at), domain: domainToASCII(email.slice(at + 1)).toLowerCase() };
}

/**
 * Whether a text is one mail address: a local part of ASCII atoms, and a domain of any script.
 * @example isEmail("ann+shop@b\u00fccher.example") // true
 */
export function isEmail(text: string): boolean {
  const { local, domain } = partsOf(text);
  return (
    local.length <= MAX_LOCAL &&
    LOCAL.test(local) &&
    IDN.test(text.slice(local.length + 1)) &&
    domain.length <= MAX_DOMAIN &&
    DOMAIN.test(domain) &&
    local.length + 1 + domain.length <= MAX_EMAIL
  );
}

/**
 * What makes two addresses the same: case is left out, and a domain has one spelling, whether it was typed in its
 * own script or as `xn--…`.
 */
export function emailKey(email: string): string {
  const { local, domain } = partsOf(email.trim());
  return local === "" || domain === "" ? canonicalKey(email) : `${canonicalKey(local)}@${domain}`;
}

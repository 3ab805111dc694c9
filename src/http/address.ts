import { BlockList, isIP } from "node:net";
import { remembered } from "../lib/remembered";

/** Networks of IPv6 that hold IPv4 addresses in their last 32 bits: mapped, NAT64 (RFC 6052), compatible. */
const EMBEDDED = [/^0:0:0:0:0:ffff:/, /^64:ff9b:0:0:0:0:/, /^0:0:0:0:0:0:(?!0:[01]$)/];

/** The eight groups of an IPv6 address, in hexadecimal without leading zeros. */
function groupsOf(address: string): string[] {
  // URL writes an address in its one canonical form (RFC 5952), with IPv4 at the end as two groups.
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  return tail === undefined ? left : [...left, ...Array(8 - left.length - right.length).fill("0"), ...right];
}

/**
 * An address in the one spelling that it is counted and compared by: without a port, brackets or a zone
 * (`[2001:db8::1%eth0]:443`), and an IPv4 address that is written as IPv6 as IPv4.
 * @returns an empty text for what is no address
 * @example canonicalAddress("[::FFFF:c000:0201]:443") // "192.0.2.1"
 */
function canonicalAddress(text: string): string {
  const [, bracketed, plain] = /^\s*"?(?:\[([^\]]*)\](?::\d*)?|([^"]*?))"?\s*$/.exec(text) ?? [];
  const unzoned = (bracketed ?? plain ?? "").replace(/%.*$/, "");
  const address = bracketed === undefined ? unzoned.replace(/^([\d.]+):\d*$/, "$1") : unzoned;
  if (isIP(address) !== 6) return isIP(address) === 4 ? address : "";
  const groups = groupsOf(address);
  if (!EMBEDDED.some((network) => network.test(groups.join(":")))) {
    return new URL(`http://[${address}]`).hostname.slice(1, -1);
  }
  const [high = 0, low = 0] = groups.slice(6).map((group) => Number.parseInt(group, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/**
 * What an address counts as: an IPv4 address, or in IPv6 the network of 64 bits that one household or machine has to
 * itself.
 * @param groups of 16 bits that tell one network from another
 */
export function sourceOf(ip: string, groups = 4): string {
  const address = canonicalAddress(ip);
  if (isIP(address) !== 6) return address === "" ? ip : address;
  return `${groupsOf(address).slice(0, groups).join(":")}::/${groups * 16}`;
}

/** Addresses of which is kept what was found out. */
const MOST_PEERS = 1000;

/**
 * Makes a function that finds the caller's address: the peer's, or, when the peer is a trusted proxy, the
 * last address of X-Forwarded-For that is not one. What anyone may write in front of that counts for nothing.
 */
export function createAddressReader(
  trustedProxies: string[],
): (peer: string | undefined, forwardedFor: string | null | undefined) => string {
  const trusted = new BlockList();
  for (const range of trustedProxies) {
    const [address = "", prefix] = range.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (prefix === undefined) trusted.addAddress(address, family);
    else trusted.addSubnet(address, Number(prefix), family);
  }
  const isTrusted = (address: string) => trusted.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");

  const canonicalPeer = remembered(canonicalAddress, MOST_PEERS);

  return (peer, forwardedFor) => {
    let address = canonicalPeer(peer ?? "127.0.0.1");
    if (!forwardedFor) return address;
    const hops = forwardedFor.split(",").map(canonicalAddress);
    while (hops.length > 0 && isTrusted(address)) {
      const hop = hops.pop() ?? "";
      if (hop === "") break;
      address = hop;
    }
    return address;
  };
}

/**
 * Where a server that listens on `host` can be reached from its own machine.
 * @example serverUrl("0.0.0.0", 5000) // "http://localhost:5000"
 */
export function serverUrl(host: string, port: number | undefined): string {
  const everywhere = ["0.0.0.0", "::", "127.0.0.1", "::1"].includes(host);
  return `http://${everywhere ? "localhost" : isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

const PRIVATE = new BlockList();
for (const [network, prefix] of [
  ["127.0.0.0", 8],
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["169.254.0.0", 16],
] as const)
  PRIVATE.addSubnet(network, prefix, "ipv4");
for (const [network, prefix] of [
  ["::1", 128],
  ["fc00::", 7],
  ["fe80::", 10],
] as const)
  PRIVATE.addSubnet(network, prefix, "ipv6");

export type AddressClass = "loopback" | "private" | "public-v4" | "public-v6";

/** What kind of address a caller has, for the log. */
export const addressClassOf = remembered((address): AddressClass => {
  if (isPrivateAddress(address))
    return address.startsWith("127.") || address === "::1" ? "loopback" : "private";
  return isIP(address) === 6 ? "public-v6" : "public-v4";
}, MOST_PEERS);

/** Whether an address belongs to this machine or a private network (RFC 1918, 4193, 3927). */
export const isPrivateAddress = (address: string): boolean =>
  PRIVATE.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");

import { BlockList, isIP } from "node:net";

/** `::ffff:1.2.3.4`, as sockets name IPv4 peers, is 1.2.3.4; a zone (`fe80::1%eth0`) means nothing elsewhere. */
const plain = (address: string): string =>
  address
    .trim()
    .replace(/%.*$/, "")
    .replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");

/**
 * Makes a function that finds the caller's address: the peer's, or, when the peer is a trusted proxy, the
 * last address of X-Forwarded-For that is not one. What anyone may write in front of that counts for nothing.
 */
export function createAddressReader(
  trustedProxies: string[],
): (peer: string | undefined, forwardedFor: string | undefined) => string {
  const trusted = new BlockList();
  for (const range of trustedProxies) {
    const [address = "", prefix] = range.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (prefix === undefined) trusted.addAddress(address, family);
    else trusted.addSubnet(address, Number(prefix), family);
  }
  const isTrusted = (address: string) => trusted.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");

  return (peer, forwardedFor) => {
    let address = plain(peer ?? "127.0.0.1");
    const hops = forwardedFor?.split(",").map(plain) ?? [];
    while (hops.length > 0 && isTrusted(address)) {
      const hop = hops.pop() ?? "";
      if (isIP(hop) === 0) break;
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

/** Whether an address belongs to this machine or a private network (RFC 1918, 4193, 3927). */
export const isPrivateAddress = (address: string): boolean =>
  PRIVATE.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");

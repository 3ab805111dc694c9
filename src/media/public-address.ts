import ipaddr from "ipaddr.js";

/** All that is given out for the public of IPv6 today (RFC 4291, 2.4; IANA's registry of unicast addresses). */
const GLOBAL_IPV6 = ipaddr.parseCIDR("2000::/3");

const inRange = (address: ipaddr.IPv4 | ipaddr.IPv6, range: [ipaddr.IPv4 | ipaddr.IPv6, number]): boolean =>
  address.kind() === range[0].kind() && address.match(range as never);

/**
 * Makes a function that says whether an address may be asked for something that a file or a person names: a public one
 * alone, so not this machine, its networks, their clouds' own addresses, or one of these written as IPv6.
 * @param networks in CIDR form or single addresses, that may be asked although they are not public
 */
export function createAddressGuard(networks: string[]): (address: string) => boolean {
  const allowed = networks.map((network) =>
    ipaddr.parseCIDR(network.includes("/") ? network : `${network}/${network.includes(":") ? 128 : 32}`),
  );
  return (text) => {
    if (!ipaddr.isValid(text)) return false;
    const address = ipaddr.parse(text);
    if (allowed.some((range) => inRange(address, range))) return true;
    if (address.range() !== "unicast") return false;
    return address.kind() === "ipv4" || inRange(address, GLOBAL_IPV6);
  };
}

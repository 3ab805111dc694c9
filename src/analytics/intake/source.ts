import type { EventContext } from "./context";

/** Hosts whose visitors searched there; mail, account and other pages of the same companies have other names. */
const SEARCH_ENGINES: [engine: string, host: RegExp][] = [
  ["google", /^((m|images|encrypted)\.)?google\.(com|[a-z]{2}|com?\.[a-z]{2})$/],
  ["bing", /^(cn\.|m\.)?bing\.com$/],
  ["duckduckgo", /^(html\.|lite\.|noai\.)?duckduckgo\.com$/],
  ["ecosia", /^ecosia\.org$/],
  ["yahoo", /^([a-z]{2}\.)?(r\.)?search\.yahoo\.(com|co\.jp)$/],
  ["qwant", /^(lite\.)?qwant\.com$/],
  ["startpage", /^(eu\.)?startpage\.com$/],
  ["yandex", /^(m\.)?(yandex\.(com|ru|by|kz|uz|com\.tr|com\.ge)|ya\.ru)$/],
  ["baidu", /^(m\.)?baidu\.com$/],
  ["brave", /^search\.brave\.com$/],
  ["naver", /^(m\.)?search\.naver\.com$/],
  ["seznam", /^search\.seznam\.cz$/],
  ["kagi", /^kagi\.com$/],
];

const SOCIAL: [network: string, host: RegExp][] = [
  ["facebook", /^((l|lm|m)\.)?facebook\.com$/],
  ["instagram", /^(l\.)?instagram\.com$/],
  ["x", /^(t\.co|(mobile\.)?(twitter|x)\.com)$/],
  ["linkedin", /^(lnkd\.in|([a-z]{2}\.)?linkedin\.com)$/],
  ["pinterest", /^([a-z]{2}\.)?pinterest\.(com|[a-z]{2}|com?\.[a-z]{2})$/],
  ["reddit", /^((old|out)\.)?reddit\.com$/],
  ["tiktok", /^(m\.)?tiktok\.com$/],
  ["youtube", /^(m\.)?youtube\.com$/],
];

/** Query parameters that networks add to links: that were paid for, or to every link that leaves them. */
const CLICK_IDS: Record<string, string> = {
  gclid: "google / cpc",
  gbraid: "google / cpc",
  wbraid: "google / cpc",
  dclid: "google / cpc",
  gad_source: "google / cpc",
  gad_campaignid: "google / cpc",
  msclkid: "bing / cpc",
  ttclid: "tiktok / cpc",
  twclid: "x / cpc",
  li_fat_id: "linkedin / cpc",
  yclid: "yandex / cpc",
  epik: "pinterest / cpc",
  rdt_cid: "reddit / cpc",
  sccid: "snapchat / cpc",
  fbclid: "facebook / social",
  igshid: "instagram / social",
  igsh: "instagram / social",
};

/** Whether a host is one of some, or a sub-domain of one. */
const isUnder = (host: string, domains: readonly string[]): boolean =>
  domains.some((domain) => host === domain || host.endsWith(`.${domain}`));

const plainHost = (host: string): string =>
  host
    .toLowerCase()
    .replace(/^www\./, "")
    .replace(/\.$/, "");

/** As it counts, whatever its case and spaces. */
const word = (text: string | null | undefined): string =>
  (text ?? "")
    .replace(/\p{Cc}/gu, " ")
    .replace(/\s+/g, " ")
    .trim()
    .toLowerCase();

/** Hosts that say nothing of where a visit came from. */
export interface KnownHosts {
  /** The shop's own: their sub-domains too. */
  own: readonly string[];
  /** Payment providers and the like, from where people come back: their sub-domains too. */
  ignored: readonly string[];
}

/**
 * Where a visit came from, as "source / medium": the campaign, or what was paid for, or the referrer; else "direct".
 * From within the shop, or back from a payment: "internal".
 * @param address the page's address as it was sent, with all of its query
 */
export function sourceOf(
  { address, referrer }: { address: string | null; referrer: Pick<URL, "hostname"> | null },
  campaign: EventContext["campaign"],
  hosts: KnownHosts,
): string {
  const url = URL.parse(address ?? "");
  const query = new Map([...(url?.searchParams ?? [])].map(([name, value]) => [name.toLowerCase(), value]));
  const source = word(campaign?.source) || word(query.get("utm_source"));
  if (source) {
    const medium = word(campaign?.medium) || word(query.get("utm_medium")) || "campaign";
    return `${source} / ${medium}`.slice(0, 200);
  }
  const clicked = Object.entries(CLICK_IDS).find(([name]) => query.get(name)?.trim());
  if (clicked) return clicked[1];
  const host = plainHost(referrer?.hostname ?? "");
  if (host === "") return "direct";
  const shop = plainHost(url?.hostname ?? "");
  if (host === shop || isUnder(host, hosts.own) || isUnder(host, hosts.ignored)) return "internal";
  const engine = SEARCH_ENGINES.find(([, pattern]) => pattern.test(host));
  if (engine) return `${engine[0]} / organic`;
  const network = SOCIAL.find(([, pattern]) => pattern.test(host));
  return network ? `${network[0]} / social` : `${host} / referral`;
}

export const CHANNELS = [
  "direct",
  "organic_search",
  "paid_search",
  "organic_social",
  "paid_social",
  "email",
  "affiliate",
  "display",
  "referral",
  "other",
] as const;
export type Channel = (typeof CHANNELS)[number];

const SOCIAL_NAMES =
  /^(facebook|fb|instagram|ig|x|twitter|linkedin|pinterest|reddit|tiktok|youtube|snapchat)$/;
const PAID = /^(cpc|ppc|cpm|cpv|paid.*|.*[ _-]paid|sea)$/;

/** The channel of a source as marketers group them. */
export function channelOf(sourceAndMedium: string): Channel {
  if (sourceAndMedium === "direct") return "direct";
  const [source = "", medium = ""] = sourceAndMedium.split(" / ");
  const social = SOCIAL_NAMES.test(source) || /^(social|paid[ _-]?social)/.test(medium);
  if (/^(display|banner|cpm)$/.test(medium)) return "display";
  if (PAID.test(medium)) return social ? "paid_social" : "paid_search";
  if (medium === "organic") return "organic_search";
  if (social) return "organic_social";
  if (/^e[ _-]?mail$|^newsletter$/.test(medium) || /^e[ _-]?mail$|^newsletter$/.test(source)) return "email";
  if (/^affiliates?$/.test(medium)) return "affiliate";
  return medium === "referral" ? "referral" : "other";
}

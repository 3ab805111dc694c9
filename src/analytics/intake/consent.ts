/** Names under which consent to analytics is asked for. */
const ANALYTICS = /^(analytics|analytics_storage|statistics?|performance|measurement)$/i;
const GIVEN: readonly unknown[] = [
  true,
  1,
  "true",
  "1",
  "yes",
  "granted",
  "given",
  "accepted",
  "allow",
  "allowed",
];
const REFUSED: readonly unknown[] = [
  false,
  0,
  "false",
  "0",
  "no",
  "denied",
  "refused",
  "rejected",
  "none",
  "deny",
];

export type Consent = "given" | "refused" | "unclear" | "unsaid";

const plain = (value: unknown): unknown => (typeof value === "string" ? value.trim().toLowerCase() : value);

/** A wish as one value. */
const wishOf = (value: unknown): Consent =>
  GIVEN.includes(plain(value)) ? "given" : REFUSED.includes(plain(value)) ? "refused" : "unclear";

/** Of several, the one that protects most. */
const strictest = (wishes: Consent[]): Consent =>
  (["refused", "unclear", "given"] as const).find((wish) => wishes.includes(wish)) ?? "unsaid";

/**
 * What a visitor wishes, whatever shape it has: Segment's `categoryPreferences`, a list of categories that were
 * allowed, Google's consent mode, or one value. What cannot be understood is unclear, and counts as a refusal.
 */
export function consentOf(consent: unknown): Consent {
  if (consent === undefined || consent === null || (typeof consent === "string" && consent.trim() === ""))
    return "unsaid";
  if (typeof consent !== "object") return wishOf(consent);
  if (Array.isArray(consent)) {
    const named = consent.some((category) => typeof category === "string" && ANALYTICS.test(category.trim()));
    return named ? "given" : consent.length === 0 ? "unclear" : "refused";
  }
  const { categoryPreferences, ...rest } = consent as Record<string, unknown>;
  const own = Object.entries(rest).filter(([name]) => ANALYTICS.test(name.trim()));
  const wishes = own.map(([, value]) => wishOf(value));
  if (categoryPreferences !== undefined && categoryPreferences !== null) {
    if (typeof categoryPreferences !== "object" || Array.isArray(categoryPreferences))
      wishes.push(Array.isArray(categoryPreferences) ? consentOf(categoryPreferences) : "unclear");
    else {
      for (const [name, value] of Object.entries(categoryPreferences)) {
        const wish = wishOf(value);
        // A wish that cannot be read may be one about analytics: nobody knows what the category means.
        if (ANALYTICS.test(name.trim()) || wish === "unclear") wishes.push(wish);
      }
    }
  }
  return strictest(wishes);
}

/** Whether the strictest of these says that nothing may be stored. */
export const isRefused = (...consents: unknown[]): boolean =>
  consents.some((consent) => ["refused", "unclear"].includes(consentOf(consent)));

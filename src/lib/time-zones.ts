/**
 * The canonical name of a time zone; null for what is none.
 * @param name an IANA name, or an offset of whole quarters of an hour
 * @example canonicalZone("europe/berlin") // "Europe/Berlin"
 */
export function canonicalZone(name: string): string | null {
  if (/^[+-]/.test(name)) return /^[+-](0\d|1[0-4]):(00|15|30|45)$/.test(name) ? name : null;
  if (!/^[A-Za-z][A-Za-z0-9_+\-/]{0,63}$/.test(name)) return null;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    return null;
  }
}

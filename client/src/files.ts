/** The name that an answer gives its file (RFC 6266), without what could lead into another folder. */
export const fileName = (header: string | null): string =>
  (/filename="?([^";]*)/.exec(header ?? "")?.[1] ?? "")
    .replace(/[^\p{L}\p{N}._ -]/gu, "_")
    .replace(/^\.+/, "") || "download";

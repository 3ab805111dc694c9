/** The name that an answer gives its file (RFC 6266), without what could lead into another folder. */
const fileName = (header: string | null): string =>
  (/filename="?([^";]*)/.exec(header ?? "")?.[1] ?? "")
    .replace(/[^\p{L}\p{N}._ -]/gu, "_")
    .replace(/^\.+/, "") || "download";

/** What was downloaded, with its name. */
export const fileOf = async (answer: Response, type: string): Promise<File> =>
  new File([await answer.blob()], fileName(answer.headers.get("content-disposition")), { type });

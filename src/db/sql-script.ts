/**
 * Splits a script into its statements. MySQL takes several at once only when the connection allows it, which
 * we do not; so the script is cut at semicolons outside quotes and comments. Our migrations hold no DELIMITER.
 */
export function splitStatements(script: string): string[] {
  const token =
    /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`|(?:--[ \t\r\n]|#)[^\n]*|--$|\/\*[\s\S]*?\*\/|;|[^'"`;#/-]+|[\s\S]/g;
  const statements: string[] = [];
  let current = "";
  for (const [part] of script.matchAll(token)) {
    if (part === ";") {
      statements.push(current);
      current = "";
    } else if (!/^(--|#|\/\*(?!!))/.test(part) || part === "-" || part === "/") {
      current += part;
    }
  }
  return [...statements, current].map((text) => text.trim()).filter((text) => text !== "");
}

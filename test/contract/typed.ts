/** Whether the client's types say of answers what they are: the compiler holds each answer, as a literal, to its type. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CHECKOUT } from "../../local/paths";

/** An answer that a route gave. */
export interface Taken {
  /** As in the document: `GET /api/products/{id}`. */
  operation: string;
  status: number;
  /** What was read as JSON; undefined for no content and for files. */
  body: unknown;
  /** Names the kind of what is no JSON. */
  type: string;
}

/** The type of a route's method in the client: `Routes["api"]["products"][":id"]["$get"]`. */
const methodOf = ({ operation, type }: Taken): string => {
  const [method = "", path = ""] = operation.split(" ");
  const name = type.startsWith("text/event-stream") ? "events" : method.toLowerCase();
  const parts = path
    .split("/")
    .slice(1)
    .map((part) => part.replace(/^\{(\w+)\}$/, ":$1"));
  return `Routes${[...parts, `$${name}`].map((part) => `[${JSON.stringify(part)}]`).join("")}`;
};

/** An answer as the client gives it, written as a literal, so that a field too many is a fault as well. */
function literalOf({ body, status, type }: Taken): string {
  const own = { status: String(status), headers: "new Headers()" };
  const rest = Object.entries(own).map(([name, value]) => `${name}: ${value}`);
  if (body !== undefined) return `{ ${JSON.stringify(body).slice(1, -1)}, ${rest.join(", ")} }`;
  return `{ data: ${status === 204 ? "undefined" : `new File([], "", { type: ${JSON.stringify(type)} })`}, ${rest.join(", ")} }`;
}

/** @returns what the compiler finds, with the operation in place of the line; none when the types are right */
export async function typeFaults(taken: Taken[]): Promise<string[]> {
  // Inside the checkout, so that the compiler finds its own libraries.
  const folder = await mkdtemp(join(CHECKOUT, ".answers-"));
  try {
    const head = `import type { Routes } from ${JSON.stringify(join(CHECKOUT, "client/src/routes.js"))};
type Given<Method extends (...words: never[]) => PromiseLike<unknown>> = Awaited<ReturnType<Method>>;
type Stream<Method extends (...words: never[]) => AsyncIterable<unknown>> = ReturnType<Method>;\n`;
    const lines = taken.map((one) =>
      one.type.startsWith("text/event-stream")
        ? `export type Stream${taken.indexOf(one)} = Stream<${methodOf(one)}>;`
        : `(${literalOf(one)}) satisfies Given<${methodOf(one)}>;`,
    );
    await writeFile(join(folder, "answers.ts"), `${head}${lines.join("\n")}\n`);
    const compilerOptions = { rootDir: CHECKOUT, noEmit: true, emitDeclarationOnly: false };
    await writeFile(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        extends: "../client/tsconfig.json",
        compilerOptions,
        include: [],
        files: ["answers.ts"],
      }),
    );
    const tsc = Bun.spawn(
      [join(CHECKOUT, "node_modules/.bin/tsc"), "--project", folder, "--pretty", "false"],
      {
        stdout: "pipe",
      },
    );
    const said = await new Response(tsc.stdout).text();
    if ((await tsc.exited) !== 0 && said === "") throw new Error("the compiler said nothing");
    const first = head.split("\n").length;
    return said
      .trim()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) =>
        line.replace(/^.*answers\.ts\((\d+),\d+\)/, (_, at) => taken[Number(at) - first]?.operation ?? ""),
      );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

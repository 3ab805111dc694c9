/**
 * Whether an answer is what the OpenAPI document says of it, and so what the client's types say: they are made from it.
 */
import type { Operation } from "./operations";

// biome-ignore lint/suspicious/noExplicitAny: the document is read as it is.
type Json = any;

const kindOf = (value: unknown): string =>
  value === null
    ? "null"
    : Array.isArray(value)
      ? "array"
      : typeof value === "number"
        ? "number"
        : typeof value;

/** What a type cannot say (lengths, forms) is left out; what it does say is held to the letter, further fields too. */
function faultsOf(document: Json, schema: Json, value: unknown, at: string): string[] {
  if (schema.$ref) {
    const named = (schema.$ref as string)
      .split("/")
      .slice(1)
      .reduce((part, name) => part[name], document);
    return faultsOf(document, named, value, at);
  }
  if (schema.allOf) return schema.allOf.flatMap((one: Json) => faultsOf(document, one, value, at));
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) {
    const tried: string[][] = choices.map((one: Json) => faultsOf(document, one, value, at));
    return tried.find((faults) => faults.length === 0) ?? tried[0] ?? [];
  }
  if ("const" in schema && schema.const !== value) return [`${at} is ${JSON.stringify(value)}`];
  if (schema.enum && !schema.enum.includes(value)) return [`${at} is ${JSON.stringify(value)}`];
  const types = [schema.type ?? []].flat().map((type) => (type === "integer" ? "number" : type));
  if (types.length > 0 && !types.includes(kindOf(value))) return [`${at} is ${kindOf(value)}`];
  if (Array.isArray(value))
    return value.flatMap((item, index) => faultsOf(document, schema.items ?? {}, item, `${at}[${index}]`));
  if (kindOf(value) !== "object" || !schema.properties) return [];
  const fields = value as Record<string, unknown>;
  const missing = (schema.required ?? []).filter((name: string) => !(name in fields));
  return [
    ...missing.map((name: string) => `${at}.${name} is missing`),
    ...Object.entries(fields).flatMap(([name, field]) =>
      name in schema.properties
        ? faultsOf(document, schema.properties[name], field, `${at}.${name}`)
        : schema.additionalProperties === false
          ? [`${at}.${name} is not described`]
          : [],
    ),
  ];
}

/** How a literal part of a path goes before a parameter: more of them is the route that is meant. */
const literals = (path: string): number =>
  path.split("/").filter((part) => part !== "" && !part.startsWith("{")).length;

/**
 * What of an answer the document does not say.
 * @param document the OpenAPI document
 * @param path as it was asked for, without its query
 * @returns faults in words, also a problem whose code or members the operation does not state; none for an answer that
 * is not JSON
 */
export async function differences(
  document: Json,
  method: string,
  path: string,
  answer: Response,
): Promise<string[]> {
  const [known] = Object.keys(document.paths)
    .filter(
      (one) =>
        new RegExp(`^${one.replace(/\{\w+\}/g, "[^/]+")}$`).test(path) &&
        document.paths[one][method.toLowerCase()],
    )
    .sort((one, other) => literals(other) - literals(one));
  if (known === undefined) return [];
  const where = `${method} ${known} ${answer.status}`;
  const stated = document.paths[known][method.toLowerCase()].responses[answer.status];
  // A former slug leads to the present one; who follows it gets the product.
  if (!stated) return answer.status === 301 ? [] : [`${where} is not described`];
  const { content = {} } = stated.$ref
    ? document.components.responses[stated.$ref.split("/").at(-1)]
    : stated;
  const [type = ""] = (answer.headers.get("content-type") ?? "").split(";");
  const { schema } = content[type] ?? {};
  if (!/[/+]json$/.test(type)) return [];
  if (!schema) return [`${where} has a body that is not described`];
  return faultsOf(document, schema, await answer.clone().json(), where);
}

/**
 * What is wrong with an answer as an answer, whatever was asked. Its body is read.
 * @returns one fault in words; null when it is fine
 */
export async function faultOf(
  document: Json,
  operation: Operation,
  answer: Response,
): Promise<string | null> {
  const { status } = answer;
  const [type = ""] = answer.headers.get("content-type")?.split(";") ?? [];
  if (type === "text/event-stream") {
    await answer.body?.cancel();
    return operation.types[status]?.includes(type) ? null : `answers ${status} with events`;
  }
  const [unlike] = await differences(document, operation.method, operation.path, answer);
  const text = await answer.text();
  if (status >= 500) return `answers ${status}: ${text.slice(0, 200)}`;
  if (unlike !== undefined) return unlike;
  if (status < 400) {
    const told = text === "" || operation.types[status]?.includes(type);
    return told ? null : `answers ${status} as ${type}, which its description lacks`;
  }
  if (type !== "application/problem+json") return `answers ${status} as ${type}`;
  const problem = JSON.parse(text) as Record<string, unknown>;
  const whole =
    problem.status === status &&
    typeof problem.code === "string" &&
    typeof problem.title === "string" &&
    typeof problem.detail === "string" &&
    problem.requestId === answer.headers.get("x-request-id");
  return whole ? null : `answers ${status} with ${text.slice(0, 200)}`;
}

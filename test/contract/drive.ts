/** Calls operations as different people, and keeps what they answer. */
import sharp from "sharp";
import { BROWSER } from "../analytics";
import type { SignedInPerson, TestApp } from "../app";
import type { Taken } from "./typed";

interface Asked {
  /** What stands for the parameters of the path. */
  at?: Record<string, string>;
  query?: string;
  json?: unknown;
  body?: BodyInit;
  type?: string;
  headers?: Record<string, string>;
}

/** Calls an operation, keeps its answer and gives its `data`, or its text. @throws Error unless it is a success */
// biome-ignore lint/suspicious/noExplicitAny: answers of many shapes; the compiler looks at them later.
export type Call = (operation: string, asked?: Asked) => Promise<any>;

export interface World {
  t: TestApp;
  admin: SignedInPerson;
  /** As the administrator. */
  staff: Call;
  /** As nobody. */
  anybody: Call;
  as(person: Pick<SignedInPerson, "accessToken">): Call;
  /** Does the jobs that are due. */
  work(): Promise<void>;
  /** The text of the last mail to an address, and the token of the link in it. */
  mailTo(email: string): Promise<string>;
  tokenTo(email: string): Promise<string | undefined>;
}

export const ANY_VERSION = { "if-match": "*" };

/** The form of a picture. */
export async function picture(): Promise<FormData> {
  const create = { width: 400, height: 300, channels: 3, background: "red" } as const;
  const png = await sharp({ create }).png().toBuffer();
  const form = new FormData();
  form.set("file", new File([new Uint8Array(png)], "red.png", { type: "image/png" }));
  return form;
}

const caller =
  (t: TestApp, taken: Taken[], token?: string): Call =>
  async (operation, { at = {}, query = "", json, body, type, headers } = {}) => {
    const [method = "", path = ""] = operation.split(" ");
    const filled = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(at[name] ?? `no ${name}`));
    const answer = await t.request(`${filled}${query && `?${query}`}`, {
      method,
      ...(json === undefined ? {} : { json }),
      ...(body === undefined ? {} : { body }),
      ...(token === undefined ? {} : { token }),
      headers: { "user-agent": BROWSER, ...(type ? { "content-type": type } : {}), ...headers },
    });
    const { status } = answer;
    const given = answer.headers.get("content-type") ?? "";
    if (status >= 300) throw new Error(`${operation} answers ${status}: ${await answer.text()}`);
    if (given.startsWith("text/event-stream")) {
      await answer.body?.cancel();
      taken.push({ operation, status, body: undefined, type: given });
      return undefined;
    }
    const read = given.startsWith("application/json") ? await answer.json() : undefined;
    taken.push({ operation, status, body: read, type: given });
    return read === undefined ? answer.text() : (read.data ?? read);
  };

/** @param taken gets every answer */
export async function createWorld(t: TestApp, taken: Taken[]): Promise<World> {
  const admin = await t.signIn({ roles: ["admin"] });
  const as = ({ accessToken }: Pick<SignedInPerson, "accessToken">) => caller(t, taken, accessToken);
  const work = async () => {
    while ((await t.runner.runDue()) > 0);
  };
  const mailTo = async (email: string) => {
    await work();
    return t.mails.filter(({ to }) => to === email).at(-1)?.text ?? "";
  };
  const tokenTo = async (email: string) => /#token=(\S+)/.exec(await mailTo(email))?.[1];
  return { t, admin, staff: as(admin), anybody: caller(t, taken), as, work, mailTo, tokenTo };
}

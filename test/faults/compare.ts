/** Compares what callers were told with what is in both databases, in storage, and in people's mailboxes. */
import { resultOf } from "../../src/products/bulk/files";
import type { Deps } from "../../src/wire";
import type { ReceivedMail } from "../smtp";
import type { Acknowledged } from "./load";

// biome-ignore lint/suspicious/noExplicitAny: documents of many collections.
type Data = any;

/** What is missing and what is there twice, in words; mails apart, since a queue may send one again after a kill. */
export interface Differences {
  lost: string[];
  doubled: string[];
  mailsDoubled: string[];
}

/** The longest wait for jobs to be done, in milliseconds: one whose process was killed begins anew after 30 s. */
const PATIENCE = 150_000;
/** A job that is due later than this, in milliseconds, was enqueued by a clock that went ahead: it waits, and is not lost. */
const LATER = 600_000;

interface Job {
  status: string;
  runAt: Date;
}
const isOpen = ({ status, runAt }: Job): boolean =>
  status === "waiting" && runAt.getTime() < Date.now() + LATER;

/** How many exports there are, so that those of a run can be counted. */
export const countExports = ({ mongo }: Pick<Deps, "mongo">): Promise<number> =>
  mongo.connection.collection("bulkJobs").countDocuments({ kind: "export" });

/**
 * Compares, once the jobs that were acknowledged are done.
 * @param mails what the mail server received
 * @param exportsBefore `countExports` before the load began
 */
export async function compare(
  deps: Pick<Deps, "mysql" | "mongo" | "storage">,
  address: string,
  log: Acknowledged,
  { mails, exportsBefore }: { mails: ReceivedMail[]; exportsBefore: number },
): Promise<Differences> {
  const lost: string[] = [];
  const doubled: string[] = [];
  const { mysql, mongo } = deps;
  const collection = (name: string) => mongo.connection.collection<Data>(name);

  const sessions = await mysql
    .on()
    .session.findMany({ where: { id: { in: [...log.sessions] } }, select: { id: true } });
  const there = new Set(sessions.map(({ id }) => id));
  for (const id of log.sessions) if (!there.has(id)) lost.push(`session ${id}`);
  for (const [email, number] of log.names) {
    const user = await mysql.on().user.findFirst({ where: { email } });
    // A later change may have been done without its answer having come. Without the user the number is NaN.
    if (!(Number(user?.name.split(" ")[1]) >= number)) lost.push(`name ${number} of ${email}`);
  }
  for (const [name, id] of log.products) {
    const found = await collection("products").find({ name }).toArray();
    if (!found.some(({ _id }) => _id === id)) lost.push(`product ${name}`);
    if (found.length > 1) doubled.push(`product ${name}: ${found.length}`);
    const turn = log.descriptions.get(id);
    if (turn !== undefined && found[0]?.description !== String(turn)) lost.push(`description of ${name}`);
    // Each was given one picture.
    const pictures = found[0]?.images?.length ?? 0;
    if (pictures > 1) doubled.push(`picture of ${name}: ${pictures}`);
  }
  for (const [reference, { id, committed }] of log.reservations) {
    const found = await collection("stockReservations").find({ reference }).toArray();
    const [first] = found;
    if (first?._id !== id || (committed && first.status !== "committed"))
      lost.push(`reservation ${reference}`);
    if (found.length > 1) doubled.push(`reservation ${reference}: ${found.length}`);
  }
  for (const [sku, { acknowledged, asked }] of log.received) {
    const entries = await collection("stockMovements").find({ sku, kind: "receive" }).toArray();
    const units = entries.reduce((sum: number, { onHand }: Data) => sum + onHand, 0);
    if (units < acknowledged) lost.push(`${acknowledged - units} units of ${sku}`);
    if (units > asked) doubled.push(`${units - asked} units of ${sku}`);
  }
  const events = [...log.events];
  const stored = await collection("analytics").countDocuments({ _id: { $in: events } });
  if (stored < events.length) lost.push(`${events.length - stored} events`);
  for (const url of log.pictures) {
    const answer = await fetch(new URL(new URL(url, address).pathname, address));
    await answer.arrayBuffer();
    if (!answer.ok) lost.push(`picture ${url}: ${answer.status}`);
  }
  await compareBulk(deps, log, exportsBefore, { lost, doubled });
  const mailsDoubled = await compareMails(deps, log, mails, lost);
  return { lost, doubled, mailsDoubled };
}

/** Imports and exports: each with a job that is done, and with what it was to make. */
async function compareBulk(
  { mongo, storage }: Pick<Deps, "mongo" | "storage">,
  { exports, imports }: Acknowledged,
  exportsBefore: number,
  { lost, doubled }: Pick<Differences, "lost" | "doubled">,
): Promise<void> {
  const collection = (name: string) => mongo.connection.collection<Data>(name);
  const ids = [...exports.ids, ...imports.values()];
  const readJobs = async () => {
    const found = await collection("jobs")
      .find({ _id: { $in: ids } })
      .toArray();
    return new Map(found.map((job) => [String(job._id), job as Job]));
  };
  let jobs = await readJobs();
  for (const deadline = Date.now() + PATIENCE; [...jobs.values()].some(isOpen); jobs = await readJobs()) {
    if (Date.now() > deadline) break;
    await Bun.sleep(250);
  }
  const isWaiting = (id: string) => {
    const job = jobs.get(id);
    return job?.status === "waiting" && !isOpen(job);
  };
  const notDone = (id: string) => jobs.get(id)?.status !== "done" && !isWaiting(id);
  const records = await collection("bulkJobs")
    .find({ _id: { $in: ids } })
    .toArray();
  const recorded = new Set(records.map(({ _id }) => String(_id)));
  for (const id of ids)
    if (notDone(id) || !recorded.has(id))
      lost.push(
        `the ${exports.ids.has(id) ? "export" : "import"} ${id}: ${jobs.get(id)?.status ?? "no job"}`,
      );
  for (const id of exports.ids) {
    if (jobs.get(id)?.status !== "done") continue;
    const file = await storage.get(resultOf(id));
    await file?.body.cancel();
    if (file === null) lost.push(`the file of the export ${id}`);
  }
  const made = (await countExports({ mongo })) - exportsBefore;
  if (made > exports.asked) doubled.push(`${made - exports.asked} exports`);
  for (const [name, id] of imports) {
    const found = await collection("products").countDocuments({ name });
    if (found === 0 && !isWaiting(id)) {
      const faults = await collection("bulkFaults").find({ bulkId: id }).toArray();
      lost.push(`the imported product ${name}: ${faults.map(({ message }) => message).join()}`);
    }
    if (found > 1) doubled.push(`the imported product ${name}: ${found}`);
  }
}

/** Mails of acknowledged registrations. @returns those that came more than once */
async function compareMails(
  { mysql }: Pick<Deps, "mysql">,
  log: Acknowledged,
  received: ReceivedMail[],
  lost: string[],
): Promise<string[]> {
  const numberOf = (email: string) => received.filter(({ to }) => to.includes(email)).length;
  const readJobs = async () => {
    const found = await mysql.on().job.findMany({ where: { kind: "mail.verification_code" } });
    return new Map(found.map((job) => [(job.payload as { codeId?: string }).codeId ?? "", job]));
  };
  for (const deadline = Date.now() + PATIENCE; ; await Bun.sleep(250)) {
    // Jobs first: one is done only after its mail was received.
    const jobs = await readJobs();
    const missing = [...log.mails].filter(([email]) => numberOf(email) === 0);
    const open = missing.filter(([, id]) => {
      const job = jobs.get(id);
      return job !== undefined && isOpen(job);
    });
    if (open.length > 0 && Date.now() < deadline) continue;
    for (const [email, id] of missing)
      if (jobs.get(id)?.status !== "waiting" || open.some(([one]) => one === email))
        lost.push(`the mail to ${email}: its job is ${jobs.get(id)?.status ?? "gone"}`);
    break;
  }
  return [...log.mails.keys()].flatMap((email) => {
    const times = numberOf(email);
    return times > 1 ? [`the mail to ${email}: ${times}`] : [];
  });
}

import type { MongoTx } from "../db/mongo";
import type { AnalyticsDeps } from "./deps";
import type { DeviceDocument, EventDocument } from "./model";

/**
 * Who is counted as one visitor: a person, with every device on which nobody else was ever named, from their first
 * visit on it, signed in or not. A device on which several people were named is a visitor of its own while nobody is
 * signed in there. It follows from the events alone, whatever their order, so that a rebuild gives the same.
 */
export interface Identities {
  /** Whom a visitor is counted as: themselves, or the person whose device it is. */
  of(visitor: string): string;
  /** All visitors that are counted as one of those that were asked for. */
  members: string[];
}

const deviceOf = (visitor: string): string[] => (visitor.startsWith("d:") ? [visitor.slice(2)] : []);
const personOf = (visitor: string): string[] => (visitor.startsWith("u:") ? [visitor.slice(2)] : []);

export async function identitiesOf(
  deps: AnalyticsDeps,
  visitors: string[],
  tx?: MongoTx,
): Promise<Identities> {
  const own = await deps.analytics.devices.find(visitors.flatMap(deviceOf), tx);
  const persons = new Set([
    ...visitors.flatMap(personOf),
    ...own.flatMap(({ person }) => (person === null ? [] : [person])),
  ]);
  const devices = await deps.analytics.devices.ofPersons([...persons], tx);
  const owners = new Map(devices.map(({ _id, person }) => [`d:${_id}`, `u:${person}`]));
  return {
    of: (visitor) => owners.get(visitor) ?? visitor,
    members: [...new Set([...visitors, ...owners.keys(), ...[...persons].map((person) => `u:${person}`)])],
  };
}

/** When the first session of each of them began, by whom they are counted as; not of those who were here before. */
export async function firstStartsOf(
  deps: AnalyticsDeps,
  { of, members }: Identities,
  tx?: MongoTx,
): Promise<Map<string, Date>> {
  const starts = new Map<string, Date>();
  const { first, returning } = await deps.analytics.sessions.firstStarts(members, tx);
  for (const [visitor, start] of first) {
    const known = starts.get(of(visitor));
    if (known === undefined || start < known) starts.set(of(visitor), start);
  }
  for (const visitor of returning) starts.delete(of(visitor));
  return starts;
}

/** Learns whose devices are from events that name somebody. @returns the devices that changed hands, and whose they were */
export async function learnDevices(
  deps: AnalyticsDeps,
  events: Pick<EventDocument, "device" | "userId" | "bot">[],
  tx: MongoTx,
): Promise<{ devices: string[]; owners: string[] }> {
  const named = events.flatMap(({ device, userId, bot }) =>
    device === null || userId === null || bot ? [] : [{ device, userId }],
  );
  const devices = [...new Set(named.map(({ device }) => device))];
  const known = new Map((await deps.analytics.devices.find(devices, tx)).map((row) => [row._id, row.person]));
  const changed = new Map<string, DeviceDocument>();
  const owners: string[] = [];
  for (const { device, userId } of named) {
    const before = known.get(device);
    if (before === null || before === userId) continue;
    const person = before === undefined ? userId : null;
    if (before !== undefined) owners.push(`u:${before}`);
    known.set(device, person);
    changed.set(device, { _id: device, person });
  }
  await deps.analytics.devices.set([...changed.values()], tx);
  return { devices: [...changed.keys()].map((device) => `d:${device}`), owners };
}

/** Learns whose devices are from everything that happened on them, whatever is known of them. */
export async function learnDevicesAnew(deps: AnalyticsDeps, devices: string[], tx: MongoTx): Promise<void> {
  const named = await deps.analytics.events.namedOn(devices, tx);
  const persons = new Map(named.map(({ device, first, last }) => [device, first === last ? first : null]));
  const known = new Map((await deps.analytics.devices.find(devices, tx)).map((row) => [row._id, row.person]));
  await deps.analytics.devices.remove(
    devices.filter((device) => !persons.has(device)),
    tx,
  );
  const changed = [...persons].filter(([device, person]) => known.get(device) !== person);
  await deps.analytics.devices.set(
    changed.map(([_id, person]) => ({ _id, person })),
    tx,
  );
}

/**
 * When buckets may change because of who is counted as whom: the sessions of devices that changed hands, and the first
 * session of everybody who is counted together with somebody else.
 */
export async function identityTimes(
  deps: AnalyticsDeps,
  { visitors, changed }: { visitors: string[]; changed: { devices: string[]; owners: string[] } },
  tx: MongoTx,
): Promise<Date[]> {
  const { of, members } = await identitiesOf(deps, [...new Set([...visitors, ...changed.devices])], tx);
  const together = members.filter((visitor) => of(visitor) !== visitor);
  const persons = together.map(of);
  const { first } = await deps.analytics.sessions.firstStarts(
    [...new Set([...together, ...persons, ...changed.owners])],
    tx,
  );
  const own = await deps.analytics.sessions.of(changed.devices, tx);
  return [...first.values(), ...own.map(({ start }) => start)];
}

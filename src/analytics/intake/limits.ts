import { createHash } from "node:crypto";
import { isIP } from "node:net";
import { type RateLimiterAbstract, RateLimiterRes } from "rate-limiter-flexible";
import type { LimiterOptions, Limiters } from "../../db/limiter";
import { sourceOf } from "../../http/address";
import { after, type Clock } from "../../lib/clock";
import { AppError } from "../../lib/errors";

/** Events that may come in so many seconds with one key from everywhere, and from one address with it or without any. */
const KEY = { name: "events-key", points: 600_000, duration: 60 };
const SOURCE = { name: "events-source", points: 30_000, duration: 60 };

/** This part of a limit is counted in the process before it is told to all: a write for each batch would cost too much. */
const SHARE = 50;
/** From this part of a limit on, every batch is counted at once, so that the limit is kept. */
const NEAR = 10;
/** Sources that a process keeps in mind. */
const MOST_SOURCES = 10_000;

/** Who sends events: a key, an address, or a key from an address. */
export interface EventSource {
  /** A write key or the id of an API key. */
  key?: string | undefined;
  /** Counts when it is there; not that of a server. */
  address?: string | undefined;
}

/** Limits on events: the same on every process, but for a fiftieth that each may let through besides. */
export interface IntakeLimits {
  /** Counts events. @throws AppError too_many_requests */
  spend(source: EventSource, events: number): Promise<void>;
}

const keyOf = (text: string): string => createHash("sha256").update(text).digest("base64url").slice(0, 32);

/** Of this machine itself: no stranger, and behind a proxy that is not trusted it is everybody. */
const isOwn = (address: string): boolean =>
  address === "::1" || (isIP(address) === 4 && address.startsWith("127."));

/** What a process knows of one counter until its time is over. */
interface Known {
  until: Date;
  /** What may still come; nothing when it was refused. */
  left: number;
  /** Counted here and told nobody yet. */
  pending: number;
}

function createCounter(limiter: RateLimiterAbstract, limit: LimiterOptions, clock: Clock) {
  const known = new Map<string, Known>();
  const refusal = (until: Date) =>
    new AppError("too_many_requests", "Too many events. Send them later.", {
      retryAfter: Math.max(1, Math.ceil((until.getTime() - clock.now().getTime()) / 1000)),
      rateLimit: { policy: limit.name, quota: limit.points, window: limit.duration },
    });
  const learn = (key: string, { msBeforeNext, remainingPoints }: RateLimiterRes, refused: boolean): Known => {
    const first = known.keys().next();
    if (known.size >= MOST_SOURCES && !first.done) known.delete(first.value);
    const state = {
      until: after(clock.now(), msBeforeNext),
      left: refused ? 0 : remainingPoints,
      pending: 0,
    };
    known.set(key, state);
    return state;
  };
  const consume = async (key: string, events: number): Promise<void> => {
    try {
      learn(key, await limiter.consume(key, events), false);
    } catch (result) {
      if (!(result instanceof RateLimiterRes)) throw result;
      throw refusal(learn(key, result, true).until);
    }
  };
  /** Keys that the counter of all is being asked about: who comes meanwhile waits for what it says. */
  const asking = new Map<string, Promise<void>>();
  return async (text: string, events: number): Promise<void> => {
    const key = keyOf(text);
    for (let other = asking.get(key); other; other = asking.get(key)) await other.catch(() => {});
    let state = known.get(key);
    if (state && state.until <= clock.now()) state = undefined;
    if (state?.left === 0) throw refusal(state.until);
    const pending = (state?.pending ?? 0) + events;
    if (state && pending < limit.points / SHARE && state.left - pending > limit.points / NEAR) {
      state.pending = pending;
      return;
    }
    if (state) state.pending = 0;
    const asked = consume(key, pending).finally(() => asking.delete(key));
    asking.set(key, asked);
    await asked;
  };
}

export function createIntakeLimits(limiters: Limiters, clock: Clock): IntakeLimits {
  const ofKey = createCounter(limiters(KEY), KEY, clock);
  const ofSource = createCounter(limiters(SOURCE), SOURCE, clock);
  return {
    async spend({ key, address }, events) {
      const count = Math.max(1, events);
      // The address first: whoever floods uses up their own part, and not what all have.
      if (address !== undefined && (key !== undefined || !isOwn(address)))
        await ofSource(`${key ?? ""} ${sourceOf(address)}`, count);
      if (key !== undefined) await ofKey(key, count);
    },
  };
}

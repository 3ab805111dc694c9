import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import { SECOND } from "../lib/clock";
import { type AppEnv, logOf } from "./factory";
import { type GuardDeps, guard } from "./guards";

/** Between two checks that whoever watches still may, in milliseconds. */
const RECHECK = 5 * SECOND;

/** One message of a stream of server-sent events; null is a comment that keeps the connection open. */
export type EventMessage = { event: string; id?: string; data: string } | null;

export interface EventStreamDeps extends GuardDeps {
  /** Aborted when the process begins to stop. */
  stopping: AbortController;
}

/**
 * Answers with server-sent events until the messages end, the client leaves, the process stops, or the caller may no
 * longer read them (checked every five seconds). A client that stops reading cannot hold the stream open.
 * @param access what the route states of its caller, so that the same is checked again
 * @param messages makes the messages; it ends when its signal is aborted
 * @example (c) => sendEvents(c, deps, { permission: "analytics:read" }, (signal) => live(deps, signal))
 */
export function sendEvents(
  c: Context<AppEnv>,
  deps: EventStreamDeps,
  access: Parameters<typeof guard>[1],
  messages: (signal: AbortSignal) => AsyncIterable<EventMessage>,
): Response {
  c.header("Cache-Control", "no-store");
  c.header("X-Accel-Buffering", "no");
  // Nobody would read a stream behind it.
  if (c.req.method === "HEAD") return c.body(null, 200, { "Content-Type": "text/event-stream" });
  const mayStill = guard(deps, access);
  return streamSSE(c, async (stream) => {
    const over = new AbortController();
    stream.onAbort(() => over.abort());
    const signal = AbortSignal.any([over.signal, deps.stopping.signal]);
    const ended = new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    const check = setInterval(() => mayStill(c).catch(() => over.abort()), RECHECK);
    try {
      for await (const message of messages(signal)) {
        const written = message === null ? stream.write(": still here\n\n") : stream.writeSSE(message);
        // A client that reads no more holds a write for ever, but not the end.
        await Promise.race([written, ended]);
      }
    } catch (error) {
      // Here, because Hono would send the error's text; the client connects again by itself.
      logOf(c).warn({ err: error }, "a stream of events ended");
    } finally {
      clearInterval(check);
      stream.abort();
    }
  });
}

import type { EventOptions, ServerEvent } from "./types.js";

/** Between two connections, in milliseconds: at first, and at most. */
const PAUSE = 1000;
const LONGEST_PAUSE = 30_000;

/** Lines of a stream of text; both kinds of line ends (HTML, "Server-sent events"). */
async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

const contentOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

/**
 * The messages of a stream. A connection that breaks is made again, going on after the last message that arrived;
 * the message `end` is the last one.
 * @param connect asks for the stream, after a message; throws what refuses it
 * @param wait ends after some milliseconds
 */
export async function* eventsOf(
  connect: (lastEventId: string | undefined) => Promise<Response>,
  { signal, lastEventId }: EventOptions,
  wait: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>,
): AsyncGenerator<ServerEvent> {
  let last = lastEventId;
  let pause = PAUSE;
  for (;;) {
    try {
      const answer = await connect(last);
      if (answer.status === 204) return;
      let event = "";
      let data: string[] = [];
      for await (const line of linesOf(answer.body as ReadableStream<Uint8Array>)) {
        const [, field = "", value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
        if (line === "") {
          if (data.length > 0) {
            pause = PAUSE;
            yield { event: event || "message", id: last, data: contentOf(data.join("\n")) };
            if (event === "end") return;
          }
          event = "";
          data = [];
        } else if (field === "event") event = value;
        else if (field === "data") data.push(value);
        else if (field === "id" && !value.includes("\0")) last = value;
        else if (field === "retry" && /^\d+$/.test(value)) pause = Number(value);
      }
    } catch (error) {
      signal?.throwIfAborted();
      // Without a status it broke off while it was read.
      const { status = 0 } = error as { status?: number };
      if (status >= 400 && status < 500 && status !== 429) throw error;
    }
    await wait(pause * (0.5 + Math.random()), signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

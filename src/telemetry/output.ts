/** Where the lines of the log go, without anybody waiting for whoever reads them. */
import { constants, fstatSync, openSync, writeSync } from "node:fs";
import pino from "pino";
import { systemClock } from "../lib/clock";

/** Longest time that a line waits for others to be written with, in milliseconds; also between two tries. */
const BATCH_TIME = 10;
/** Characters that are written at once, however soon they came. */
const BATCH_SIZE = 65_536;
/** Bytes that are held for a reader that stands still. */
const MOST_HELD = 4 * 1024 * 1024;
/** How long a process that ends waits for its reader, in milliseconds. */
const END_LIMIT = 1000;
/** From here on a line is written at once, with those before it, and from there on it is held in any case: pino's numbers. */
const [URGENT, FATAL] = [pino.levels.values.error ?? 50, pino.levels.values.fatal ?? 60];

/** What ends a line. */
const LF = 10;

/** Takes bytes without waiting. */
export interface Sink {
  /** @returns how many of the bytes it took: 0 when it can take none now @throws when it will never take any */
  write(bytes: Uint8Array): number;
}

/** What pino writes lines to. */
export interface Output extends pino.DestinationStream {
  /** Pino sets it before each line. */
  lastLevel: number;
  /** Lines that were dropped so far. */
  lost(): number;
}

/** Of a pipe, a socket and a disk that can take nothing now. */
const CANNOT_NOW = new Set(["EAGAIN", "EINTR", "ENOSPC", "EDQUOT"]);

/**
 * A descriptor of standard output that never blocks. Writing to a pipe whose reader stands still would stop the process;
 * and what is not to block is a property of what is open, which other processes have open too, such as a shell.
 */
function openStdout(): number {
  // A file has no reader, and opened again it would be written from its beginning.
  if (fstatSync(1).isFile()) return 1;
  try {
    // Opened anew, a pipe or a terminal is this process's alone.
    return openSync("/proc/self/fd/1", constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    // A socket, as systemd gives one, cannot be opened; nor can anything where there is no /proc. What Bun writes to
    // by itself it makes non-blocking when it is first looked at.
    void process.stdout;
    return 1;
  }
}

/** Standard output: a file, a pipe, a socket or a terminal. */
export function stdoutSink(): Sink {
  let descriptor: number | undefined;
  return {
    write(bytes) {
      descriptor ??= openStdout();
      try {
        return writeSync(descriptor, bytes);
      } catch (error) {
        if (CANNOT_NOW.has(String((error as NodeJS.ErrnoException).code))) return 0;
        throw error;
      }
    },
  };
}

const lossLine = (lost: number): string =>
  `{"level":"warn","time":"${systemClock.now().toISOString()}","lost":${lost},"msg":"lines of the log were lost: nobody took them"}\n`;

function linesIn(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) lines++;
  return lines;
}

/**
 * Writes lines together that come within 10 ms: a write for each costs as much as a whole plain answer. An error is
 * written at once. What the sink cannot take is held, up to 4 MB; lines beyond that are dropped and counted, and when
 * the sink takes bytes again a line says how many. A process that exits tries for a second to get rid of what is left;
 * only what kills it takes the last lines with it.
 */
export function inBatches(to: Sink): Output {
  /** Lines that are not handed on yet. */
  let waiting = "";
  /** What the sink has not taken of those that were; and the bytes that came to wait behind it. */
  let rest: Uint8Array | undefined;
  let behind = 0;
  /** Characters that came since the sink was last tried. */
  let untried = 0;
  let lost = 0;
  /** How many lost lines no line has told of, and how many one in `rest` tells of. */
  let untold = 0;
  let telling = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const later = () => {
    if (timer !== undefined) return;
    timer = setTimeout(flush, BATCH_TIME);
    // Not to hold up a program that has come to its end: what is left is written then.
    timer.unref();
  };
  const drop = (lines: number) => {
    lost += lines;
    untold += lines;
  };
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    untried = 0;
    while (rest !== undefined || waiting !== "") {
      if (rest === undefined) {
        rest = Buffer.from(untold === 0 ? waiting : waiting + lossLine(untold));
        waiting = "";
        behind = 0;
        telling = untold;
        untold = 0;
      }
      try {
        const taken = to.write(rest);
        if (taken < rest.length) {
          rest = rest.subarray(taken);
          return later();
        }
      } catch {
        // A reader that went away loses lines; it must not end the server, and there is nowhere to say it.
        drop(linesIn(rest) - (telling > 0 ? 1 : 0));
        untold += telling;
      }
      rest = undefined;
    }
  };
  process.on("exit", () => {
    const end = performance.now() + END_LIMIT;
    const clock = new Int32Array(new SharedArrayBuffer(4));
    for (flush(); rest !== undefined && performance.now() < end; flush()) Atomics.wait(clock, 0, 0, 1);
  });
  return {
    // Asks pino to say the level of each line.
    [pino.symbols.needsMetadataGsym]: true,
    lastLevel: 0,
    lost: () => lost,
    write(line: string) {
      untried += line.length;
      if (rest === undefined) waiting += line;
      else {
        const bytes = Buffer.byteLength(line);
        // What ends the process is held in any case: nothing comes after it.
        if (rest.length + behind + bytes > MOST_HELD && this.lastLevel < FATAL) drop(1);
        else {
          behind += bytes;
          waiting += line;
        }
      }
      if (this.lastLevel >= URGENT || untried >= BATCH_SIZE) flush();
      else later();
    },
  } as Output;
}

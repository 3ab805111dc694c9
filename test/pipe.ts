import { closeSync, constants, openSync, readSync } from "node:fs";

/** A pipe of Linux that is read when the test asks for it. */
export interface Pipe {
  /** For the process that writes. */
  writer: number;
  /** Reads what is there now. @returns everything that was read so far */
  read(): string;
  text(): string;
  closeReader(): void;
  closeWriter(): void;
}

/** @param path where it is made; nothing may be there @throws Error when it cannot be made */
export function createPipe(path: string): Pipe {
  const { exitCode, stderr } = Bun.spawnSync(["mkfifo", path]);
  if (exitCode !== 0) throw new Error(`mkfifo ${path}: ${stderr}`);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  const buffer = Buffer.alloc(65_536);
  let text = "";
  return {
    writer,
    text: () => text,
    read() {
      try {
        for (let size = 1; size > 0; ) {
          size = readSync(reader, buffer);
          text += buffer.toString("latin1", 0, size);
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      }
      return text;
    },
    closeReader: () => closeSync(reader),
    closeWriter: () => closeSync(writer),
  };
}

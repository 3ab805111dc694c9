/**
 * Carries out a Dockerfile without Docker: each stage in a root of its own, which is this machine's file system
 * with the stage's changes over it (overlayfs in a mount namespace, gone with the process). Enough for this
 * project's Dockerfile: FROM, WORKDIR, ENV, COPY, RUN, USER, CMD. Needs Linux and root.
 */
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

interface Instruction {
  name: string;
  text: string;
}

/** One stage: what it starts from and its instructions in order. */
export interface Stage {
  base: string;
  name: string | undefined;
  instructions: Instruction[];
}

/** The stages of a Dockerfile, continued lines joined and comments left out. */
export function readDockerfile(file: string): Stage[] {
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join("\n")
    .replace(/\\\n\s*/g, "")
    .split("\n");
  const stages: Stage[] = [];
  for (const line of lines) {
    const [, name = "", text = ""] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    if (name === "FROM") {
      const [base = "", , stage] = text.split(/\s+/);
      stages.push({ base, name: stage, instructions: [] });
    } else stages.at(-1)?.instructions.push({ name, text });
  }
  return stages;
}

/** The files of the build context that `.dockerignore` lets in: here a list of exceptions to `*`. */
function makeContext(checkout: string, target: string): void {
  const rules = readFileSync(join(checkout, ".dockerignore"), "utf8").split("\n").filter(Boolean);
  if (rules[0] !== "*") throw new Error(".dockerignore is expected to begin with *, and to let in by name");
  const excluded = rules.slice(1).filter((rule) => !rule.startsWith("!"));
  const out = new Set(excluded.flatMap((pattern) => globSync(pattern, { cwd: checkout })));
  for (const rule of rules) {
    if (!rule.startsWith("!")) continue;
    const path = rule.slice(1);
    if (!existsSync(join(checkout, path))) throw new Error(`.dockerignore names ${path}, which is not there`);
    cpSync(join(checkout, path), join(target, path), {
      recursive: true,
      filter: (source) => !out.has(source.slice(checkout.length + 1)),
    });
  }
}

/** Where a stage's files lie and what its later commands run with. */
interface Built {
  /** Only what the stage changed. */
  changes: string;
  workdir: string;
  env: Record<string, string>;
  user: string;
  command: string[];
}

/** Words of a shell script, each safe from the shell. */
const quoted = (...words: string[]) => words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");

const ENTER = `
set -e
mount --bind "$1" "$1"
mkdir -p "$1/root" "$1/work" "$1/changes"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$1/root"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
`;

/** A command line that runs `script` in a stage's root. `prelude` runs outside it, after it is mounted. */
const inStage = (folder: string, prelude: string, script: string): string[] => [
  "unshare",
  "--mount",
  "--propagation",
  "private",
  "sh",
  "-c",
  `PATH=$PATH:/usr/sbin:/sbin\n${ENTER}${prelude}\nexec chroot "$1/root" env PATH=/usr/local/bin:/usr/bin:/bin sh -c "$2"`,
  "sh",
  folder,
  script,
];

/** Whether a stage can be made in `folder` here: Linux, root, and a file system that can lie over another. */
export function canCarryOut(folder: string): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const trial = mkdtempSync(join(folder, "overlay-"));
  try {
    return Bun.spawnSync(inStage(trial, "", "true")).success;
  } finally {
    rmSync(trial, { recursive: true, force: true });
  }
}

/** What became of a Dockerfile. */
export interface Image extends Built {
  /** A command line that runs words as the image's user. What `env` gives comes before the image's own. */
  run(words: string[], options: { env: Record<string, string>; readOnly: boolean; volume: string }): string[];
}

/**
 * Builds the last stage of a Dockerfile in `target`, which must not lie in the temporary file system's overlay.
 * @param bun the Bun that stands for the base image's
 * @throws Error with the output of the instruction that failed
 */
export async function buildImage(checkout: string, target: string, bun: string): Promise<Image> {
  const context = join(target, "context");
  mkdirSync(context, { recursive: true });
  makeContext(checkout, context);
  const built = new Map<string, Built>();
  let last: (Built & { folder: string }) | undefined;
  for (const [index, stage] of readDockerfile(join(checkout, "Dockerfile")).entries()) {
    const folder = join(target, `stage-${index}`);
    const changes = join(folder, "changes");
    // The base image: Bun on PATH, and its user.
    mkdirSync(join(changes, "usr/local/bin"), { recursive: true });
    cpSync(bun, join(changes, "usr/local/bin/bun"));
    mkdirSync(join(changes, "etc"), { recursive: true });
    for (const [file, line] of [
      ["passwd", "bun:x:1000:1000::/home/bun:/bin/sh"],
      ["group", "bun:x:1000:"],
    ] as const) {
      writeFileSync(join(changes, "etc", file), `${readFileSync(`/etc/${file}`, "utf8")}${line}\n`);
    }
    const state = { folder, changes, workdir: "/", env: {}, user: "0", command: [] } as Built & {
      folder: string;
    };
    for (const { name, text } of stage.instructions) await carryOut(name, text, state, context, built);
    if (stage.name) built.set(stage.name, state);
    last = state;
  }
  if (!last) throw new Error("The Dockerfile has no stage");
  const { folder, env, workdir, user } = last;
  const [uid = "0", gid = uid] = user.split(":");
  return {
    ...last,
    run(words, { env: added, readOnly, volume }) {
      const prelude = [
        'mount -t tmpfs tmpfs "$1/root/tmp"',
        `mkdir -p ${quoted(volume)} && chown ${uid}:${gid} ${quoted(volume)}`,
        `mount --bind ${quoted(volume)} "$1/root/data"`,
        ...(readOnly ? ['mount -o remount,ro "$1/root"'] : []),
      ].join("\n");
      const given = Object.entries({ ...env, HOME: "/home/bun", ...added });
      const script =
        `cd ${quoted(workdir)} && exec setpriv --reuid ${uid} --regid ${gid} --clear-groups --no-new-privs ` +
        `--bounding-set=-all --inh-caps=-all --pdeathsig KILL -- ` +
        `env -i PATH=/usr/local/bin:/usr/bin:/bin ${quoted(...given.map(([key, value]) => `${key}=${value}`))} ${quoted(...words)}`;
      return inStage(folder, prelude, script);
    },
  };
}

async function carryOut(
  name: string,
  text: string,
  state: Built & { folder: string },
  context: string,
  built: Map<string, Built>,
): Promise<void> {
  const inside = (path: string) =>
    join(state.changes, path.startsWith("/") ? path : join(state.workdir, path));
  switch (name) {
    case "WORKDIR":
      state.workdir = text;
      mkdirSync(inside(text), { recursive: true });
      return;
    case "ENV":
      for (const [, key = "", value = ""] of text.matchAll(/(\w+)=(\S+)/g)) state.env[key] = value;
      return;
    case "USER":
      state.user = text;
      return;
    case "CMD":
      state.command = JSON.parse(text) as string[];
      return;
    case "COPY": {
      const words = text.split(/\s+/);
      const from = /^--from=(.+)$/.exec(words[0] ?? "")?.[1];
      const source = from === undefined ? context : built.get(from)?.changes;
      if (source === undefined) throw new Error(`COPY ${text}: there is no stage ${from}`);
      const paths = from === undefined ? words : words.slice(1);
      const to = paths.pop() ?? "";
      for (const path of paths) {
        const file = join(source, path);
        // Of a folder, what is in it is copied.
        const intoFolder = statSync(file).isFile() && (to.endsWith("/") || to === ".");
        cpSync(file, intoFolder ? join(inside(to), basename(path)) : inside(to), {
          recursive: true,
          verbatimSymlinks: true,
        });
      }
      return;
    }
    case "RUN": {
      mkdirSync(dirname(inside(state.workdir)), { recursive: true });
      const child = Bun.spawn(inStage(state.folder, "", `cd ${quoted(state.workdir)} && ${text}`), {
        env: { ...process.env, ...state.env, NODE_ENV: state.env.NODE_ENV },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      });
      const [out, errors] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      if ((await child.exited) !== 0) throw new Error(`RUN ${text} failed:\n${out}${errors}`);
      return;
    }
    case "VOLUME":
    case "EXPOSE":
    case "HEALTHCHECK":
    case "STOPSIGNAL":
      return;
    default:
      throw new Error(`${name} is not an instruction that this reads`);
  }
}

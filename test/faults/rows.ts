/** The faults, each of which is made on running servers and taken away again. */
import { isMongoWrite } from "../proxy";
import type { Allowed } from "./bounds";
import type { World } from "./world";

export interface Fault extends Allowed {
  name: string;
  /** In one of the words stopped, killed, paused, slowed, full, down. */
  what: string;
  /** Seconds until it is taken away; 0 for what ends by itself. */
  seconds: number;
  begin(world: World): unknown;
  /** Takes it away. From when it is done, the time to recover is counted. */
  end?(world: World): unknown;
  /** Whether it can be made here. */
  possible?(world: World): boolean;
  /** Starts the servers otherwise than the other faults. */
  start?(world: World): unknown;
}

const flap = async (times: number, down: () => unknown, up: () => unknown) => {
  for (let n = 0; n < times; n++) {
    await down();
    await Bun.sleep(700);
    await up();
    await Bun.sleep(700);
  }
};

export const FAULTS: Fault[] = [
  { name: "none", what: "nothing, for comparison", seconds: 5, begin: () => undefined },
  {
    name: "mysql-stopped",
    what: "MySQL stopped for 8 s",
    seconds: 8,
    mailsTwice: true,
    begin: ({ mysql }) => mysql.stop(),
    end: ({ mysql }) => mysql.start(),
  },
  {
    name: "mysql-killed",
    what: "MySQL killed (-9)",
    seconds: 0,
    mailsTwice: true,
    begin: ({ databases, signal }) => signal(databases.pids.mysql(), "SIGKILL"),
    end: ({ mysqlAnswers }) => mysqlAnswers(),
  },
  {
    name: "mysql-paused",
    what: "MySQL paused for 20 s",
    seconds: 20,
    mailsTwice: true,
    begin: ({ databases, signal }) => signal(databases.pids.mysql(), "SIGSTOP"),
    end: ({ databases, signal }) => signal(databases.pids.mysql(), "SIGCONT"),
  },
  {
    name: "mysql-slowed",
    what: "MySQL slowed by 300 ms an answer for 10 s",
    seconds: 10,
    slow: true,
    begin: ({ mysql }) => mysql.slow(300),
    end: ({ mysql }) => mysql.slow(0),
  },
  {
    name: "mysql-locked",
    what: "MySQL locked against writes for 20 s (FLUSH TABLES WITH READ LOCK)",
    seconds: 20,
    mailsTwice: true,
    begin: ({ lockMySql }) => lockMySql(),
    end: ({ unlockMySql }) => unlockMySql(),
  },
  {
    name: "mongodb-stopped",
    what: "MongoDB stopped for 8 s",
    seconds: 8,
    begin: ({ mongo }) => mongo.stop(),
    end: ({ mongo }) => mongo.start(),
  },
  {
    name: "mongodb-killed",
    what: "MongoDB's database killed (-9)",
    seconds: 0,
    begin: ({ databases, signal }) => signal(databases.pids.postmaster(), "SIGKILL"),
    end: ({ mongoAnswers }) => mongoAnswers(),
  },
  {
    name: "mongodb-paused",
    what: "MongoDB's database paused for 20 s",
    seconds: 20,
    begin: ({ databases, signal }) => signal(databases.pids.postgres(), "SIGSTOP"),
    end: ({ databases, signal }) => signal(databases.pids.postgres(), "SIGCONT"),
  },
  {
    name: "gateway-paused",
    what: "MongoDB's gateway paused for 20 s",
    seconds: 20,
    begin: ({ databases, signal }) => signal(databases.pids.gateway(), "SIGSTOP"),
    end: ({ databases, signal }) => signal(databases.pids.gateway(), "SIGCONT"),
  },
  {
    name: "mongodb-slowed",
    what: "MongoDB slowed by 300 ms an answer for 10 s",
    seconds: 10,
    slow: true,
    begin: ({ mongo }) => mongo.slow(300),
    end: ({ mongo }) => mongo.slow(0),
  },
  {
    name: "mongodb-locked",
    what: "MongoDB answers reads and no write for 20 s",
    seconds: 20,
    begin: ({ mongo }) => mongo.swallow(isMongoWrite),
    end: ({ mongo }) => mongo.swallow(() => false),
  },
  {
    name: "gateway-killed",
    what: "MongoDB's gateway killed (-9), and both databases with it; started again after 3 s",
    seconds: 3,
    mailsTwice: true,
    begin: ({ databases, signal }) => signal(databases.pids.gateway(), "SIGKILL"),
    async end({ databases, mysqlAnswers, mongoAnswers }) {
      await databases.again();
      await Promise.all([mysqlAnswers(), mongoAnswers()]);
    },
  },
  {
    name: "server-killed",
    what: "one of two server processes killed (-9)",
    seconds: 0,
    ends: true,
    mailsTwice: true,
    begin: ({ killOne }) => killOne(),
  },
  {
    name: "first-killed",
    what: "the first process killed (-9), started again at once",
    seconds: 0,
    ends: true,
    mailsTwice: true,
    begin: ({ killFirst }) => killFirst(),
    end: ({ start }) => start(),
  },
  {
    name: "disk-full",
    what: "the disk full for 10 s (files, exports, the log)",
    seconds: 10,
    begin: ({ fillDisk }) => fillDisk(0),
    end: ({ emptyDisk }) => emptyDisk(),
  },
  {
    name: "disk-half",
    what: "the disk full half-way (room for 64 kB more) for 10 s",
    seconds: 10,
    begin: ({ fillDisk }) => fillDisk(65_536),
    end: ({ emptyDisk }) => emptyDisk(),
  },
  {
    name: "storage-stopped",
    what: "storage in S3 down for 8 s",
    seconds: 8,
    start: ({ startOnS3 }) => startOnS3(),
    begin: ({ s3 }) => s3.stop(),
    end: ({ s3 }) => s3.start(),
  },
  {
    name: "storage-half",
    what: "storage in S3 breaking off half-way, each 200 ms for 8 s",
    seconds: 0,
    start: ({ startOnS3 }) => startOnS3(),
    async begin({ s3 }) {
      s3.slow(50);
      for (let n = 0; n < 40; n++) {
        await Bun.sleep(200);
        s3.cut();
      }
      s3.slow(0);
    },
  },
  {
    name: "storage-slowed",
    what: "storage in S3 slowed by 2 s an answer for 10 s",
    seconds: 10,
    start: ({ startOnS3 }) => startOnS3(),
    begin: ({ s3 }) => s3.slow(2000),
    end: ({ s3 }) => s3.slow(0),
  },
  {
    name: "mail-down",
    what: "mail down for 10 s",
    seconds: 10,
    mailsTwice: true,
    begin: ({ mail }) => mail.stop(),
    end: ({ mail }) => mail.start(),
  },
  {
    name: "redis-down",
    what: "Redis down for 8 s",
    seconds: 8,
    possible: ({ hasRedis }) => hasRedis,
    begin: ({ stopRedis }) => stopRedis(),
    end: ({ startRedis }) => startRedis(),
  },
  {
    name: "redis-paused",
    what: "Redis paused for 20 s",
    seconds: 20,
    possible: ({ hasRedis }) => hasRedis,
    begin: ({ signalRedis }) => signalRedis("SIGSTOP"),
    end: ({ signalRedis }) => signalRedis("SIGCONT"),
  },
  {
    name: "redis-flapping",
    what: "Redis down and up again, 6 times",
    seconds: 0,
    possible: ({ hasRedis }) => hasRedis,
    begin: ({ stopRedis, startRedis }) => flap(6, stopRedis, startRedis),
  },
  {
    name: "clock",
    what: "the servers' clock set an hour forth, then an hour back, then right, 5 s each",
    seconds: 5,
    possible: ({ hasClock }) => hasClock,
    start: ({ startWithClock }) => startWithClock(),
    async begin({ setClock }) {
      setClock("+3600");
      await Bun.sleep(5000);
      setClock("-3600");
    },
    end: ({ setClock }) => setClock("+0"),
  },
  {
    name: "clocks-differ",
    what: "two processes of which one's clock is two minutes ahead, for 20 s",
    seconds: 20,
    possible: ({ hasClock }) => hasClock,
    start: ({ startTwoClocks }) => startTwoClocks("+120"),
    begin: () => undefined,
  },
];

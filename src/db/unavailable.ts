/**
 * What the two databases and their drivers say when a database is away, stopping, changing its leader, too busy or out
 * of space, memory or files: nothing is wrong with the request, and it may be tried again shortly. One closed table for each library. Libraries
 * are known by the names of their errors, so that none is imported here; no table holds a text, but for the one error
 * that has nothing else.
 */

/** Errors of MongoDB's driver, by name. */
export const MONGO_ERRORS: ReadonlySet<string> = new Set([
  "MongoServerSelectionError",
  "MongoNetworkError",
  "MongoNetworkTimeoutError",
  "MongoPoolClearedError",
  "PoolClearedOnNetworkError",
  "MongoPoolClosedError",
  "MongoWaitQueueTimeoutError",
  "MongoNotConnectedError",
  "MongoTopologyClosedError",
  "MongoServerClosedError",
  "MongoClientClosedError",
]);

/** Answers of a MongoDB server, by code: https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml */
export const MONGO_CODES: ReadonlyMap<number, string> = new Map([
  [6, "HostUnreachable"],
  [7, "HostNotFound"],
  [24, "LockTimeout"],
  [42, "LogWriteFailed"],
  [43, "CursorNotFound"],
  [50, "MaxTimeMSExpired"],
  [89, "NetworkTimeout"],
  [91, "ShutdownInProgress"],
  [112, "WriteConflict"],
  [133, "FailedToSatisfyReadPreference"],
  [134, "ReadConcernMajorityNotAvailableYet"],
  [176, "FileOpenFailed"],
  [189, "PrimarySteppedDown"],
  [202, "NetworkInterfaceExceededTimeLimit"],
  [208, "TooManyLocks"],
  [237, "CursorKilled"],
  [246, "SnapshotUnavailable"],
  [251, "NoSuchTransaction"],
  [261, "TooManyLogicalSessions"],
  [262, "ExceededTimeLimit"],
  [264, "TooManyFilesOpen"],
  [365, "TemporarilyUnavailable"],
  [371, "UserWritesBlocked"],
  [402, "ResourceExhausted"],
  [407, "PooledConnectionAcquisitionExceededTimeLimit"],
  [433, "AdmissionQueueOverflow"],
  [449, "RateLimitExceeded"],
  [450, "PooledConnectionAcquisitionRejected"],
  [462, "IngressRequestRateLimitExceeded"],
  [9001, "SocketException"],
  [10058, "LegacyNotPrimary"],
  [10107, "NotWritablePrimary"],
  [11600, "InterruptedAtShutdown"],
  [11601, "Interrupted"],
  [11602, "InterruptedDueToReplStateChange"],
  [13435, "NotPrimaryNoSecondaryOk"],
  [13436, "NotPrimaryOrSecondary"],
  [14031, "OutOfDiskSpace"],
]);

/**
 * Answers of MySQL and MariaDB, by number, and from 45000 on those of the driver itself. What would fail again is
 * missing: 1153 (a packet too large), 1038 (rows too large to sort), 1197 (a transaction too large for the binary log).
 * https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
 */
export const MYSQL_CODES: ReadonlyMap<number, string> = new Map([
  // Below 1000: what its machine says of files, temporary ones most of all. Why (28: no space) is in their text alone.
  [1, "EE_CANTCREATEFILE"],
  [3, "EE_WRITE"],
  [5, "EE_OUTOFMEMORY"],
  [20, "EE_DISK_FULL"],
  [23, "EE_OUT_OF_FILERESOURCES"],
  // Also with the reason in the text alone; none of the reasons is the request.
  [1004, "ER_CANT_CREATE_FILE"],
  [1016, "ER_CANT_OPEN_FILE"],
  [1021, "ER_DISK_FULL"],
  [1026, "ER_ERROR_ON_WRITE"],
  [1030, "ER_GET_ERRNO"],
  [1037, "ER_OUTOFMEMORY"],
  [1040, "ER_CON_COUNT_ERROR"],
  [1041, "ER_OUT_OF_RESOURCES"],
  // Also what a Galera node says that is not ready.
  [1047, "ER_UNKNOWN_COM_ERROR"],
  [1053, "ER_SERVER_SHUTDOWN"],
  // "The table is full": the disk is, or the tablespace.
  [1114, "ER_RECORD_FILE_FULL"],
  [1135, "ER_CANT_CREATE_THREAD"],
  [1152, "ER_ABORTING_CONNECTION"],
  [1154, "ER_NET_READ_ERROR_FROM_PIPE"],
  [1155, "ER_NET_FCNTL_ERROR"],
  [1156, "ER_NET_PACKETS_OUT_OF_ORDER"],
  [1157, "ER_NET_UNCOMPRESS_ERROR"],
  [1158, "ER_NET_READ_ERROR"],
  [1159, "ER_NET_READ_INTERRUPTED"],
  [1160, "ER_NET_ERROR_ON_WRITE"],
  [1161, "ER_NET_WRITE_INTERRUPTED"],
  [1184, "ER_NEW_ABORTING_CONNECTION"],
  [1203, "ER_TOO_MANY_USER_CONNECTIONS"],
  [1205, "ER_LOCK_WAIT_TIMEOUT"],
  [1206, "ER_LOCK_TABLE_FULL"],
  [1213, "ER_LOCK_DEADLOCK"],
  [1226, "ER_USER_LIMIT_REACHED"],
  // Read-only: the server was the leader until a moment ago.
  [1290, "ER_OPTION_PREVENTS_STATEMENT"],
  [1317, "ER_QUERY_INTERRUPTED"],
  [1461, "ER_MAX_PREPARED_STMT_COUNT_REACHED"],
  [1637, "ER_TOO_MANY_CONCURRENT_TRXS"],
  [1836, "ER_READ_ONLY_MODE"],
  [1874, "ER_INNODB_READ_ONLY"],
  [1878, "ER_TEMP_FILE_WRITE_FAILURE"],
  [1927, "ER_CONNECTION_KILLED"],
  [3015, "ER_ENGINE_OUT_OF_MEMORY"],
  [3019, "ER_INNODB_UNDO_LOG_FULL"],
  [3024, "ER_QUERY_TIMEOUT"],
  [3032, "ER_SERVER_OFFLINE_MODE"],
  [3101, "ER_TRANSACTION_ROLLBACK_DURING_COMMIT"],
  [3168, "ER_SERVER_ISNT_AVAILABLE"],
  [3169, "ER_SESSION_WAS_KILLED"],
  [3675, "ER_DISK_FULL_NOWAIT"],
  [4031, "ER_CLIENT_INTERACTION_TIMEOUT"],
  [45001, "ER_CONNECTION_ALREADY_CLOSED"],
  [45004, "ER_CMD_NOT_EXECUTED_DESTROYED"],
  [45009, "ER_SOCKET_UNEXPECTED_CLOSE"],
  [45012, "ER_CONNECTION_TIMEOUT"],
  [45013, "ER_CMD_CONNECTION_CLOSED"],
  [45026, "ER_SOCKET_TIMEOUT"],
  [45027, "ER_POOL_ALREADY_CLOSED"],
  [45028, "ER_GET_CONNECTION_TIMEOUT"],
  [45037, "ER_CLOSING_POOL"],
]);

/** What the operating system says of a connection; counted where a driver says it. */
export const SOCKET_CODES: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
]);

type Library = "mongo" | "mysql" | undefined;

/** What is looked at of an error, or of what one holds. */
interface Parts {
  name?: unknown;
  message?: unknown;
  code?: unknown;
  errno?: unknown;
  originalCode?: unknown;
  sqlState?: unknown;
  [wrapped: string]: unknown;
}

/** Where errors keep what they are made of: JavaScript's own, a bulk write's, and those of Prisma's adapter. */
const WRAPPED = ["cause", "errorResponse", "err", "writeErrors", "errors", "meta", "driverAdapterError"];

function libraryOf({ name, sqlState }: Parts, outer: Library): Library {
  if (/^(Mongo|PoolCleared)/.test(String(name))) return "mongo";
  // The driver gives this to the system's own errors too, before it passes them on.
  if (/^(Prisma|DriverAdapterError|SqlError)/.test(String(name)) || sqlState !== undefined) return "mysql";
  return outer;
}

/** Whether this itself is in a table, whatever it holds. */
function isListed(parts: Parts, library: Library): boolean {
  if (library === undefined) return false;
  if (SOCKET_CODES.has(String(parts.code))) return true;
  if (library === "mysql") return MYSQL_CODES.has(Number(parts.originalCode ?? parts.errno));
  return (
    MONGO_ERRORS.has(String(parts.name)) ||
    MONGO_CODES.has(Number(parts.code)) ||
    // Mongoose's own error before the first connection, with `bufferCommands` off: it has no code and no name.
    (parts.name === "MongooseError" && /before initial connection is complete/.test(String(parts.message)))
  );
}

/**
 * Whether an error, or what it was caused by, means that a database is not there now and may be asked again.
 * @example isUnavailable(new Error("no answer", { cause: new MongoNetworkError("…") })) // true
 */
export function isUnavailable(error: unknown): boolean {
  const seen = new Set<unknown>();
  const visit = (value: unknown, outer: Library): boolean => {
    if (typeof value !== "object" || value === null || seen.has(value)) return false;
    seen.add(value);
    if (Array.isArray(value)) return value.some((part) => visit(part, outer));
    const parts = value as Parts;
    const library = libraryOf(parts, outer);
    return isListed(parts, library) || WRAPPED.some((name) => visit(parts[name], library));
  };
  return visit(error, undefined);
}

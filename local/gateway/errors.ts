/**
 * Errors as MongoDB reports them. The engine raises PostgreSQL SQLSTATEs: its own class "M0" (one per
 * MongoDB error) and PostgreSQL's. Both become a code, its name and the labels drivers act on.
 */
import type { Document } from "bson";

/** "The whole transaction may be run again": every driver's withTransaction acts on it. */
export const TRANSIENT = "TransientTransactionError";
/** "This write may be sent once more": drivers with retryWrites act on it. */
const RETRYABLE_WRITE = "RetryableWriteError";

/** MongoDB's LockTimeout: also what a full lane of connections is reported as. */
export const LOCK_TIMEOUT = 24;

/** An error with a MongoDB code; becomes the answer `{ ok: 0, … }`. */
export class MongoError extends Error {
  constructor(
    readonly code: number,
    readonly codeName: string,
    message: string,
    readonly labels: readonly string[] = [],
    /** Further fields of the answer, such as keyPattern. */
    readonly extra: Document = {},
  ) {
    super(message);
  }
}

/** What PostgreSQL reported: SQLSTATE, message, and the backend's further fields. */
export class PostgresError extends Error {
  constructor(
    readonly sqlState: string,
    message: string,
    readonly fields: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/** The connection to PostgreSQL could not be made or was lost; whether a statement ran is unknown. */
export class ConnectionLost extends Error {}

/** SQLSTATEs that mean "another transaction is in the way". */
const CONFLICTS = new Set(["40001", "40P01", "55P03", "M00F1", "M00EW"]);

/** SQLSTATE → [code, codeName], from the engine's published error table and MongoDB's error_codes.yml. */
const CODES: Record<string, [number, string]> = {
  M0000: [1, "InternalError"],
  M0001: [2, "BadValue"],
  M0002: [5, "GraphContainsCycle"],
  M00EU: [6, "HostUnreachable"],
  M0003: [9, "FailedToParse"],
  M00ER: [13, "Unauthorized"],
  M0004: [14, "TypeMismatch"],
  M0005: [15, "Overflow"],
  M00DO: [16, "InvalidLength"],
  M0006: [20, "IllegalOperation"],
  M0008: [26, "NamespaceNotFound"],
  M0009: [27, "IndexNotFound"],
  M000A: [28, "PathNotViable"],
  M000C: [34, "CannotBackfillArray"],
  M000D: [40, "ConflictingUpdateOperators"],
  M000E: [43, "CursorNotFound"],
  M000F: [48, "NamespaceExists"],
  M00EX: [50, "MaxTimeMSExpired"],
  M000G: [52, "DollarPrefixedFieldName"],
  M000H: [53, "InvalidIdField"],
  M000I: [54, "NotSingleValueField"],
  M000J: [56, "EmptyFieldName"],
  M000K: [57, "DottedFieldName"],
  M00EY: [59, "CommandNotFound"],
  M000L: [61, "ShardKeyNotFound"],
  M000M: [66, "ImmutableField"],
  M000N: [67, "CannotCreateIndex"],
  M000O: [68, "IndexAlreadyExists"],
  M000P: [72, "InvalidOptions"],
  M000Q: [73, "InvalidNamespace"],
  M000R: [85, "IndexOptionsConflict"],
  M000S: [86, "IndexKeySpecsConflict"],
  M000T: [111, "NotExactValueField"],
  M000U: [115, "CommandNotSupported"],
  M00F2: [117, "ConflictingOperationInProgress"],
  M00CO: [121, "DocumentValidationFailure"],
  M00EL: [143, "CursorInUse"],
  M000W: [146, "ExceededMemoryLimit"],
  M000X: [159, "DurationOverflow"],
  M000Y: [165, "ViewDepthLimitExceeded"],
  M000Z: [166, "CommandNotSupportedOnView"],
  M0010: [167, "OptionNotSupportedOnView"],
  M0011: [181, "AmbiguousIndexKeyPattern"],
  M0012: [197, "InvalidIndexSpecificationOption"],
  M00F4: [201, "CannotBuildIndexKeys"],
  M0013: [224, "QueryFeatureNotAllowed"],
  M00F5: [225, "TransactionTooOld"],
  M0014: [232, "MaxSubPipelineDepthExceeded"],
  M0015: [241, "ConversionFailure"],
  M00F6: [251, "NoSuchTransaction"],
  M00F7: [256, "TransactionCommitted"],
  M0016: [263, "OperationNotSupportedInTransaction"],
  M0017: [276, "IndexBuildAborted"],
  M0018: [291, "NoQueryExecutionPlans"],
  M001B: [10334, "BSONObjectTooLarge"],
  M001C: [11000, "DuplicateKey"],
  M001D: [12587, "BackgroundOperationInProgressForNamespace"],
  M001H: [13113, "MergeStageNoMatchingDocument"],
  M003A: [17419, "Location17419"],
  M003B: [17420, "Location17420"],
  M0024: [16610, "Location16610"],
  M0023: [16554, "Location16554"],
  M0037: [17276, "Location17276"],
  M004V: [31032, "Location31032"],
  M0056: [31249, "Location31249"],
  M0059: [31254, "Location31254"],
  M007R: [40319, "Location40319"],
  M007U: [40324, "Location40324"],
  M0087: [40414, "Location40414"],
  M0088: [40415, "Location40415"],
  M00FB: [50768, "NotARetryableWriteCommand"],
  "23505": [11000, "DuplicateKey"],
  // findAndModify lets PostgreSQL's own error of a unique index through.
  "23P01": [11000, "DuplicateKey"],
  "40001": [112, "WriteConflict"],
  "40P01": [112, "WriteConflict"],
  "55P03": [112, "WriteConflict"],
  M00F1: [112, "WriteConflict"],
  M00EW: [24, "LockTimeout"],
  "57014": [50, "MaxTimeMSExpired"],
  "25P02": [251, "NoSuchTransaction"],
  "42501": [13, "Unauthorized"],
  "53100": [14031, "OutOfDiskSpace"],
  "0A000": [115, "CommandNotSupported"],
  "54001": [146, "ExceededMemoryLimit"],
  "53200": [146, "ExceededMemoryLimit"],
  "57P01": [91, "ShutdownInProgress"],
  "57P02": [91, "ShutdownInProgress"],
  "57P03": [91, "ShutdownInProgress"],
};

/** The MongoDB code and name of a SQLSTATE; 8 UnknownError for one without a counterpart. */
export function codeOf(sqlState: string): [number, string] {
  return CODES[sqlState] ?? [8, "UnknownError"];
}

/** Whether a SQLSTATE means a conflict with another transaction. */
export function isConflict(sqlState: string): boolean {
  return CONFLICTS.has(sqlState);
}

/**
 * A write error's `code` from the engine is PostgreSQL's SQLSTATE packed into an integer (MAKE_SQLSTATE in
 * src/include/utils/elog.h): six bits a character, least significant first, offset by "0".
 */
export function unpackSqlState(packed: number): string {
  let state = "";
  for (let index = 0; index < 5; index++) {
    state += String.fromCharCode(((packed >> (6 * index)) & 0x3f) + 48);
  }
  return state;
}

/** Turns any thrown value into a MongoError. `inTransaction` decides about the transient label. */
export function toMongoError(error: unknown, inTransaction: boolean): MongoError {
  if (error instanceof MongoError) return error;
  if (error instanceof PostgresError) {
    const [code, codeName] = codeOf(error.sqlState);
    const labels: string[] = [];
    if (inTransaction && (isConflict(error.sqlState) || code === 251 || code === 91)) labels.push(TRANSIENT);
    else if (code === 91) labels.push(RETRYABLE_WRITE);
    const message = code === 50 ? "operation exceeded time limit" : error.message;
    return new MongoError(code, codeName, code === 8 ? `${message} (${error.sqlState})` : message, labels);
  }
  if (error instanceof ConnectionLost) {
    return new MongoError(91, "ShutdownInProgress", `the local engine is not reachable: ${error.message}`, [
      inTransaction ? TRANSIENT : RETRYABLE_WRITE,
    ]);
  }
  const message = error instanceof Error ? error.message : String(error);
  return new MongoError(1, "InternalError", message);
}

/** The answer for an error. */
export function errorDocument(error: MongoError): Document {
  return {
    ok: 0,
    errmsg: error.message,
    code: error.code,
    codeName: error.codeName,
    ...error.extra,
    ...(error.labels.length > 0 ? { errorLabels: [...error.labels] } : {}),
  };
}

import { duplicateIndex, type MySql, type MySqlTx } from "../../db/prisma";
import type { Passkey } from "../../generated/prisma/client";
import type { ExpectedVersions } from "../../lib/versions";

export type PasskeyRow = Passkey;
export type ChallengePurpose = "register" | "sign_in";

/** Expired challenges that one new challenge removes at most. */
const SWEEP = 20;

/** Passkeys, and what authenticators are asked to sign, in MySQL. */
export const createPasskeyStore = (mysql: MySql) => ({
  async createChallenge(challenge: {
    id: string;
    purpose: ChallengePurpose;
    userId: string | null;
    challenge: Uint8Array<ArrayBuffer>;
    expiresAt: Date;
  }): Promise<void> {
    await mysql.on().webauthnChallenge.create({ data: challenge });
  },

  /**
   * Takes a challenge away, so that it serves once, whatever comes of it.
   * @returns its bytes, or null when it was taken, is over, or was made for something or somebody else
   */
  async takeChallenge(
    id: string,
    wanted: { purpose: ChallengePurpose; userId: string | null; now: Date },
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    const row = await mysql.on().webauthnChallenge.findUnique({ where: { id } });
    if (!row || row.purpose !== wanted.purpose || row.userId !== wanted.userId) return null;
    const { count } = await mysql.on().webauthnChallenge.deleteMany({ where: { id } });
    return count === 1 && row.expiresAt > wanted.now ? row.challenge : null;
  },

  /** Removes some challenges that nobody answered. By id and in order, so that many at once do not collide. */
  async sweepChallenges(now: Date): Promise<void> {
    const rows = await mysql.on().webauthnChallenge.findMany({
      where: { expiresAt: { lt: now } },
      select: { id: true },
      orderBy: { expiresAt: "asc" },
      take: SWEEP,
    });
    if (rows.length === 0) return;
    const ids = rows.map(({ id }) => id).sort();
    await mysql.on().webauthnChallenge.deleteMany({ where: { id: { in: ids } } });
  },

  /** Keeps a new passkey. @returns false when there is one of this credential already, whoever's it is */
  async create(
    passkey: Omit<PasskeyRow, "version" | "lastUsedAt" | "transports"> & { transports: string[] },
    tx: MySqlTx,
  ): Promise<boolean> {
    try {
      await mysql.on(tx).passkey.create({ data: passkey });
      return true;
    } catch (error) {
      // MySQL undoes only the refused statement.
      if (duplicateIndex(error) === "passkeys_credential_id_key") return false;
      throw error;
    }
  },

  findByCredential: (credentialId: Uint8Array<ArrayBuffer>) =>
    mysql.on().passkey.findUnique({ where: { credentialId }, include: { user: true } }),

  /** A person's passkeys, the newest first. */
  ofUser: (userId: string, tx?: MySqlTx): Promise<PasskeyRow[]> =>
    mysql.on(tx).passkey.findMany({
      where: { userId },
      orderBy: [{ createdAt: "desc" }, { id: "desc" }],
    }),

  /**
   * Notes a use. @returns false when the authenticator's count did not grow: another one signs with the same
   * key (WebAuthn §6.1.1). Those that do not count always say 0.
   */
  async use(id: string, use: { signCount: number; synced: boolean; now: Date }): Promise<boolean> {
    const signCount = BigInt(use.signCount);
    const { count } = await mysql.on().passkey.updateMany({
      where: { id, ...(signCount === 0n ? { signCount: 0n } : { signCount: { lt: signCount } }) },
      data: { signCount, synced: use.synced, lastUsedAt: use.now },
    });
    return count === 1;
  },

  /** Renames one of a person's; of the versions that are expected. @returns false when it was not there as such */
  async rename(
    id: string,
    userId: string,
    name: string,
    expected: ExpectedVersions,
    tx: MySqlTx,
  ): Promise<boolean> {
    const { count } = await mysql.on(tx).passkey.updateMany({
      where: { id, userId, ...(expected === undefined ? {} : { version: { in: [...expected] } }) },
      data: { name, version: { increment: 1 } },
    });
    return count === 1;
  },

  find: (id: string, userId: string, tx?: MySqlTx): Promise<PasskeyRow | null> =>
    mysql.on(tx).passkey.findFirst({ where: { id, userId } }),

  async remove(id: string, userId: string, tx: MySqlTx): Promise<boolean> {
    const { count } = await mysql.on(tx).passkey.deleteMany({ where: { id, userId } });
    return count === 1;
  },
});

export type PasskeyStore = ReturnType<typeof createPasskeyStore>;

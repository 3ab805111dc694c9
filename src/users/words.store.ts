import type { MySql, MySqlTx } from "../db/prisma";
import { WORDS_FORM, wordsOf } from "./words";

/** The words by which people are found, in MySQL: made anew whenever a name or an address changes. */
export const createWordStore = (mysql: MySql) => ({
  /**
   * Makes the words of a person anew. Only what differs is written: a delete that finds nothing would lock the gap into
   * which the next person is inserted.
   */
  async saveWords(userId: string, tx?: MySqlTx): Promise<void> {
    const db = mysql.on(tx);
    const user = await db.user.findUnique({ where: { id: userId }, select: { name: true, email: true } });
    if (!user) return;
    const wanted = wordsOf(user.name, user.email);
    const present = (await db.userWord.findMany({ where: { userId } })).map(({ word }) => word);
    const gone = present.filter((word) => !wanted.includes(word));
    const missing = wanted.filter((word) => !present.includes(word));
    if (gone.length > 0) await db.userWord.deleteMany({ where: { userId, word: { in: gone } } });
    if (missing.length > 0) {
      await db.userWord.createMany({ data: missing.map((word) => ({ word, userId })), skipDuplicates: true });
    }
    await db.$executeRaw`UPDATE users SET words_form = ${WORDS_FORM} WHERE id = ${userId} AND words_form <> ${WORDS_FORM}`;
  },

  /** People whose words are of another form than this version makes, at most `limit`. */
  withOldWords: async (limit: number): Promise<string[]> =>
    (
      await mysql.on().user.findMany({
        where: { wordsForm: { lt: WORDS_FORM } },
        select: { id: true },
        orderBy: [{ wordsForm: "asc" }, { id: "asc" }],
        take: limit,
      })
    ).map(({ id }) => id),
});

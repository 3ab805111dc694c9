import { mutate, newAuditEntry, SYSTEM } from "../../audit";
import type { AuthDeps } from "../../auth";
import { refuseObviousPassword, removeLostFactor } from "../../auth";
import type { MySqlTx } from "../../db/prisma";
import { emailKey } from "../../lib/email";
import { AppError } from "../../lib/errors";
import { ADMIN_ROLE, BASE_ROLE } from "../../lib/permissions";

/** Holders of a role that are shown at most. */
const MAX_SHOWN = 1000;

async function roleNamed(deps: AuthDeps, name: string, tx?: MySqlTx) {
  const [role] = await deps.roles.byNames([name], tx);
  if (role) return role;
  const names = (await deps.roles.list(MAX_SHOWN)).map((other) => other.name);
  throw new AppError("not_found", `There is no role ${name}; there are ${names.join(", ")}.`);
}

async function personAt(deps: AuthDeps, email: string, tx?: MySqlTx) {
  const user = await deps.users.findByEmail(emailKey(email), tx);
  if (!user || user.deletedAt !== null) throw new AppError("not_found", `Nobody has the address ${email}.`);
  return user;
}

/**
 * What whoever has the server may do without signing in: the first administrator is made so.
 *
 * Makes a verified account with a role, or gives an address that was never proved its first password.
 * @throws AppError already_exists, not_found for the role, invalid_input for a password of own words
 */
export async function createAccount(
  deps: AuthDeps,
  { email, name, password, role }: { email: string; name: string; password: string; role: string },
): Promise<void> {
  refuseObviousPassword(password, email, name);
  const { id: roleId } = await roleNamed(deps, role);
  const now = deps.clock.now();
  const newId = deps.random.id();
  const hashedPassword = await deps.passwords.hash(password);
  const audit = newAuditEntry(deps, "account.created", { actor: SYSTEM, origin: null, detail: { role } });
  await mutate(deps, "mysql", { audit }, async (tx, { about }) => {
    await deps.roles.lockAdministration(tx);
    const emailCanonical = emailKey(email);
    const { id } = await deps.users.findOrCreate({ id: newId, email, emailCanonical, name, now }, tx);
    if (!(await deps.users.verify(id, { name, email, hashedPassword, now }, tx))) {
      throw new AppError(
        "already_exists",
        `${email} has an account. Give it a role with: grant ${email} ${role}`,
      );
    }
    await deps.roles.grantNamed(id, BASE_ROLE, now, tx);
    await deps.roles.grant(id, [roleId], now, tx);
    about(id);
  });
}

/** Gives an account a role, or takes it away. @throws AppError not_found, conflict for the last administrator */
export async function setRole(deps: AuthDeps, email: string, role: string, held: boolean): Promise<void> {
  const now = deps.clock.now();
  const detail = held ? { added: [role], removed: [] } : { added: [], removed: [role] };
  const audit = newAuditEntry(deps, "user.roles_changed", { actor: SYSTEM, origin: null, detail });
  await mutate(deps, "mysql", { audit }, async (tx, { about }) => {
    await deps.roles.lockAdministration(tx);
    const { id: roleId } = await roleNamed(deps, role, tx);
    const { id } = await personAt(deps, email, tx);
    if (held) await deps.roles.grant(id, [roleId], now, tx);
    else {
      if (role === ADMIN_ROLE) await deps.roles.assertOtherAdministrator(tx, id);
      await deps.roles.revoke(id, [roleId], tx);
    }
    await deps.users.setBan(id, { now }, tx);
    about(id);
  });
}

/** Takes the second factor of an account away whose owner lost it. @throws AppError not_found, conflict */
export async function removeSecondFactor(deps: AuthDeps, email: string): Promise<void> {
  const now = deps.clock.now();
  const jobId = deps.random.id();
  const audit = newAuditEntry(deps, "user.second_factor_removed", { actor: SYSTEM, origin: null });
  await mutate(deps, "mysql", { audit }, async (tx, { about }) => {
    const { id } = await personAt(deps, email, tx);
    await removeLostFactor(deps, id, { jobId, now }, tx);
    about(id);
  });
}

/** Who has a role, the newest account first, `MAX_SHOWN` at most. */
export async function holdersOf(
  deps: AuthDeps,
  role: string,
): Promise<{ email: string; name: string; status: string }[]> {
  const { id: roleId } = await roleNamed(deps, role);
  const walk = { key: "id", descending: true, roleId, byRole: true, limit: MAX_SHOWN } as const;
  const ids = (await deps.users.walk(walk)).map(({ id }) => id);
  const people = await deps.users.byIds(ids);
  return ids.flatMap((id) =>
    people.flatMap((user) =>
      user.id === id ? [{ email: user.email, name: user.name, status: user.status ?? "active" }] : [],
    ),
  );
}

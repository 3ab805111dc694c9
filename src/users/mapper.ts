/** A person as the API shows them. */
export interface UserResponse {
  id: string;
  email: string;
  name: string;
  roles: string[];
  createdAt: string;
}

/** Leaves out the hash and every internal field. */
export const toUserResponse = (
  user: { id: string; email: string; name: string; createdAt: Date },
  roles: string[],
): UserResponse => ({
  id: user.id,
  email: user.email,
  name: user.name,
  roles,
  createdAt: user.createdAt.toISOString(),
});

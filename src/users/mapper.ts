/** A person as the API shows them. */
export interface UserResponse {
  id: string;
  email: string;
  name: string;
  roles: string[];
  /** Files of the person's picture, the smallest first. */
  avatar: { sources: { type: string; width: number; url: string }[] } | null;
  createdAt: string;
}

/** What decides the picture that a person shows. */
interface WithAvatar {
  avatarId: string | null;
  avatarWidths: unknown;
}

const avatarOf = ({ avatarId, avatarWidths }: WithAvatar): UserResponse["avatar"] =>
  avatarId === null || !Array.isArray(avatarWidths)
    ? null
    : {
        sources: avatarWidths.map((width: number) => ({
          type: "image/webp",
          width,
          url: `/api/users/avatars/${avatarId}/${width}.webp`,
        })),
      };

/** Leaves out the hash and every internal field. */
export const toUserResponse = (
  user: { id: string; email: string; name: string; createdAt: Date } & WithAvatar,
  roles: string[],
): UserResponse => ({
  id: user.id,
  email: user.email,
  name: user.name,
  roles,
  avatar: avatarOf(user),
  createdAt: user.createdAt.toISOString(),
});

/** nginx as Debian installs it, or as NGINX names it; undefined where there is none. */
export const nginxPath = (): string | undefined => process.env.NGINX || (Bun.which("nginx") ?? undefined);

/**
 * The page's policy lets no string become markup or script (`require-trusted-types-for`). One thing must pass: the address of a worker
 * of this origin, in which the passphrase is turned into a key.
 */

interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): unknown;
}

/** Lets workers of this origin through, and nothing else. Browsers without trusted types need no permission. */
export function allowOwnWorkers(): void {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
  trustedTypes?.createPolicy('default', {
    createScriptURL(url) {
      if (new URL(url, location.href).origin !== location.origin) throw new TypeError('a script of another origin');
      return url;
    },
  });
}

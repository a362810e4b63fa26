/** All secrets of 32 bytes in a ratchet state: found by walking it, so that no list of fields can forget one. */
export function secretsIn(value: unknown): Uint8Array[] {
  if (value instanceof Uint8Array) return value.length === 32 ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) => (name === 'publicKey' || name === 'remoteRatchetKey' ? [] : secretsIn(member)));
}

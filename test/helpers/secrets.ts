/** What a state holds that is no secret: it stands on the wire, in the header at least, or follows from the handshake's public part. */
const PUBLIC = ['transcriptHash', 'publicKey', 'remoteRatchetKey', 'tag', 'header', 'vector', 'ct1', 'ct2', 'chunk', 'piece'];

/** All secrets in a state: every byte string of it that is not named public, found by walking it, so that no list of fields can forget one. */
export function secretsIn(value: unknown): Uint8Array[] {
  if (value instanceof Uint8Array) return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) => (PUBLIC.includes(name) ? [] : secretsIn(member)));
}

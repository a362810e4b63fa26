/** This SDK's sessions in one profile: the published subpaths, as the package's own command measures them. */

import { sessionSubject } from '../src/cli/session-subject.js';
import type { Profile } from '../src/step.js';

export default ({ profile }: { profile: Profile }) =>
  sessionSubject(profile, (lengthBytes) => globalThis.crypto.getRandomValues(new Uint8Array(lengthBytes)), Date.now());

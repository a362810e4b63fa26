/** Every target, by the name of its corpus. */

import { clientTargets } from './client-targets.js';
import { keyTargets } from './key-targets.js';
import { ratchetTargets } from './ratchet-targets.js';
import { relayTargets } from './relay-targets.js';
import { storeTargets } from './store-targets.js';
import type { Target } from './target.js';
import { wireTargets } from './wire-targets.js';

export const TARGETS: Readonly<Record<string, () => Target | Promise<Target>>> = {
  ...wireTargets,
  ...keyTargets,
  ...ratchetTargets,
  ...clientTargets,
  ...relayTargets,
  ...storeTargets,
};

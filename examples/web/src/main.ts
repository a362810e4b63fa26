/** The page: a gate before the account, and the conversations behind it. */

import { showChat } from './chat.js';
import { byId } from './dom.js';
import { showGate } from './gate.js';
import { setUpTheme } from './theme.js';
import { allowOwnWorkers } from './trusted-types.js';

allowOwnWorkers();
setUpTheme();
showGate((session) => {
  byId('gate').hidden = true;
  byId('app').hidden = false;
  showChat(session);
});

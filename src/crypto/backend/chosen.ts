/** The backend of this runtime, for what checks it; everything else has `suite.ts`. */

import { backend } from '#backend';

export { backend };

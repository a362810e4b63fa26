/**
 * `npm run fuzz -- [target] [seconds] [seed]`: all targets whose name begins so, each for so long; all, where none is named. See fuzz.ts.
 */

import { randomBytes } from 'node:crypto';
import { observer } from './coverage.js';

const [named = '', seconds = '60', seed = randomBytes(4).toString('hex')] = process.argv.slice(2);
const eyes = observer();
// What was compiled before shows no blocks: hence not before now.
const { fuzz } = await import('./fuzz.js');
if (!(await fuzz(eyes, named, Number(seconds), seed))) process.exitCode = 1;
eyes.close();
